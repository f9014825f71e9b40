"""Faults of verdicts: a verifier that says something else than what is right, and rewards of a user's own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from trueloop.faults import rows, seams
from trueloop.faults import verifiers as v
from trueloop.faults.base import Fault
from trueloop.records import Problem
from trueloop.tasks.base import Task

_GOLD, _WRONG, _JUNK = "task.gold_scores", "task.wrong_scores", "task.junk_scores"


def _judged_by(mistake: type[v.Mistaken]) -> Any:
    return lambda: seams.verifier(lambda right: mistake(right=right))


def _fault(
    id: str, mistake: type[v.Mistaken], what: str, *caught_by: str, mechanism: str = "wrong verdict", **more: Any
) -> Fault:
    return Fault(id=id, mechanism=mechanism, what=what, caught_by=caught_by, plant=_judged_by(mistake), **more)


def unreadable(task: Task) -> None:
    """The answers of one row in eight are no numbers."""
    load = task._load

    def rows_of(split: str) -> list[Problem]:
        found = list(load(split))
        return [replace(p, target="see above") if k % 8 == 0 else p for k, p in enumerate(found)]

    task._load = rows_of  # type: ignore[method-assign]


def _rewarded_by(name: str) -> Any:
    def planted() -> AbstractContextManager[None]:
        return rows.rewarded_by(name)

    return planted


def _own(id: str, name: str, what: str, *caught_by: str, mechanism: str = "own reward", **more: Any) -> Fault:
    return Fault(
        id=id, mechanism=mechanism, what=what, caught_by=caught_by, plant=_rewarded_by(name), bed="own", **more
    )


def wrapped_asserts(file: str, found: list[rows.Row]) -> list[rows.Row]:
    """Each assert inside another one, which is no Python."""
    return [{**row, "test_setup_code": "assert (assert True)"} for row in found]


def text_for_numbers(file: str, found: list[rows.Row]) -> list[rows.Row]:
    """Every expected value as text, as a loader has it that writes all of them down with str()."""
    return [{**row, "test_list": [_as_text(t) for t in row["test_list"]]} for row in found]


def _as_text(test: str) -> str:
    call, _, value = test.partition(" == ")
    return f"{call} == '{value}'"


FAULTS = (
    _fault("verifier_always_says_no", v.AlwaysNo, "every answer is wrong", _GOLD, recorded=("trl 1", "rlvr 63")),
    _fault("verifier_always_says_yes", v.AlwaysYes, "every answer is right", _JUNK, _WRONG),
    _fault("verifier_inverted", v.Inverted, "right answers are wrong, wrong ones right", _GOLD, _JUNK, _WRONG),
    _fault(
        "verifier_draws",
        v.Chance,
        "one verdict in ten is drawn",
        "task.verdicts_repeat",
        mechanism="verdict not repeated",
        recorded=("rlvr 59",),
    ),
    _fault(
        "verifier_remembers",
        v.Remembers,
        "a text that comes again is wrong",
        "task.verdicts_repeat",
        mechanism="verdict not repeated",
    ),
    _fault(
        "verifier_hashes",
        v.Hashes,
        "the verdict depends on the order of a set",
        "task.verdicts_repeat",
        mechanism="verdict not repeated",
    ),
    _fault("verifier_pays_length", v.Longer, "long texts score", _JUNK, _GOLD, mechanism="length pays"),
    _fault("verifier_pays_brevity", v.Shorter, "short texts score", _JUNK, mechanism="length pays"),
    _fault(
        "verifier_pays_length_of_right_answers",
        v.LongerIfRight,
        "right answers earn more where they are long",
        "task.length_pays",
        mechanism="length pays",
    ),
    _fault(
        "verifier_reads_the_prompt",
        v.ByPrompt,
        "the row decides, not the text",
        _JUNK,
        _GOLD,
        mechanism="text not read",
    ),
    _fault(
        "verifier_constant", v.Constant, "every text earns a half", "task.reward_separates", mechanism="text not read"
    ),
    _fault(
        "verifier_pays_form",
        v.ForForm,
        "most of the reward is for form",
        "task.reward_separates",
        mechanism="form pays",
    ),
    _fault(
        "verifier_accepts_substrings",
        v.Contains,
        "the right digits anywhere are enough",
        _WRONG,
        mechanism="loose match",
    ),
    _fault("verifier_drops_the_sign", v.Unsigned, "-3 is 3", _WRONG, mechanism="loose match", recorded=("rlvr 48",)),
    _fault("verifier_is_off_by_one", v.Nearly, "a neighbour of the answer is right", _WRONG, mechanism="loose match"),
    _fault(
        "verifier_reads_the_first_number",
        v.First,
        "the first number of a text is its answer",
        "data.demonstrations_right",
        "task.length_pays",
        _WRONG,
        mechanism="answer not found",
        recorded=("rlvr 33",),
    ),
    _fault(
        "verifier_swallows_exceptions",
        v.Swallows,
        "what it cannot read raises, and that is a 0",
        "task.length_pays",
        "data.demonstrations_right",
        mechanism="exceptions are zeros",
        recorded=("rlvr 43", "rlvr 57"),
    ),
    _fault(
        "verifier_swallows_rows",
        v.SwallowsRows,
        "some rows raise, and that is a 0",
        _GOLD,
        mechanism="exceptions are zeros",
        recorded=("rlvr 63",),
    ),
    _fault(
        "verifier_raises",
        v.Raises,
        "a text without a number raises",
        "task.verifier_errors",
        mechanism="verifier raises",
    ),
    _fault("verifier_passes_nothing", v.EmptyPasses, "an empty text is right", _JUNK, recorded=("rlvr 60",)),
    Fault(
        id="answers_unreadable",
        mechanism="rows cannot be judged",
        what="the answers of one row in eight are no numbers",
        caught_by=("task.rows_scorable",),
        recorded=("rlvr 57", "rlvr 63"),
        plant=lambda: seams.task(unreadable),
    ),
    _own(
        "reward_reads_misspelt_column",
        "misspelt",
        "a parameter that no column has",
        "data.columns_exist",
        recorded=("trl 2",),
    ),
    _own(
        "reward_reads_missing_column", "from_kwargs", "it takes a column that is not there", "data.columns_exist", _GOLD
    ),
    _own(
        "reward_swallows_exceptions",
        "swallows",
        "every call raises inside, and that is a 0",
        _GOLD,
        recorded=("rlvr 43",),
    ),
    _own(
        "reward_reads_constant_column",
        "constant_column",
        "the column says the same everywhere",
        "data.columns_vary",
        _GOLD,
    ),
    _own("reward_draws", "chance", "one right answer in ten gets nothing, by chance", "task.verdicts_repeat"),
    _own("reward_raises", "raises", "a text without a number raises", "task.verifier_errors"),
    _own("reward_reads_the_prompt", "by_prompt", "the row decides, not the text", _JUNK),
    _own("reward_accepts_substrings", "contains", "the right digits anywhere are enough", _WRONG),
    _own("reward_pays_length", "length", "right answers earn more where they are long", "task.length_pays", _GOLD),
    _fault(
        "programs_may_exit",
        v.PassesExits,
        "a program that leaves early has not failed",
        "task.canaries",
        _JUNK,
        mechanism="programs hacked",
        recorded=("rlvr 49", "hacking 3"),
        bed="programs",
    ),
    _fault(
        "programs_may_be_equal",
        v.PassesEqual,
        "what is equal to everything passes",
        "task.canaries",
        _JUNK,
        mechanism="programs hacked",
        recorded=("rlvr 49", "hacking 3"),
        bed="programs",
    ),
    _fault(
        "honest_programs_refused",
        v.RefusesImports,
        "a program that imports anything is called a hack",
        "task.canaries",
        mechanism="programs hacked",
        bed="programs",
    ),
    Fault(
        id="tests_do_not_compile",
        mechanism="programs judged wrongly",
        what="asserts stand inside of asserts",
        caught_by=("task.rows_scorable", _GOLD),
        recorded=("hacking 1",),
        bed="programs",
        plant=lambda: rows.changed(wrapped_asserts),
        refused="no Python",
    ),
    Fault(
        id="tests_expect_text",
        mechanism="programs judged wrongly",
        what="the loader wrote down every expected value as text",
        caught_by=(_GOLD,),
        recorded=("rlvr 54",),
        bed="programs",
        plant=lambda: rows.changed(text_for_numbers),
    ),
)
