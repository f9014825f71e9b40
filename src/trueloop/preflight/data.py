"""The rows that a run reads, looked at before it: repeats, contradictions, overlaps, leaks, lengths, columns."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from trueloop.chat import Tokenizer, encode_prompt
from trueloop.checks import data as checks
from trueloop.errors import DataError
from trueloop.preflight import probes
from trueloop.preflight.columns import columns_read
from trueloop.preflight.tasks import right_answers
from trueloop.preflight.texts import Sketches, bare, near_pairs, normal, sketches, text_of
from trueloop.records import CheckResult, Json, Problem, content_hash
from trueloop.tasks.base import Demonstration, Task
from trueloop.tasks.own import OwnTask

COMPARED = 5000
"""Rows that are looked through for others that are nearly the same at most."""

MEASURED = 256
"""Rows whose tokens are counted at most."""


@dataclass(frozen=True, kw_only=True)
class Reads:
    """Rows that a run reads.

    most   of them, in the task's own order by content; None: all
    order  the ids of a curriculum
    """

    task: Task
    split: str
    most: int | None = None
    order: Sequence[str] | None = None

    @property
    def name(self) -> str:
        """Of the split, as runs and evaluations call it."""
        return f"{self.task.name}/{self.split}"

    @cached_property
    def answers(self) -> Mapping[str, str]:
        """A right answer by problem id, for the rows that have one."""
        return right_answers(self.task, self.split)

    @cached_property
    def problems(self) -> Sequence[Problem]:
        """The rows."""
        return self.task.problems(self.split) if self.most is None else self.task.first(self.split, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What limits allow: tokens of a prompt, and whose limit it is; tokens of prompt and answer together, where the
    model's configuration says; few-shot examples in a prompt."""

    tokenizer: Tokenizer
    prompt_tokens: int
    whose: str
    context: int | None = None
    shots: int = 0

    def prompt(self, task: Task, problem: Problem) -> int:
        """The tokens of a problem as it is asked."""
        asked = task.prompt(problem, task.few_shot(self.shots, exclude=problem.id))
        return len(encode_prompt(self.tokenizer, asked, task.template))


def data_checks(
    train: Sequence[Reads],
    guard: Reads | None,
    *,
    per_step: int,
    room: Room,
    imitated: Sequence[Demonstration] | None,
) -> Iterator[CheckResult]:
    """What the rows of a run say of themselves.

    train, guard  what it trains on, and evaluates itself on
    per_step      problems (or rows) of an optimizer step
    imitated      the demonstrations that are trained on; None where none are
    """
    read = [*train, *([guard] if guard is not None else [])]
    rows = {r.name: len(r.task.problems(r.split)) for r in read}
    yield checks.recorded(rows, {r.name: r.task.data_hash(r.split) for r in read})
    yield checks.ids_clash(*_clashes([p for r in read for p in r.task.problems(r.split)]))
    problems = [p for r in train for p in r.problems]
    questions = _questions(problems)
    compared = sketches(_first(questions))
    yield _repeated(train, questions, compared)
    yield checks.fewer_than_a_step(len(problems), per_step)
    yield from _overlaps(train, guard, questions, compared)
    if guard is not None:
        yield checks.guard_size(len(guard.problems))
    for part in train:
        yield from (replace(r, evidence=f"{part.name}: {r.evidence}") for r in _of_part(part, room))
    if imitated is not None:
        answers = train[0].answers
        different = len({answers[d.problem.id] for d in imitated if d.problem.id in answers})
        yield checks.demonstrations([d.completion for d in imitated], different)


def _of_part(part: Reads, room: Room) -> Iterator[CheckResult]:
    answers = part.answers
    yield _contradictions(part, answers)
    bare_answers = _bare_answers(part)
    yield checks.answers_vary(list(bare_answers.values()))
    yield _leaks(part, bare_answers or answers)
    yield _prompt_lengths(part, room)
    yield from _answer_lengths(part, room)
    if part.order is not None:
        known = {p.id for p in part.problems}
        missing = [i for i in part.order if i not in known]
        yield checks.order(len(part.order), missing, len(part.problems))
    if isinstance(part.task, OwnTask):
        yield from _columns(part)


