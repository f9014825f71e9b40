import dataclasses

from evaluate_toys import Doubles, answer_with, evaluated, said, value
from trueloop.evaluate.compare import compare
from trueloop.evaluate.shown import (
    percent,
    points,
    reasons,
    shown_comparison,
    shown_evaluation,
    shown_headline,
    shown_timing,
)
from trueloop.formulas.stats import Estimate


def estimate(mean, low=None, high=None):
    return Estimate(mean=mean, se=None, low=low, high=high, n=10, clusters=10)


def test_shares_and_differences_with_and_without_intervals():
    assert percent(None) == "not computed" and percent(estimate(0.5)) == "50.0%"
    assert percent(estimate(0.98, 0.9, 1.02)) == "98.0% [90.0%, 100.0%]"
    assert points(estimate(-0.125, -0.2, 0.03)) == "-12.5 points [-20.0, +3.0]"


def test_an_evaluation_shows_figures_denominators_endings_and_identity():
    def reply(prompt, k):
        if value(prompt) < 4:
            return said("17 and", "length", tokens=20)
        return said(f"so {value(prompt)}" if k else f"The answer is {value(prompt)}.")

    text = shown_evaluation(evaluated(reply, samples=2, shots=1))
    for words in (
        "doubles/train: 10 problems x 2, temperature 1, 1-shot, template none, at most 20 tokens",
        "lenient: 80.0% [",
        "strict: 40.0% [",
        "lenient minus strict: +40.0 points [",
        "pass@2: 80.0%",
        "maj@2: 80.0%",
        "20 of 20 completions scored",
        "80.0% by '<end>', 20.0% by the token limit",
        "20.0% WERE CUT at the limit",
        "seed 7",
    ):
        assert words in text


def test_what_was_not_scored_is_said():
    text = shown_evaluation(evaluated(lambda prompt, k: said("", "error") if value(prompt) else said("break")))
    assert "NOT SCORED: 1 errors" in text and "NOT SCORED: 9 lost" in text and "0 of 10" in text
    assert shown_headline(evaluated(lambda prompt, k: said("", "error"))) == "nothing scored"


def test_tables_carry_the_checks_that_were_allowed_to_fail():
    fine, allowed = (evaluated(answer_with(lambda i, k: True)) for _ in range(2))
    allowed = dataclasses.replace(allowed, model={"checks_allowed": {"data.overlap": "a rehearsal"}})
    words = "TRAINED ALTHOUGH the check data.overlap failed; allowed: a rehearsal"
    assert words in shown_evaluation(allowed) and "TRAINED" not in shown_evaluation(fine)
    assert f"b: {words}" in shown_comparison(compare([fine, allowed], ["a", "b"]))
    assert "TRAINED" not in shown_comparison(compare([fine, fine], ["a", "b"]))


def test_a_comparison_shows_what_it_corrected_for_and_what_was_allowed():
    a, b, c = (evaluated(answer_with(lambda i, k, n=n: i < n)) for n in (3, 6, 10))
    text = shown_comparison(compare([a, b], ["a", "b"]))
    assert "b: 30.0% -> 60.0%, +30.0 points [" in text and "right at 3 and wrong at 0 others: McNemar p 0.250" in text
    assert "max-T" not in text
    text = shown_comparison(compare([a, b, dataclasses.replace(c, grader="g")], ["a", "b", "c"], allow=["grader"]))
    assert (
        text.count("adjusted p 0.") == 2
        and "best of the 2 (max-T" in text
        and "NOT ALIKE, by permission: grader" in text
    )
    text = shown_comparison(compare([evaluated(answer_with(lambda i, k: False)), c], ["a", "c"]))
    assert "every problem differs alike" in text


def test_timing_and_reasons():
    assert shown_timing({"p50": 12e-6, "p95": 0.0034, "p99": 2.5}) == [
        "a verdict took p50 12 us, p95 3.4 ms, p99 2.50 s"
    ]
    assert shown_timing({"p50": None}) == []
    assert reasons([("a", 3), ("b", 1)]) == ["  3 x a", "  1 x b"]
    assert reasons([(str(i), 2) for i in range(8)])[-1] == "  6 x for 3 other reasons"


def test_problems_that_were_not_asked_are_said_with_their_share():
    class Both(Doubles):
        """One-digit and two-digit problems."""

        def _load(self, split):
            return [self.problem({"i": i}, split) for i in range(6, 14)]

    found = evaluated(answer_with(lambda i, k: True), task=Both(), longest=4, samples=2)
    text = shown_evaluation(found)
    assert "NOT ASKED: 4 of 8 problems (50.0%)" in text and "(8 completions)" in text
    assert "NOT ASKED 4 of 8" in shown_headline(found)
    assert "NOT ASKED" not in shown_evaluation(evaluated(answer_with(lambda i, k: True)))


def test_pass_at_k_says_of_how_many_problems_it_is_and_groups_have_a_line_each():
    def reply(prompt, k):
        return None if k == 0 and value(prompt) == 0 else said(f"so {value(prompt)}")

    ids = [p.id for p in Doubles().problems("train")]
    text = shown_evaluation(evaluated(reply, samples=2, rates={i: float(n < 5) for n, i in enumerate(ids)}))
    lines = text.splitlines()
    assert "pass@2: 100.0% [70.1%, 100.0%] over 9 of 10 problems" in text
    assert "100.0% of the problems that were asked have a base pass rate" in text
    first, second = lines[lines.index("by base pass rate:") + 1 :][:2]
    assert first.startswith("  0  lenient 100.0%") and second.startswith("  1  lenient 100.0%")
    assert all("pass@2 100.0%" in line and "maj@2 100.0%" in line and "pass@1" not in line for line in (first, second))
    assert [("over 4 of 5" in line) for line in (first, second)].count(True) == 1
