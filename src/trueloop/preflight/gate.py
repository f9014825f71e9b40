"""The gate before a run: collects what the checks said, and lets the run through or refuses it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from trueloop.checks import liveness
from trueloop.checks.catalogue import CATALOGUE
from trueloop.errors import CheckFailed, ConfigError, TrueloopError
from trueloop.records import CheckResult
from trueloop.store.run import Run

Show = Callable[[CheckResult], None]
Say = Callable[[str], None]


class Gate:
    """What a recipe's preflight reports to.

    allow  check id -> why a fail of it does not stop the run; recorded in the run's results
    only   the run ends after its checks: nothing is trained
    place  where the run itself would stand, if it is checked elsewhere: its disk is what must have room
    show   is called with each result as it comes
    say    is called with the count of all of them, once the run is let through

    Raises `ConfigError` for an id that no check has, and for one without a reason.
    """

    def __init__(
        self,
        *,
        allow: Mapping[str, str] | None = None,
        only: bool = False,
        place: Path | None = None,
        show: Show = lambda result: None,
        say: Say = lambda words: None,
    ) -> None:
        self.only, self.place, self.show, self.say = only, place, show, say
        self.allow: dict[str, str] = {}
        self.results: list[CheckResult] = []
        self._written = 0
        self.permit(allow or {})

    def permit(self, allow: Mapping[str, str]) -> None:
        """Allow further checks to fail; a reason that was given before stays."""
        for id, because in allow.items():
            _require_known(id)
            if not because.strip():
                raise ConfigError(f"{id} is allowed to fail without a reason; say why with --because, or in allow")
        self.allow = {**allow, **self.allow}

    def take(self, results: Iterable[CheckResult]) -> None:
        """Ask the checks of an iterator, one by one, and keep what they say."""
        for result in results:
            because = self.allow.get(result.id, "") if result.status == "fail" else ""
            self.results.append(replace(result, allowed=because))
            self.show(self.results[-1])

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Around what tries a first batch and a first step: an error on the way is a result like any other."""
        error = None
        try:
            yield
        except CheckFailed:
            raise
        except TrueloopError as failure:
            error = str(failure)
        if error is not None or all(r.id != "liveness.first_step" for r in self.results):
            self.take([liveness.first_step(error)])

    def refusals(self) -> list[CheckResult]:
        """The results that stop the run."""
        return [r for r in self.results if r.refuses]

    def require(self) -> None:
        """Raise `CheckFailed` if the run must not go on; never where there are only checks."""
        if (refusals := self.refusals()) and not self.only:
            raise CheckFailed(refusal(refusals))

    def decide(self, run: Run, *, begins: bool) -> None:
        """Let the run through or refuse it; what was asked is written into it, as of step 0, in both cases.

        begins  False for a rehearsal before something else, such as a warm start.  Raises as `require` does.
        """
        if begins or self.refusals():
            self.say(f"checks: {counted(self.results)}")
            for result in self.results[self._written :]:
                run.add_check(result, 0)
            self._written = len(self.results)
        self.require()

    def inner(self) -> Gate:
        """The gate of a run within the run, such as its warm start: the same rules, its own results."""
        return Gate(allow=self.allow, only=self.only, show=self.show, say=self.say)


def counted(results: Sequence[CheckResult]) -> str:
    """How many results there are, by what they say."""
    counts = Counter(r.status for r in results)
    allowed = sum(bool(r.allowed) for r in results)
    words = [f"{counts[status]} {status}" for status in ("pass", "warn", "fail", "unknown") if counts[status]]
    return f"{len(results)} results: {', '.join(words)}" + (f" ({allowed} of the fails allowed)" if allowed else "")


def refusal(failed: Iterable[CheckResult]) -> str:
    """Why a run is refused: each check with its evidence, the next step, and how to go on all the same."""
    failed = list(failed)
    lines = [f"{len(failed)} {'check says' if len(failed) == 1 else 'checks say'} that this run cannot mean anything"]
    for result in failed:
        lines += [f"  {result.id}: {result.evidence}", f"    {result.advice}"]
    lines.append(f"to go on all the same: --allow {failed[0].id} --because TEXT, which the run will carry")
    return "\n".join(lines)


def _require_known(id: str) -> None:
    if id not in CATALOGUE:
        near = difflib.get_close_matches(id, CATALOGUE, n=1, cutoff=0.0)
        raise ConfigError(f"allow {id}: no check has this id; did you mean {near[0]}?  trueloop checks lists them")
