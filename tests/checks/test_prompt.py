import random
from dataclasses import replace

from trueloop.checks import prompt
from trueloop.checks.prompt import Asked, Fit, Format
from trueloop.checks.scaffold import frame

GOOD = [
    Asked(shown=f"Q: {a}+11=?\nA: ", said=f"Q: {a}+11=?\nA: ", content=f"{a}+11", message=f"Q: {a}+11=?\nA:")
    for a in range(10, 18)
]


def test_prompts_that_lack_their_problem_fail():
    assert prompt.holds_the_problem(GOOD).status == "pass"
    assert "10+11" in prompt.holds_the_problem(GOOD).evidence
    found = prompt.holds_the_problem([*GOOD[:-1], replace(GOOD[-1], shown="+11=?\nA: ")])
    assert (found.status, found.value) == ("fail", 1)
    assert prompt.holds_the_problem([]).status == "unknown"


def test_prompts_changed_on_the_way_fail_with_the_place():
    assert prompt.as_the_task_says(GOOD).status == "pass"
    found = prompt.as_the_task_says([replace(GOOD[0], shown="Q: 10+11=?\nB: ")])
    assert found.status == "fail"
    assert "from character 11" in found.evidence
    assert prompt.as_the_task_says([replace(GOOD[0], shown=GOOD[0].said + "x")]).status == "fail"
    assert prompt.as_the_task_says([]).status == "unknown"


def test_a_frame_is_applied_once():
    once = prompt.template_applied_once
    assert once(GOOD, shots=0).status == "pass"
    twice = [replace(a, shown=f"Q: {a.shown}\nA: ") for a in GOOD]
    assert once(twice, shots=0).status == "fail"
    said_twice = [replace(a, shown=f"{a.content} is? {a.content}") for a in GOOD]
    assert once(said_twice, shots=0).status == "fail"
    assert once([replace(a, template="chat") for a in GOOD], shots=0).status == "warn"
    assert once([], shots=0).status == "unknown"


def _fit(own, reference=()):
    return Fit(own=tuple(own), reference=tuple(reference))


FLUENT, NOISY = [0.2, 0.25, 0.15, 0.2], [2.0, 2.4, 1.9, 2.2]


def test_a_template_that_the_model_does_not_know_fails():
    check = prompt.chat_template_on_base_model
    assert check(_fit(NOISY, NOISY), _fit(FLUENT, FLUENT), learned=True).status == "fail"
    assert check(_fit(NOISY), _fit(FLUENT), learned=True).status == "fail"
    assert check(_fit(FLUENT, NOISY), _fit(FLUENT, FLUENT), learned=True).status == "fail"
    assert check(_fit(FLUENT, FLUENT), _fit(NOISY, NOISY), learned=True).status == "pass"
    assert check(_fit(NOISY, FLUENT), _fit(FLUENT, NOISY), learned=True).status == "pass"
    assert check(_fit(NOISY), _fit(FLUENT), learned=False).status == "unknown"
    assert check(_fit(NOISY[:2]), _fit(FLUENT), learned=True).status == "unknown"
    assert check(_fit([0.2, 3.0, 0.1]), _fit([0.2, 0.2, 0.2]), learned=True).status == "unknown"


def test_raw_text_for_a_chat_model_warns():
    check = prompt.raw_text_on_chat_model
    assert check(_fit(NOISY, NOISY), _fit(FLUENT, FLUENT), learned=True).status == "warn"
    assert check(_fit(FLUENT, FLUENT), _fit(NOISY, NOISY), learned=True).status == "pass"
    assert check(_fit(FLUENT), _fit(NOISY), learned=False).status == "unknown"


def _asking(prompts, **changes):
    around = frame(prompts)
    fields = {"template": "none", "template_hash": "a", "stops": ("\n",), "max_tokens": 64, "shots": 0}
    return Format(**fields | changes, before=around.before, after=around.after, prompts=tuple(prompts))


def _questions(seed, n=32, label="Question", closed=0.95):
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefgh ", k=40)) + ("?" if draw.random() < closed else ".") for _ in range(n)]
    return [f"{label}: {w}\nAnswer:" for w in words]


def test_training_and_evaluation_ask_alike():
    train = _asking(_questions(0))
    check = prompt.same_in_evaluation
    assert check(train, train).status == "pass"
    for name, value in [("stops", ()), ("template", "chat"), ("template_hash", "b")]:
        assert check(train, replace(train, **{name: value})).status == "fail"
    found = check(replace(train, shots=4), train)
    assert (found.status, found.value) == ("warn", ["shots"])
    other = _asking(_questions(1, label="Problem"))
    assert check(train, other).value == check(other, train).value == ["frame"]
    more = _asking([f"You are careful.\n{q}" for q in _questions(1)])
    assert check(train, more).status == check(more, train).status == "fail"
    assert check(train, _asking(_questions(1, n=3))).status == "unknown"


def test_what_prompts_share_by_chance_is_no_frame():
    pairs = [(_asking(_questions(2 * s)), _asking(_questions(2 * s + 1))) for s in range(100)]
    assert {prompt.same_in_evaluation(*pair).status for pair in pairs} == {"pass"}
    assert any(a.after != b.after for a, b in pairs)
