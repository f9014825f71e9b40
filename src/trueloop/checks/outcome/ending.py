"""How a run ended, and what it carries that a reader of its figures must know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from trueloop.checks.base import Verdict, check, excerpt, fail, listed, passed, unknown, warn
from trueloop.records import CheckResult

DISK = re.compile(r"no space left|disk (?:is )?full|quota|errno 28|ENOSPC|read-only file system", re.IGNORECASE)
MEMORY = re.compile(r"out of memory|MemoryError|cannot allocate|OOM|oom-kill", re.IGNORECASE)


@check(
    "outcome.ended_well",
    when="after",
    question="Did the run come to its end?",
    limit="fail where it failed or was killed, warn where it was interrupted; unknown while it runs",
)
def ended_well(state: str, why: str, step: int | None, steps: int | None) -> Verdict:
    """The state that the run directory has."""
    said = f"{state} at step {step if step is not None else '?'} of {steps or '?'}" + (
        f": {excerpt(why)}" if why else ""
    )
    if state == "finished":
        return passed(said, value=step)
    if state == "running":
        return unknown(said, "ask again when it has ended", value=step)
    again = "mend the cause, then go on: trueloop resume RUN"
    if state == "interrupted":
        return warn(said, again, value=step)
    return fail(said, again, value=step)


@check(
    "outcome.not_refused",
    when="after",
    question="Did every check let it go on?",
    limit="fail where a check refused it before its first step, or stopped it",
)
def not_refused(why: str) -> Verdict:
    """The reason that the status gives."""
    if why.startswith("CheckFailed"):
        return fail(excerpt(why, 400), "mend what the check names")
    return passed("no check stopped it")


@check(
    "outcome.disk",
    when="after",
    question="Was there room on the disk?",
    limit="fail where the words of the end tell of a full or read-only disk",
)
def disk(why: str, ended: bool) -> Verdict:
    """The reason that the status gives."""
    if DISK.search(why):
        return fail(f"it ended for want of disk: {excerpt(why)}", "free space, then: trueloop resume RUN")
    return passed("nothing tells of a full disk") if ended else unknown("it has not ended")


@check(
    "outcome.memory",
    when="after",
    question="Was there enough memory?",
    limit="fail where the words of the end tell of memory; warn where it was killed without a word",
)
def memory(why: str, state: str) -> Verdict:
    """The reason that the status gives; a process that the system ends for memory leaves none."""
    advice = "lower batching.budget or engine.cache_tokens, then: trueloop resume RUN"
    if MEMORY.search(why):
        return fail(f"it ended for want of memory: {excerpt(why)}", advice)
    if state == "killed":
        return warn("it was killed from outside without a word, as a system short of memory does", advice)
    return passed("nothing tells of a lack of memory") if state != "running" else unknown("it has not ended")


@check(
    "outcome.kept_moving",
    when="after",
    question="Did the run move all the time?",
    limit="warn for each standstill or slow step that its watchdog saw; fail where one ended the run",
)
def kept_moving(stuck: str, why: str) -> Verdict:
    """The watchdog's words, and the reason of the end."""
    reports = [line for line in stuck.splitlines() if line.strip()]
    if "nothing has moved" in why:
        return fail(excerpt(why, 300), "read stuck.log: what waits for what", value=len(reports), limit=0)
    if reports:
        return warn(
            f"{len(reports)} lines in stuck.log: {excerpt(reports[-1], 200)}", "read stuck.log", value=len(reports)
        )
    return passed("no standstill was seen", value=0, limit=0)


@check(
    "outcome.steps_taken_whole",
    when="after",
    question="Could every step be taken?",
    limit="fail where a batch is kept whose step could not be taken",
)
def steps_taken_whole(failures: Sequence[str]) -> Verdict:
    """Names of the kept batches."""
    if failures:
        return fail(
            f"failing batches: {listed(failures)}", f"trueloop replay {failures[0]}", value=len(failures), limit=0
        )
    return passed("no failing batch was kept", value=0, limit=0)


@check(
    "outcome.nothing_overridden",
    when="after",
    question="Did the run begin without a check being overridden?",
    limit="warn for each fail that was allowed: whatever is said of the run carries it",
)
def nothing_overridden(results: Sequence[CheckResult]) -> Verdict:
    """The results of the run's checks."""
    allowed = [f"{r.id} ({r.allowed})" for r in results if r.allowed]
    if not results:
        return unknown("the run has no results of checks")
    if allowed:
        return warn(
            f"allowed to fail: {listed(allowed)}", "name it beside every figure of this run", value=len(allowed)
        )
    return passed(f"none of {len(results)} results was overridden", value=0, limit=0)


