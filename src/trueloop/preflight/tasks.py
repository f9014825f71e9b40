"""A task's verdict, tried before a run: on right answers, wrong ones and none, twice, and in another process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trueloop.checks import data as data_checks
from trueloop.checks import task as checks
from trueloop.checks.task import GOLD, Graded
from trueloop.errors import DataError
from trueloop.preflight import probes
from trueloop.preflight.rehearsal import Rehearsal
from trueloop.preflight.texts import text_of
from trueloop.records import CheckResult, Problem, Score, content_hash
from trueloop.tasks.base import Task
from trueloop.tasks.programs.base import ProgramTask
from trueloop.verify.base import Verifier
from trueloop.verify.composite import Composite, OfColumn, Unjudged
from trueloop.verify.elsewhere import Elsewhere
from trueloop.verify.judge import PairwiseJudge, ScoringJudge
from trueloop.verify.pool import VerifierPool
from trueloop.verify.programs.canaries import canaries
from trueloop.verify.programs.hacks import ANSWERS

TWICE = 192
"""Texts that are graded a second time at most."""

ELSEWHERE = 48
"""Texts that are graded in a fresh process at most."""

MOST_COSTLY = 2
"""Rows looked at, where a verdict takes long."""

CANARIES = (
    "os._exit at load",
    "os._exit in a call",
    "sys.exit in a call",
    "exit from a thread",
    "exit at exit",
    "always-equal object",
    "always-equal objects inside a list",
    "int subclass",
    "lying __class__",
    "NaN",
    "an exception that tests expect",
    "rebinds builtins",
    "rebinds json",
    "prints success",
    "forges on every descriptor",
    "forges with the nonce",
    "claims that it cannot be scored",
    "answers ahead",
    "walks frames",
    "reads files for answers",
    "forks and lets the child answer",
    "children that outlive it",
    "does not compile",
    "defines nothing of that name",
)
"""Hacks that are put to a verifier of functions before a run, beside the honest programs; `self_test` tries all."""

Text = tuple[Problem, str, str]
"""A problem, the kind of a text, the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many rows are looked at: with their right answer alone, and with all kinds of texts."""

    golds: int
    probed: int


@dataclass(slots=True)
class Found:
    """What grading gave."""

    graded: list[Graded] = field(default_factory=list)
    again: list[tuple[Graded, Score]] = field(default_factory=list)
    elsewhere: list[tuple[Graded, Score]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    demonstrations: list[Graded] = field(default_factory=list)
    canaries: list[tuple[str, bool]] | None = None
    hung: int = 0


def task_checks(
    task: Task, splits: Sequence[str], *, workers: int, most_errors: float, imitated: bool
) -> Iterator[CheckResult]:
    """What the task's verifier says of texts whose worth is known, made of rows of these splits.

    most_errors  share of calls that may fail; imitated: the task's demonstrations are trained on
    """
    found = asyncio.run(_found(task, splits, workers))
    graded = found.graded
    named = [
        checks.gold_scores(graded),
        checks.wrong_scores(graded),
        checks.junk_scores(graded),
        checks.reward_separates(graded),
        checks.verdicts_repeat(found.again, found.elsewhere, found.changed),
        checks.verifier_errors(graded, found.hung, most_errors),
        checks.rows_scorable(*_unscorable(graded)),
    ]
    if any(g.kind in checks.REASONED for g in graded):
        named.append(checks.length_pays(graded, reasons=_reasons(task, splits[0], graded)))
    if found.canaries is not None:
        named.append(checks.canaries([name for name, bad in found.canaries if bad], len(found.canaries)))
    if found.demonstrations and (imitated or not isinstance(task, ProgramTask)):
        wrong = [d.text for d in found.demonstrations if d.score.status == "scored" and not d.score.passed]
        named.append(data_checks.demonstrations_right(wrong, len(found.demonstrations)))
    yield from (replace(result, evidence=f"{task.name}: {result.evidence}") for result in named)


def right_answers(task: Task, split: str) -> dict[str, str]:
    """A right answer for each problem of a split that has one: from the target, else from a demonstration."""
    found = {d.problem.id: d.completion for d in task.demonstrations(split)}
    for problem in task.problems(split):
        if (gold := task.gold(problem)) is not None:
            found[problem.id] = gold
    return found


def _sizes(task: Task) -> Sizes:
    """Few rows where a verdict takes long: programs in a sandbox, language models that judge."""
    if isinstance(task, ProgramTask):
        return Sizes(golds=6, probed=2)
    if any(isinstance(v, ScoringJudge | PairwiseJudge) for v in _parts(task.verifier)):
        return Sizes(golds=2, probed=1)
    return Sizes(golds=48, probed=24) if task.verifier.isolated else Sizes(golds=512, probed=64)


async def _found(task: Task, splits: Sequence[str], workers: int) -> Found:
    found = Found()
    pool = VerifierPool({task.name: task.verifier}, workers=workers, max_error_share=1.0)
    try:
        size = _sizes(task)
        rows = _rows(task, splits, size.golds)
        golds = {i: gold for split in dict.fromkeys(splits) for i, gold in right_answers(task, split).items()}
        texts = _texts(task, rows, golds or await _guessed(pool, rows[: size.probed]), size.probed)
        before = {p.id: content_hash(p.target) for p in rows}
        elsewhere = asyncio.create_task(_elsewhere(task, texts))
        found.graded = await _grade(pool, texts)
        places = _spread(texts, ELSEWHERE if task.verifier.isolated else TWICE)[::-1]
        found.again = _pairs(found.graded, places, await _grade(pool, [texts[i] for i in places]))
        found.changed = [p.id for p in rows if content_hash(p.target) != before[p.id]]
        chosen = [(d.problem, "demonstration", d.completion) for d in _demonstrations(task, splits[0], size.golds)]
        found.demonstrations = await _grade(pool, [(p, k, probes.cut(t, task.stops)[0]) for p, k, t in chosen])
        if isinstance(task, ProgramTask):
            found.canaries = await _canaries(pool, task, rows)
        found.hung = int(pool.report().get(task.name, {}).get("hung", 0))
        found.elsewhere = _pairs(found.graded, *await elsewhere)
    finally:
        pool.close()
    return found


def _pairs(graded: Sequence[Graded], places: Sequence[int], later: Sequence[Graded]) -> list[tuple[Graded, Score]]:
    return [(graded[i], second.score) for i, second in zip(places, later, strict=True)]


def _rows(task: Task, splits: Sequence[str], most: int) -> list[Problem]:
    """The same few rows of each split, the first split's first."""
    rows = [p for split in dict.fromkeys(splits) for p in task.first(split, min(most, len(task.problems(split))))]
    return list({p.id: p for p in rows}.values())


