"""Faults of data: rows that repeat, contradict, leak, do not fit, or judge what they have trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from trueloop.faults import rows, seams
from trueloop.faults.base import Fault
from trueloop.faults.rows import Row
from trueloop.recipes import reading
from trueloop.records import Problem
from trueloop.tasks import registry
from trueloop.tasks.base import Demonstration, Task


def _rows(
    change: Callable[[list[Row]], Sequence[Row]], split: str = "train"
) -> Callable[[], AbstractContextManager[Any]]:
    """The rows of one file are changed."""
    return lambda: rows.changed(lambda file, found: change(found) if file.startswith(split) else found)


class _Copied:
    """Rows of the test file that stand among the training rows, first in their own words and then as `reworded`."""

    def __init__(self, reworded: Callable[[str], str]) -> None:
        self.reworded = reworded

    def __call__(self, file: str, found: list[Row]) -> list[Row]:
        """The rows of a file; of the second file, some of the first."""
        if file.startswith("train"):
            self.seen = found[:20]
            return found
        copies = [{**row, "prompt": self.reworded(row["prompt"])} for row in self.seen]
        return [*found[20:], *copies]


def _eval_in_train(reworded: Callable[[str], str] = lambda prompt: prompt) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: rows.changed(_Copied(reworded))


def contradicting(found: list[Row]) -> list[Row]:
    """A tenth of the rows again, with other answers."""
    return [*found, *({**row, "answer": str(int(row["answer"]) + 1)} for row in found[::10])]


def leaking(found: list[Row], form: str) -> list[Row]:
    """Prompts that tell the answer."""
    return [{**row, "prompt": form.format(answer=row["answer"]) + row["prompt"]} for row in found]


def long_winded(found: list[Row]) -> list[Row]:
    """Every fourth prompt is longer than the model reads."""
    return [{**row, "prompt": "Consider. " * 60 + row["prompt"]} if k % 4 == 0 else row for k, row in enumerate(found)]


def restyled(found: list[Row]) -> list[Row]:
    """Twenty questions in many spellings of the same words."""
    spelt = (str.upper, str.lower, lambda p: p + " ", lambda p: " " + p, lambda p: p.replace(" ", "  "))
    return [{**row, "prompt": spell(row["prompt"])} for row in found[:20] for spell in spelt]


def imitating(
    change: Callable[[Sequence[Demonstration]], Sequence[Demonstration]],
) -> Callable[[], AbstractContextManager[Any]]:
    """Tasks whose demonstrations are others."""

    def changed(task: Task) -> None:
        original = task.demonstrations
        task.demonstrations = lambda split: change(original(split))  # type: ignore[method-assign]

    return lambda: seams.task(changed)


def _said(completions: Callable[[int, str], str]) -> Callable[[Sequence[Demonstration]], Sequence[Demonstration]]:
    return lambda found: [replace(d, completion=completions(k, d.completion)) for k, d in enumerate(found)]


def shifted(found: Sequence[Demonstration]) -> Sequence[Demonstration]:
    """Each answer stands beside the next question."""
    said = [d.completion for d in found]
    return [replace(d, completion=c) for d, c in zip(found, [*said[1:], *said[:1]], strict=True)]


def numbered(task: Task) -> None:
    """Ids are places in the file."""
    load = task._load

    def rows_of(split: str) -> Iterator[Problem]:
        return (replace(p, id=f"{task.name}-{k}") for k, p in enumerate(load(split)))

    task._load = rows_of  # type: ignore[method-assign]


def stopped(task: Task) -> None:
    """The answer's own sign is a stop string."""
    task.stops = (*task.stops, "=")


@contextmanager
def _curriculum(change: Callable[[list[str]], list[str]]) -> Iterator[None]:
    """A curriculum of the arithmetic world's training problems."""
    task = registry.Arithmetic().build()
    ids = change([p.id for p in task.first("train", 400)])

    def read(path: object) -> list[str]:
        return ids

    with mock.patch.object(registry, "read_order", read), mock.patch.object(reading, "read_order", read):
        yield


_ORDERED = ("tasks.parts=[{task={kind='arithmetic'}, order='curriculum.txt'}]",)
_APART = ("data.train_eval_overlap",)

