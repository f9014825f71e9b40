import pytest

from trueloop.checks import preferences as p

PAIRS = [(f"Q: {k}?\nA: ", f"right {k}", f"wrong {k}") for k in range(100)]


def status(result):
    return result.status


def test_answers_that_are_equal_or_empty_say_nothing():
    assert status(p.identical_answers(PAIRS)) == "pass"
    assert status(p.identical_answers([(q, c, c + " ") for q, c, _ in PAIRS])) == "fail"
    assert status(p.identical_answers([])) == "unknown"
    assert status(p.empty_answers(PAIRS)) == "pass"
    assert status(p.empty_answers([*PAIRS, ("Q", "x", " ")])) == "warn"
    assert status(p.empty_answers([(q, "", r) for q, _, r in PAIRS])) == "fail"
    assert status(p.empty_answers([])) == "unknown"


def test_a_pair_is_there_once_and_one_way_round():
    assert status(p.duplicates(PAIRS)) == status(p.contradictions(PAIRS)) == "pass"
    assert status(p.duplicates(PAIRS[:1] * 100)) == "fail"
    assert status(p.duplicates(PAIRS * 2)) == "warn"
    turned = [(q, r, c) for q, c, r in PAIRS]
    both = p.contradictions([*PAIRS, *turned])
    assert (status(both), both.value) == ("fail", 1.0)
    assert status(p.contradictions([])) == "unknown"


@pytest.mark.parametrize(("distinct", "expected"), [(96, "pass"), (24, "pass"), (12, "warn"), (4, "fail"), (1, "fail")])
def test_prompts_are_many(distinct, expected):
    assert status(p.prompts([(f"{k % distinct}", "a", "b") for k in range(96)])) == expected


def test_few_pairs_tell_nothing_about_their_prompts():
    assert status(p.prompts(PAIRS[:3])) == "unknown"


def test_held_out_prompts_are_not_trained():
    trained = [q for q, _, _ in PAIRS]
    assert status(p.held_out_overlap(trained, ["Q: new?\nA: "])) == "pass"
    assert status(p.held_out_overlap(trained, [*["Q: new?"] * 200, "q:  7?  a:"])) == "warn"
    assert status(p.held_out_overlap(trained, trained)) == "fail"
    assert status(p.held_out_overlap(trained, [])) == "unknown"


def test_splits_are_the_ones_asked_for():
    assert status(p.splits(["train"] * 3, ["test"], "train")) == "pass"
    assert status(p.splits(["test"] * 3, ["train"], "train")) == "fail"
    assert status(p.splits(["train"] * 3, ["train"], "train")) == "fail"


@pytest.mark.parametrize(("longer", "expected"), [(50, "pass"), (60, "pass"), (85, "warn"), (100, "fail"), (0, "fail")])
def test_length_alone_is_not_the_label(longer, expected):
    lengths = [(2, 1)] * longer + [(1, 2)] * (100 - longer) + [(3, 3)] * 50
    found = p.length_confound(lengths)
    assert (found.status, found.value) == (expected, longer / 100)


def test_equal_lengths_tell_nothing():
    assert status(p.length_confound([(3, 3)] * 100)) == "unknown"


@pytest.mark.parametrize(("agree", "expected"), [(100, "pass"), (80, "pass"), (65, "warn"), (50, "fail"), (3, "fail")])
def test_labels_agree_with_a_judge(agree, expected):
    assert status(p.labels(agree, 100 - agree, 7)) == expected


def test_ties_do_not_judge_labels():
    assert status(p.labels(3, 1, 96)) == "unknown"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Q: {}?\nA: ", "pass"),
        ("Q: Q: {}?\nA: ", "fail"),
        ("Q: {}?\nA: \nA: ", "fail"),
        ("\n\nHuman:\n\n\nHuman:\n{} ", "fail"),
        ("<user> <user> {}", "fail"),
        ("Mississippi, banana! ---- very very good: {}", "pass"),
        ("{}", "pass"),
    ],
)
def test_a_template_stands_once(template, expected):
    assert status(p.template_once([template.format(k) for k in (17, 28, 93)])) == expected


def test_one_prompt_shows_no_template():
    assert status(p.template_once(["Q: 1?"] * 9)) == "unknown"


def test_tokens_are_what_they_should_be():
    assert status(p.prompt_tokens([], [], 9)) == "pass"
    assert status(p.prompt_tokens(["a"], [], 9)) == status(p.prompt_tokens([], ["b"], 9)) == "fail"
    assert status(p.answer_tokens([], 9)) == "pass" and status(p.answer_tokens([("ab", "b")], 9)) == "fail"
    assert status(p.prompt_tokens([], [], 0)) == status(p.answer_tokens([], 0)) == "unknown"


@pytest.mark.parametrize(("check", "bad", "some"), [(p.answers_cut, 90, 10), (p.same_tokens, 90, 6)])
def test_few_answers_are_cut_or_alike(check, bad, some):
    found = [status(check(n, 100)) for n in (0, some, bad)]
    assert found == ["pass", "warn", "fail"] and status(check(0, 0)) == "unknown"


def test_the_end_is_trained():
    assert [status(p.end_token(n, 100)) for n in (100, 80, 0)] == ["pass", "warn", "fail"]
    assert status(p.end_token(0, 0)) == "unknown"


def test_no_pair_is_lost():
    assert status(p.pairs_lost([], 100)) == "pass"
    assert status(p.pairs_lost(["a"], 100)) == "warn"
    assert status(p.pairs_lost(["a"] * 40, 100)) == "fail"
    assert status(p.pairs_lost([], 0)) == "unknown"