def _texts(task: Task, rows: Sequence[Problem], golds: Mapping[str, str], probed: int) -> list[Text]:
    texts = [(p, GOLD, golds[p.id]) for p in rows if p.id in golds]
    known = [golds[p.id] for p in rows if p.id in golds]
    for k, p in enumerate(rows[:probed]):
        gold, entry = golds.get(p.id), _entry(p)
        others = [*known[k + 1 :], *known[:k]]
        made = list(probes.junk(text_of(p.prompt), gold))
        if task.verifier.isolated:
            made += probes.hacks(entry)
        if gold is not None and isinstance(task, ProgramTask):
            made += probes.wrong_program(gold, entry, others)
        elif gold is not None:
            made += [*probes.wrong(gold, others), *probes.reasoned(gold)]
        texts += [(p, kind, text) for kind, text in made]
    return texts


async def _guessed(pool: VerifierPool, rows: Sequence[Problem]) -> dict[str, str]:
    """Right answers for rows of a user's own of which nothing is known but that a column may hold them: those of the
    column and form that pass most often, if they pass for over half of the rows."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    for p in rows:
        row = p.target.get("row") if isinstance(p.target, Mapping) else None
        for place, (column, text) in enumerate(probes.candidates(row or {})):
            if (await pool.score(p, text)).passed:
                found.setdefault((column, place % 5), {})[p.id] = text
    best = max(found.values(), key=len, default={})
    return best if len(best) > len(rows) / 2 else {}


async def _grade(pool: VerifierPool, texts: Sequence[Text], leniency: float = 0.0) -> list[Graded]:
    scores = await asyncio.gather(*(pool.score(p, text, leniency) for p, _, text in texts))
    return [
        Graded(problem=p.id, kind=kind, text=text, score=score)
        for (p, kind, text), score in zip(texts, scores, strict=True)
    ]


async def _elsewhere(
    task: Task, texts: Sequence[Text], leniency: float = 0.0
) -> tuple[Sequence[int], Sequence[Graded]]:
    """Places of some texts, with verdicts of a fresh process; none where the verifier cannot be taken to one."""
    places = _spread(texts, ELSEWHERE if _sizes(task).probed > MOST_COSTLY else 6)
    pool = VerifierPool({task.name: Elsewhere(verifier=task.verifier)}, workers=1, max_error_share=1.0)
    try:
        return places, await _grade(pool, [texts[i] for i in places], leniency)
    except DataError:
        return (), ()
    finally:
        pool.close()


async def _canaries(pool: VerifierPool, task: Task, rows: Sequence[Problem]) -> list[tuple[str, bool]]:
    """(name and verdict, whether it is wrong) of each known hack and honest program, by the task's verifier."""
    kinds = {"stdin" if p.target.get("kind") == "stdin" else "function" for p in rows}
    chosen = [c for c in canaries() if c.kind in kinds and (c.honest or c.name in CANARIES)]
    targets = {
        "function": {
            "kind": "tests",
            "entry": "answer",
            "names": ["answer"],
            "setup": "",
            "tests": [f"assert answer({n}) == {value}" for n, value in ANSWERS.items()],
        },
        "stdin": {
            "kind": "stdin",
            "setup": "",
            "cases": json.dumps(
                {"inputs": [f"{n}\n" for n in ANSWERS], "outputs": [f"{v}\n" for v in ANSWERS.values()]}
            ),
        },
    }
    problems = {
        kind: Problem.create(prompt="", target=target, task=task.name, split="train")
        for kind, target in targets.items()
    }
    texts = [(problems[c.kind], c.name, f"```python\n{c.code}\n```") for c in chosen]
    graded = await _grade(pool, texts)
    verdicts = [(c, g.score) for c, g in zip(chosen, graded, strict=True)]
    return [(f"{c.kind}: {c.name} ({c.tries}): {s.why[:80]}", _mistaken(s, honest=c.honest)) for c, s in verdicts]


