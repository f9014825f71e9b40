import pytest

from trueloop.checks.scaffold import (
    doubled_label,
    doubled_line,
    frame,
    looped,
    markers,
    next_problem,
    spaceless,
)


def test_a_frame_is_what_all_prompts_share_but_not_digits_by_chance():
    found = frame(["Q: 12+3=?\nA: ", "Q: 14+9=?\nA: ", "Q: 15+8=?\nA: "])
    assert (found.before, found.after) == ("Q: ", "=?\nA: ")
    assert frame(["Q: 1\nA:"]).before == frame([]).before == ""


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("Human:\n\n\nHuman: hello\n\nAssistant:", "Human:"),
        ("Q: Q: 3+4\nA: ", "Q:"),
        ("<|im_start|>user\n<|im_start|>user\nhi", "<|im_start|>user"),
        ("[INST] [INST] hi [/INST]", "[INST]"),
        ("Q: 1+1\nA: 2\n\nQ: 3+4\nA: ", None),
        ("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", None),
    ],
)
def test_a_label_with_nothing_before_it_comes_again(prompt, label):
    assert doubled_label(prompt) == label


def test_a_line_of_the_frame_is_doubled_and_one_of_the_problem_is_not():
    system = "You are a careful mathematician."
    assert doubled_line(f"{system}\n{system}\nwhat is 3?", "what is 3?") == system
    assert doubled_line(f"{system}\n{system}", f"{system}\n{system}") is None


def test_where_another_problem_begins():
    marks = markers("Solve it.\nQuestion: ")
    assert marks[0] == "Question:"
    assert next_problem("18\n\nQuestion: Tom has", marks) == 3
    assert next_problem("Question: is what I ask", marks) is None
    assert next_problem("  \n", marks) is None
    assert next_problem("102.\nQ: 3+4=?", markers("Q: ")) == 4


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("so it is 4. " + "I think so. " * 8, True),
        ("a" * 60, True),
        ("0.3333333333", False),
        ("9+3=12 carry 1, 8+1+1=10. The answer is 102.", False),
        ("", False),
    ],
)
def test_loops(text, loops):
    assert looped(text) == loops


def test_white_space_is_left_out():
    assert spaceless(" a\n b\t") == "ab"
