"""What a planted fault is, and how one is planted."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from trueloop.checks.base import When
from trueloop.config import Source, resolve
from trueloop.errors import CheckFailed, TrueloopError
from trueloop.preflight.gate import Gate
from trueloop.records import CheckResult
from trueloop.store.run import Run

Verdict = Literal["check", "error", "missed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One mistake.

    id         what was done: `verifier_always_says_no`
    mechanism  what kind of mistake it is; a quick battery plants one of each
    what       the mistake in one sentence, as whoever made it would not have put it
    caught_by  checks of its mechanism: any of them that says fail or warn has caught it
    recorded   failures on record of which this is one, as docs/checks.md numbers them
    when       where it must be caught: before the first optimizer step, or during the run
    bed        the healthy run that it is planted into: see `faults.beds`
    overrides  what it changes in the configuration
    plant      a context in which the seams carry the fault
    steps      optimizer steps that a run is given to show it, where it is caught during the run
    refused    pattern of the message of an error that is about this fault: being refused so has caught it too
    """

    id: str
    mechanism: str
    what: str
    caught_by: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()
    when: When = "before"
    bed: str = "rlvr"
    overrides: tuple[str, ...] = ()
    plant: Callable[[], AbstractContextManager[Any]] = nullcontext
    steps: int = 0
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """A healthy run to plant faults into: a recipe with a small configuration of an embedded world, or a user's own.

    around  a context for the healthy run itself, such as data that its configuration names
    """

    name: str
    recipe: ModuleType
    source: Source
    overrides: tuple[str, ...] = ()
    around: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What became of a fault.

    how     a check of its mechanism said so, an error about it was raised, or neither
    by      the id of the check, or the error's message
    step    0 before the first optimizer step, else the step after which it was caught
    others  further checks that said fail or warn
    """

    fault: Fault
    how: Verdict
    by: str
    step: int
    seconds: float
    others: tuple[str, ...] = ()
    results: tuple[CheckResult, ...] = field(default=(), repr=False)


def plant(fault: Fault, bed: Bed, healthy: Mapping[str, str], *, briefly: bool = False) -> Planted:
    """Run the bed with the fault in it until it is caught, or its steps are done.

    healthy  what each check says of the bed without a fault; a check that warns there has caught nothing
    briefly  what is asked before a run ends with the first fail of the fault's mechanism: the others are not known
    """
    start = time.perf_counter()
    results, error, done = _results(fault, bed, _stop_at(fault.caught_by if briefly else ()))
    seconds = time.perf_counter() - start
    loud = [(step, r) for step, r in results if r.status in ("fail", "warn") and healthy.get(r.id) != r.status]
    mine = [(step, r) for step, r in loud if r.id in fault.caught_by]
    others = tuple(dict.fromkeys(r.id for _, r in loud if r.id not in fault.caught_by))
    about_it = error is not None and fault.refused is not None and re.search(fault.refused, error) is not None
    how: Verdict = "check" if mine else "error" if about_it else "missed"
    return Planted(
        fault=fault,
        how=how,
        by=mine[0][1].id if mine else error or "",
        step=mine[0][0] if mine else done,
        seconds=seconds,
        others=others,
        results=tuple(r for _, r in results),
    )


def healthy(bed: Bed, steps: int = 0) -> dict[str, CheckResult]:
    """What each check says of the bed without a fault; the gravest answer of each id."""
    none = Fault(id="none", mechanism="none", what="", steps=steps, when="during" if steps else "before")
    results, error, _ = _results(none, bed, _stop_at(()))
    if error is not None:
        raise CheckFailed(f"the bed {bed.name!r} is not healthy: {error}")
    found: dict[str, CheckResult] = {}
    for _, result in sorted(results, key=lambda row: _GRAVITY.index(row[1].status), reverse=True):
        found.setdefault(result.id, result)
    return found


_GRAVITY = ("pass", "unknown", "warn", "fail")


class _Caught(Exception):
    """Ends a run whose fault is caught; no error of the package, so that nothing on the way takes it for one."""


def _stop_at(caught_by: Sequence[str]) -> Callable[[CheckResult], None]:
    def stop(result: CheckResult) -> None:
        if result.id in caught_by and result.status == "fail":
            raise _Caught

    return stop


def _results(
    fault: Fault, bed: Bed, show: Callable[[CheckResult], None]
) -> tuple[list[tuple[int, CheckResult]], str | None, int]:
    """(step, result) of every check; the message of the error that ended it, if one did; steps that were done."""
    gate = Gate(only=fault.when == "before", show=show)
    overrides = [*bed.overrides, *fault.overrides, *([f"loop.steps={fault.steps}"] if fault.steps else [])]
    error = None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "run"
        try:
            with bed.around(), fault.plant():
                resolved = resolve(bed.recipe.Config, bed.source, overrides)
                bed.recipe.run(resolved.config, resolved, out, False, gate)
        except _Caught:
            pass
        except TrueloopError as failure:
            error = str(failure)
        except UNRELATED as failure:
            error = f"{type(failure).__name__}: {failure}"
        run = Run.open(out) if (out / "run.json").is_file() else None
        rows = run.checks() if run is not None else []
        done = (run.last_step or 0) if run is not None else 0
    error = error or next((r.evidence for r in gate.results if r.id == "liveness.first_step" and r.refuses), None)
    asked = {(r.id, r.evidence) for r in gate.results}
    later = [(row["step"], _result(row)) for row in rows if (row["id"], row["evidence"]) not in asked]
    return [*((0, r) for r in gate.results), *later], error, done


def _result(row: Mapping[str, Any]) -> CheckResult:
    return replace(CheckResult(id=row["id"], status=row["status"]), **{k: v for k, v in row.items() if k in _FIELDS})


UNRELATED = (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, OSError)
"""What a fault may make other code raise: it ends that run, not the battery, and has caught nothing."""

_FIELDS = ("value", "limit", "evidence", "advice", "allowed")