@check(
    "outcome.one_code",
    when="after",
    question="Was the whole run made by one code and one configuration?",
    limit="warn for each resume with other code or other values",
)
def one_code(resumes: Sequence[Mapping[str, object]]) -> Verdict:
    """The rows of resumes.jsonl: `step`, `config` changes, `code` changes."""
    changed = [r for r in resumes if r.get("config") or r.get("code")]
    if changed:
        what = [f"step {r.get('step')}: {listed([*_keys(r.get('config')), *_keys(r.get('code'))])}" for r in changed]
        return warn(
            f"resumed with changes: {listed(what)}", "say so beside its figures, or run it anew", value=len(changed)
        )
    return passed(f"{len(resumes)} resumes, none with changes", value=0, limit=0)


def _keys(changes: object) -> list[str]:
    return list(map(str, changes)) if isinstance(changes, Mapping | list | tuple) else []


@check(
    "outcome.warm_start_reached",
    when="after",
    question="Did the warm start give the policy that the run was to begin with?",
    limit="fail where it failed or was killed; warn where it ended without reaching the target that it stops at",
)
def warm_start_reached(state: str, why: str, best: float | None, target: float | None) -> Verdict:
    """How the run within the run ended; the best value of its metric, and the one that it was to reach."""
    said = f"warm start {state}" + (f": {excerpt(why)}" if why else "")
    if state in ("failed", "killed"):
        return fail(said, "mend the cause in RUN/warm_start: trueloop doctor RUN/warm_start")
    if state == "finished" and target is not None and best is not None and best < target:
        advice = "give warm_start.loop more steps, or another warm_start.optim.lr"
        return warn(f"{said}; best {best:.3g}, target {target:g}", advice, value=best, limit=target)
    return passed(said, value=best, limit=target) if state == "finished" else unknown(said)


@check(
    "outcome.as_expected",
    when="after",
    question="Does a run that is unhealthy on purpose get the diagnosis that it declared?",
    limit="pass for this diagnosis as the most likely one, fail for any other, healthy too",
)
def as_expected(found: Sequence[str], expected: str) -> Verdict:
    """Ids of the diagnoses, most likely first, and the one that was declared."""
    if found and found[0] == expected:
        return passed(f"diagnosed as declared: {expected}", value=list(found), limit=expected)
    return fail(f"declared {expected}, found {listed(found) or 'nothing'}", "trueloop doctor RUN", value=list(found))


@check(
    "outcome.only_the_named_key_differs",
    when="after",
    question="Do compared runs differ in nothing but what is named?",
    limit="fail for any other key of the configuration, data, code or packages that differs; seeds, what is kept and "
    "what is allowed may",
)
def only_the_named_key_differs(differing: Sequence[str], named: Sequence[str]) -> Verdict:
    """Dotted keys that differ between runs, and those that the comparison is about."""
    harmless = ("seed", "loop.checkpoint_every", "retention", "verifier_workers", "allow", "expects")
    other = [key for key in differing if not any(key == n or key.startswith(f"{n}.") for n in (*named, *harmless))]
    absent = [n for n in named if not any(key == n or key.startswith(f"{n}.") for key in differing)]
    if other:
        return fail(
            f"besides {listed(named) or 'nothing'} they differ in {listed(other)}", "run them alike", value=other
        )
    if absent:
        return fail(f"{listed(absent)} does not differ between them", "name the key that was changed", value=absent)
    return passed(f"they differ in {listed(named) or 'nothing'} only", value=[])


@check(
    "outcome.seeds",
    when="after",
    question="Was it done with several seeds?",
    limit="unknown below 3 runs with different seeds: one run has no spread",
)
def seeds(found: Sequence[int]) -> Verdict:
    """The seeds of the runs behind a figure."""
    n = len(set(found))
    if n < len(found):
        return fail(f"{len(found)} runs have {n} different seeds: the same run counts once", "change --seed", value=n)
    if n < 3:
        return unknown(
            f"{n} seed{'s' * (n != 1)}: how far another would lie is not known", "run it with --seed 1, 2", value=n
        )
    return passed(f"{n} seeds", value=n, limit=3)