FAULTS = (
    Fault(
        id="guard_on_training_split",
        mechanism="evaluated on training rows",
        what="the guard evaluates the rows that train",
        caught_by=_APART,
        recorded=("trl 13", "rlvr 96"),
        overrides=("guard.split='train'",),
    ),
    Fault(
        id="eval_rows_in_training",
        mechanism="evaluated on training rows",
        what="half of the evaluation's rows are also trained on",
        caught_by=_APART,
        recorded=("trl 13", "rlvr 97", "belief 16"),
        bed="own",
        plant=_eval_in_train(),
    ),
    Fault(
        id="eval_rows_in_training_reworded",
        mechanism="evaluated on training rows",
        what="the evaluation's rows are trained on in another spelling",
        caught_by=_APART,
        recorded=("belief 16",),
        bed="own",
        plant=_eval_in_train(lambda p: p.upper().replace("=?", " = ?").replace(" = ?", "=?!")),
    ),
    Fault(
        id="identical_prompts",
        mechanism="rows repeat",
        what="32 rows, all of them the same",
        caught_by=("data.repeated_rows",),
        recorded=("trl 14", "preference 25"),
        bed="own",
        plant=_rows(lambda found: found[:1] * 32),
    ),
    Fault(
        id="prompts_restyled",
        mechanism="rows repeat",
        what="few questions in many spellings",
        caught_by=("data.repeated_rows",),
        bed="own",
        plant=_rows(restyled),
    ),
    Fault(
        id="few_rows",
        mechanism="rows repeat",
        what="the filter left four rows",
        caught_by=("data.fewer_than_a_step",),
        bed="own",
        plant=_rows(lambda found: found[:4]),
    ),
    Fault(
        id="rows_contradict",
        mechanism="rows contradict",
        what="a tenth of the prompts come with two answers",
        caught_by=("data.contradictions",),
        bed="own",
        plant=_rows(contradicting),
    ),
    Fault(
        id="one_answer",
        mechanism="answers do not vary",
        what="the column with the answer is the first row's in every row",
        caught_by=("data.answers_vary", "data.columns_vary"),
        bed="own",
        plant=_rows(lambda found: [{**row, "answer": found[0]["answer"]} for row in found]),
    ),
    Fault(
        id="answers_missing",
        mechanism="columns missing",
        what="a fifth of the rows have no answer",
        caught_by=("data.columns_exist",),
        bed="own",
        plant=_rows(lambda found: [{**r, "answer": r["answer"] if k % 5 else None} for k, r in enumerate(found)]),
    ),
    Fault(
        id="answer_in_prompt",
        mechanism="answer leaks",
        what="the prompt states the answer",
        caught_by=("data.answer_in_prompt",),
        bed="own",
        plant=_rows(lambda found: leaking(found, "The answer is {answer}. ")),
    ),
    Fault(
        id="answer_in_prompt_bare",
        mechanism="answer leaks",
        what="the prompt has a column with the answer in it",
        caught_by=("data.answer_in_prompt",),
        bed="own",
        plant=_rows(lambda found: leaking(found, "[{answer}] ")),
    ),
    Fault(
        id="prompts_too_long",
        mechanism="rows do not fit",
        what="every fourth prompt is longer than the model's context",
        caught_by=("data.prompts_too_long",),
        recorded=("rlvr 66", "rlvr 67"),
        bed="own",
        plant=_rows(long_winded),
    ),
    Fault(
        id="max_prompt_tokens_low",
        mechanism="rows do not fit",
        what="flow.max_prompt_tokens is below the prompts' length",
        caught_by=("data.prompts_too_long",),
        recorded=("rlvr 66",),
        overrides=("flow.max_prompt_tokens=12",),
    ),
    Fault(
        id="max_tokens_low",
        mechanism="rows do not fit",
        what="right answers are longer than max_tokens",
        caught_by=("data.answers_cut",),
        recorded=("trl 9", "rlvr 92"),
        overrides=("tasks.parts=[{task={kind='arithmetic', max_tokens=12}}]",),
    ),
    Fault(
        id="stop_within_answers",
        mechanism="rows do not fit",
        what="a stop string stands in the middle of right answers",
        caught_by=("data.answers_cut",),
        recorded=("rlvr 38",),
        plant=lambda: seams.task(stopped),
    ),
    Fault(
        id="ids_by_place",
        mechanism="ids clash",
        what="ids are places in the file, so that rows of two splits share them",
        caught_by=("data.ids_clash",),
        recorded=("rlvr 71",),
        plant=lambda: seams.task(numbered),
    ),
    Fault(
        id="curriculum_of_other_ids",
        mechanism="curriculum does not match",
        what="two thirds of the curriculum's ids are spelt otherwise than the data's",
        recorded=("rlvr 65",),
        overrides=_ORDERED,
        plant=lambda: _curriculum(lambda ids: [i if k % 3 == 0 else i.upper() for k, i in enumerate(ids)]),
        refused="ids of its order are among its problems",
    ),
    Fault(
        id="curriculum_short",
        mechanism="curriculum does not match",
        what="the curriculum lists few of the problems",
        caught_by=("data.order",),
        recorded=("rlvr 65",),
        overrides=_ORDERED,
        plant=lambda: _curriculum(lambda ids: ids),
    ),
    Fault(
        id="guard_too_small",
        mechanism="guard sees nothing",
        what="the guard evaluates four problems",
        caught_by=("data.guard_size",),
        recorded=("rlvr 100",),
        overrides=("guard.problems=4",),
    ),
    Fault(
        id="demonstrations_empty",
        mechanism="demonstrations wrong",
        what="a third of the demonstrations are empty",
        caught_by=("data.demonstrations",),
        bed="sft",
        plant=imitating(_said(lambda k, text: text if k % 3 else "")),
    ),
    Fault(
        id="demonstrations_identical",
        mechanism="demonstrations wrong",
        what="every problem has the first one's demonstration",
        caught_by=("data.demonstrations",),
        bed="sft",
        plant=imitating(lambda found: [replace(d, completion=found[0].completion) for d in found]),
    ),
    Fault(
        id="demonstrations_shifted",
        mechanism="demonstrations wrong",
        what="each answer stands beside the next question",
        caught_by=("data.demonstrations_right",),
        recorded=("preference 31",),
        bed="sft",
        plant=imitating(shifted),
    ),
    Fault(
        id="demonstrations_missing",
        mechanism="demonstrations wrong",
        what="the task has nothing to imitate",
        caught_by=("data.demonstrations",),
        bed="sft",
        plant=imitating(lambda found: ()),
    ),
)
