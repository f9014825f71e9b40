import pytest

from trueloop.errors import DataError
from trueloop.recipes.hints import Hint, Shown
from trueloop.records import Message, Problem
from trueloop.tasks.base import Demonstration

SUM = Problem.create(prompt="Q: 3+4=?\nA: ", target="7", task="sums", split="train")


def test_a_hint_stands_around_the_problem_which_keeps_its_id_and_its_braces():
    hint = Hint(template="{prompt}{{really}} {target} ({why})\n{prompt}")
    odd = Problem.create(prompt="{x}?", target=7, task="sums", split="train")
    told = hint.show(odd, why="{wrong}")
    assert told.prompt == "{x}?{really} 7 ({wrong})\n{x}?"
    assert (told.id, told.target) == (odd.id, 7)


def test_in_a_conversation_the_last_message_gets_the_hint():
    turns = (Message(role="system", content="Add."), Message(role="user", content="3+4?"))
    problem = Problem.create(prompt=turns, target="7", task="sums", split="train")
    told = Hint(template="It is {target}. {prompt}").show(problem)
    assert told.prompt == (turns[0], Message(role="user", content="It is 7. 3+4?"))


@pytest.mark.parametrize(("field", "given"), [("solution", {"why": "x"}), ("why", {"solution": "x"})])
def test_a_field_without_a_value_is_an_error_and_not_the_word_none(field, given):
    hint = Hint(template=f"{{{field}}} {{prompt}}")
    with pytest.raises(DataError, match=rf"{SUM.id}.*shows \{{{field}\}}"):
        hint.show(SUM, **given)
    assert hint.uses(field)
    assert not hint.uses("target")
    assert hint.show(SUM, **{field: "y"}).prompt == "y Q: 3+4=?\nA: "


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{target}", "does not show the problem"),
        ("{prompt} {answer}", r"\{answer\} is no field of a hint; there are prompt, target, solution, why"),
        ("{prompt} {}", r"\{\} is no field"),
        ("{prompt} {target.real}", r"\{target.real\} is no field"),
        ("{prompt", "expected '}'"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(template, why):
    with pytest.raises(ValueError, match=why):
        Hint(template=template)


def test_a_share_of_the_demonstrations_has_the_hint_and_which_depends_on_their_content():
    problems = [Problem.create(prompt=f"{k}?", target=str(k), task="sums", split="train") for k in range(400)]
    demonstrations = [Demonstration(problem=p, completion=f"it is {p.target}") for p in problems]
    shown = Shown(template="<{target}|{solution}>{prompt}", share=0.25)
    found = shown.among(demonstrations)
    hinted = {d.problem.id for d in found if d.problem.prompt != d.problem.target + "?"}
    assert 70 < len(hinted) < 130
    assert {d.problem.prompt for d in found if d.problem.id in hinted} == {
        f"<{p.target}|it is {p.target}>{p.prompt}" for p in problems if p.id in hinted
    }
    assert [d.completion for d in found] == [d.completion for d in demonstrations]
    assert shown.among(demonstrations[::-1]) == found[::-1]
    everything = Shown(template="<{target}|{solution}>{prompt}", share=1.0).among(demonstrations)
    assert all(d.problem.prompt.startswith("<") for d in everything)