def _bare_answers(part: Reads) -> dict[str, str]:
    """The right answer of each row without a solution: of a user's own rows the column that the reward reads, the one
    with most values."""
    if not isinstance(part.task, OwnTask):
        return {p.id: a for p in part.problems if (a := part.task.gold(p)) is not None}
    rows = {p.id: p.target["row"] for p in part.problems}
    columns = [
        {i: str(row[name]) for i, row in rows.items() if row.get(name) is not None} for name in columns_read(part.task)
    ]
    return max(columns, key=lambda column: len(set(column.values())), default={})


def _clashes(problems: Sequence[Problem]) -> tuple[list[str], int]:
    contents: dict[str, set[str]] = defaultdict(set)
    for p in problems:
        contents[p.id].add(content_hash(text_of(p.prompt), p.target))
    return sorted(i for i, c in contents.items() if len(c) > 1), len(contents)


def _first(questions: Mapping[str, str]) -> dict[str, str]:
    """Each question once, and no more of them than are compared."""
    return {i: q for q, i in sorted({q: i for i, q in questions.items()}.items())[:COMPARED]}


def _agree(one: str | None, other: str | None) -> bool:
    """Whether two answers are the same as far as is known: questions may differ in the one word that counts."""
    return one is None or other is None or one.strip() == other.strip()


def _repeated(train: Sequence[Reads], questions: Mapping[str, str], compared: Sketches) -> CheckResult:
    rows = sum(len(r.problems) + r.task.duplicates(r.split) for r in train)
    answers = {i: answer for r in train for i, answer in r.answers.items()}
    pairs = [(a, b) for a, b in near_pairs(compared) if _agree(answers.get(a), answers.get(b))]
    repeated = [q for q, n in Counter(questions.values()).items() if n > 1]
    example = repeated[0] if repeated else questions[pairs[0][0]] if pairs else next(iter(questions.values()))
    return checks.repeated_rows(rows, len(set(questions.values())), len({b for _, b in pairs}), example)


def _overlaps(
    train: Sequence[Reads], guard: Reads | None, trained: Mapping[str, str], compared: Sketches
) -> Iterator[CheckResult]:
    """Of the rows that the guard evaluates, and of every other split of the tasks that can be read here."""
    names = {r.name for r in train}
    judges = [guard] if guard is not None else []
    for task in {r.task.name: r.task for r in train}.values():
        others = (Reads(task=task, split=split) for split in task.at_hand())
        new = [r for r in others if r.name not in names and (guard is None or r.name != guard.name)]
        judges += [r for r in new if _is_readable(r)]
    known = set(trained.values())
    in_full = {normal(text_of(p.prompt)) for r in train for p in r.problems}
    known_answers = {i: answer for r in train for i, answer in r.answers.items()}
    for judge in judges:
        asked = _questions(judge.problems)
        whole = {p.id: normal(text_of(p.prompt)) for p in judge.problems}
        same = {i for i, q in asked.items() if q in known or whole[i] in in_full}
        exact = [q for i, q in asked.items() if i in same]
        rest = {i: q for i, q in asked.items() if i not in same}
        answers = judge.answers
        near = [
            (a, b)
            for a, b in near_pairs(sketches(_first(rest)), compared)
            if _agree(answers.get(a), known_answers.get(b))
        ]
        yield checks.train_eval_overlap(
            judge.name,
            exact,
            sorted({rest[i] for i, _ in near}),
            len(asked),
            same_split=judge.name in names,
            evaluated=judge is guard,
        )


def _is_readable(reads: Reads) -> bool:
    """Whether a split that the run does not need has rows; one that has none is no reason to stop."""
    try:
        return bool(reads.problems)
    except DataError:
        return False


def _questions(problems: Sequence[Problem]) -> dict[str, str]:
    """Problem id -> its question in normal spelling, without what all prompts of its task share."""
    found: dict[str, str] = {}
    tasks: dict[tuple[str, str], list[Problem]] = defaultdict(list)
    for p in problems:
        tasks[p.task, p.split].append(p)
    for rows in tasks.values():
        found |= {p.id: normal(t) for p, t in zip(rows, bare([text_of(p.prompt) for p in rows]), strict=True)}
    return found


def _contradictions(part: Reads, answers: Mapping[str, str]) -> CheckResult:
    reads = columns_read(part.task)
    said: dict[str, list[str]] = defaultdict(list)
    for p in part.problems:
        own = _json([p.target["row"].get(name) for name in reads]) if reads else answers.get(p.id)
        answer = own if isinstance(part.task, OwnTask) else part.task.gold(p) or content_hash(p.target)
        if answer is not None:
            said[normal(text_of(p.prompt))].append(answer.strip())
    several = {prompt: a for prompt, a in said.items() if len(set(a)) > 1}
    return checks.contradictions(list(several), sum(map(len, several.values())), sum(map(len, said.values())))