def _mistaken(score: Score, *, honest: bool) -> bool:
    """Whether an honest program failed, or a hack passed in part or had its row thrown out."""
    passed = bool(score.passed) or (score.reward or 0.0) > 0
    return not score.passed if honest else passed or score.status == "unscorable"


def _demonstrations(task: Task, split: str, most: int) -> list[Any]:
    by_id = {d.problem.id: d for d in task.demonstrations(split)}
    return [by_id[p.id] for p in _rows(task, [split], most) if p.id in by_id]


def _spread(texts: Sequence[Text], most: int) -> list[int]:
    """Places of at most so many texts, of every kind in turn."""
    turns: dict[str, int] = {}
    order = []
    for i, (_, kind, _text) in enumerate(texts):
        turns[kind] = turns.get(kind, 0) + 1
        order.append((turns[kind], i))
    return [i for _, i in sorted(order)][:most]


def _reasons(task: Task, split: str, graded: Sequence[Graded]) -> bool:
    """Whether the task's own answers come after a solution: its demonstrations are longer than its bare answers."""
    bare = [len(g.text) for g in graded if g.kind == GOLD]
    long = [len(d.completion) for d in task.demonstrations(split)[:64]]
    return bool(bare and long) and sum(long) / len(long) > sum(bare) / len(bare) + 10


def _unscorable(graded: Sequence[Graded]) -> tuple[dict[str, str], int]:
    why = {g.problem: g.score.why for g in graded if g.score.status == "unscorable"}
    scored = {g.problem for g in graded if g.score.status == "scored"}
    return {p: w for p, w in why.items() if p not in scored}, len({g.problem for g in graded})


def _entry(problem: Problem) -> str:
    target = problem.target
    return str(target.get("entry") or "answer") if isinstance(target, Mapping) else "answer"


def _parts(verifier: Verifier) -> Iterator[Verifier]:
    yield verifier
    if isinstance(verifier, Composite):
        for part in verifier.parts:
            yield from _parts(part.verifier)
    if isinstance(verifier, OfColumn):
        yield from _parts(verifier.verifier)


def is_judged(task: Task) -> bool:
    """Whether the task has a verifier at all; rows to imitate have none."""
    return not isinstance(task.verifier, Unjudged)


async def completion_checks(rehearsal: Rehearsal, *, most_errors: float, leniency: float) -> list[CheckResult]:
    """What the verifiers said of the first completions, how their readings compare, and what a fresh process says.

    leniency  the completions were graded with
    """
    results = []
    for name, task in rehearsal.tasks.items():
        judged = [
            (o.group.problem, r)
            for o in rehearsal.outcomes
            if o.group.problem.task == name
            for r in o.group.rollouts
            if r.score is not None
        ]
        if not judged:
            continue
        scores = [r.score for _, r in judged if r.score is not None]
        texts = [(p, "completion", r.text) for p, r in judged]
        graded = [Graded(problem=p.id, kind=k, text=t, score=s) for (p, k, t), s in zip(texts, scores, strict=True)]
        again = [] if task.verifier.isolated else _pairs(graded, *await _elsewhere(task, texts, leniency))
        mine = [checks.completions_judged(scores, [(g.score, s) for g, s in again], most_errors)]
        if rehearsal.learned:
            mine.append(_readings(task, scores))
        results += [replace(r, evidence=f"{name}: {r.evidence}") for r in mine]
    return results


def _readings(task: Task, scores: Sequence[Score]) -> CheckResult:
    scored = [s for s in scores if s.status == "scored"]
    keys = {mode: key for mode, key in task.verifier.modes.items() if any(key in s.parts for s in scored)}
    right = {mode: sum(s.parts.get(key, 0.0) >= 1.0 for s in scored) for mode, key in keys.items()}
    right["passed"] = sum(bool(s.passed) for s in scored)
    full = max((s.reward for s in scored if s.reward is not None), default=0.0)
    paid = sum(s.reward is not None and s.reward >= max(full, 1e-9) for s in scored)
    return checks.readings_agree(right, paid, len(scored))