def _leaks(part: Reads, answers: Mapping[str, str]) -> CheckResult:
    rows = [p for p in _some(part) if answers.get(p.id, "").strip()]
    stated = stated_other = plain = plain_other = 0
    for p, other in zip(rows, [*rows[1:], *rows[:1]], strict=True):
        prompt, mine, theirs = text_of(p.prompt), answers[p.id].strip(), answers[other.id].strip()
        if mine == theirs:
            continue
        stated += _states(prompt, _bare(mine))
        stated_other += _states(prompt, _bare(theirs))
        plain += _holds(prompt, _bare(mine))
        plain_other += _holds(prompt, _bare(theirs))
    return checks.answer_in_prompt(stated, stated_other, plain, plain_other, len(rows))


def _bare(answer: str) -> str:
    """What an answer states, without the format that states it."""
    for opening, closing in (("\\boxed{", "}"), ("#### ", ""), ("The answer is ", "."), ("= ", ""), ("Answer: ", "")):
        if answer.startswith(opening) and answer.endswith(closing):
            return answer[len(opening) : len(answer) - len(closing)]
    return answer


def _states(text: str, answer: str) -> bool:
    """Whether a text gives an answer in one of the formats that answers are given in."""
    return any(form + answer in text for form in ("\\boxed{", "#### ", "The answer is ", "Answer: "))


def _holds(text: str, answer: str) -> bool:
    """Whether a text holds an answer as words of their own."""
    at = text.find(answer)
    while at >= 0:
        around = (text[at - 1 : at], text[at + len(answer) : at + len(answer) + 1])
        if not any(c.isalnum() for c in around):
            return True
        at = text.find(answer, at + 1)
    return False


def _some(part: Reads) -> Sequence[Problem]:
    return part.task.first(part.split, min(MEASURED, len(part.task.problems(part.split))))


def _prompt_lengths(part: Reads, room: Room) -> CheckResult:
    lengths = [room.prompt(part.task, p) for p in _some(part)]
    return checks.prompts_too_long(lengths, room.prompt_tokens, room.whose)


def _answer_lengths(part: Reads, room: Room) -> Iterator[CheckResult]:
    """Whether sampling would cut right answers: the worked ones where there are some, else the bare ones."""
    task = part.task
    known = {d.problem.id: d.completion for d in task.demonstrations(part.split)}
    answers = known or part.answers
    rows = [p for p in _some(part) if p.id in answers]
    at_limit, at_stop = 0, Counter[str]()
    for p in rows:
        kept, stop = probes.cut(answers[p.id], task.stops)
        if stop is not None and _loses(task, p, answers[p.id], kept, stop):
            at_stop[stop] += 1
        else:
            left = task.max_tokens if room.context is None else room.context - room.prompt(task, p)
            at_limit += len(room.tokenizer.encode(kept, add_special_tokens=False)) > min(task.max_tokens, left)
    if rows:
        yield checks.answers_cut(at_limit, at_stop, len(rows), task.max_tokens)


def _loses(task: Task, problem: Problem, whole: str, kept: str, stop: str) -> bool:
    """Whether an answer is no answer any more where a stop string has cut it; where a verdict may take long, whether
    anything comes after it."""
    if task.verifier.isolated:
        return bool(whole[len(kept) + len(stop) :].strip())
    return bool(task.grade(problem, whole).passed) and not task.grade(problem, kept).passed


def _columns(part: Reads) -> Iterator[CheckResult]:
    rows: list[Mapping[str, Json]] = [p.target["row"] for p in part.problems]
    reads = columns_read(part.task)
    lacking = {name: sum(row.get(name) is None for row in rows) for name in reads}
    has = list(dict.fromkeys(column for row in rows[:MEASURED] for column in row))
    yield checks.columns_exist(reads, lacking, len(rows), has)
    values = {name: [_json(row[name]) for row in rows if row.get(name) is not None] for name in reads}
    yield checks.columns_vary(values)


def _json(value: Json) -> str:
    return json.dumps(value, sort_keys=True, default=str)
