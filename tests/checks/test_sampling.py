import math
import random

import pytest

from trueloop.checks import sampling


def _groups(texts_of, n=8, groups=8, logp=-3.0):
    return [[(texts_of(g, k), logp) for k in range(n)] for g in range(groups)]


def test_completions_that_differ_pass_and_equal_ones_fail():
    check = sampling.distinct
    assert check(_groups(lambda g, k: f"{g}/{k}"), learned=True).status == "pass"
    assert check(_groups(lambda g, k: f"{g}"), learned=True).status == "fail"
    assert check(_groups(lambda g, k: f"{g}", logp=0.0), learned=False).status == "fail"
    assert check([[("a", -1.0)]], learned=True).status == "unknown"


def test_agreement_is_held_against_the_probabilities():
    two = _groups(lambda g, k: f"{g}/{k % 2}", logp=-3.0)
    assert sampling.distinct(two, learned=True).status == "fail"
    likely = _groups(lambda g, k: f"{g}/{k % 2}", logp=math.log(0.5))
    assert sampling.distinct(likely, learned=True).status == "pass"


@pytest.mark.parametrize("seed", range(20))
def test_a_sharp_policy_that_draws_honestly_is_not_accused(seed):
    draw = random.Random(seed)
    words = {"a": 0.3, "b": 0.3, "c": 0.2, **{f"r{i}": 0.02 for i in range(10)}}
    drawn = [draw.choices(list(words), list(words.values()), k=8) for _ in range(8)]
    groups = [[(w, math.log(words[w])) for w in group] for group in drawn]
    assert sampling.distinct(groups, learned=True).status == "pass"


def test_tokens_are_drawn_as_asked():
    check = sampling.as_asked
    assert check(110.0, 100.0, 400.0, 200, 0, fitted=1.0).status == "pass"
    cold = check(50.0, 200.0, 400.0, 200, 0, fitted=0.5)
    assert cold.status == "fail"
    assert "sharper" in cold.evidence
    assert "flatter" in check(400.0, 200.0, 400.0, 200, 0, fitted=2.0).evidence
    assert check(100.0, 100.0, 400.0, 200, 9, fitted=1.0).status == "fail"
    assert check(10.0, 10.0, 4.0, 20, 0, fitted=1.0).status == "unknown"
    assert check(100.0, 100.0, 400.0, 200, 0, fitted=0.6, ratio=40.0).status == "fail"
    assert check(100.0, 100.0, 400.0, 200, 0, fitted=1.0, rare=(0, 20.0)).status == "fail"
    assert check(100.0, 100.0, 400.0, 200, 0, fitted=1.0, rare=(16, 20.0)).status == "pass"


def test_cut_completions():
    check = sampling.cut_at_limit
    assert check(0, 64, max_tokens=[64], learned=True).status == "pass"
    assert check(64, 64, max_tokens=[8], learned=True).status == "fail"
    assert check(20, 64, max_tokens=[8], learned=True).status == "warn"
    assert check(64, 64, max_tokens=[8], learned=False).status == "unknown"


def test_running_on_says_which_stops_would_help():
    def check(on, learned=True):
        return sampling.runs_on(on, 64, marks={"Q:": on}, reward=(0.1, 0.6), example="4\nQ: 3", learned=learned)

    assert check(0).status == "pass"
    found = check(50)
    assert found.status == "fail"
    assert "'Q:'" in found.advice
    assert "cut there 0.600" in found.evidence
    assert check(50, learned=False).status == "unknown"


def test_loops_and_noise():
    fine = [f"answer {i}" for i in range(40)]
    assert sampling.loops(fine, learned=True).status == "pass"
    assert sampling.loops(["so so so so so so so so so so so "] * 40, learned=True).status == "fail"
    assert sampling.loops(fine, learned=False).status == "unknown"
    assert sampling.coherent([0.2, 0.3, 0.25], vocabulary=99, learned=True).status == "pass"
    assert sampling.coherent([4.4, 4.5, 4.6], vocabulary=99, learned=True, examples=["x"]).status == "fail"
    assert sampling.coherent([2.0, 2.1, 2.05], vocabulary=99, learned=True).status == "warn"
    assert sampling.coherent([4.4, 4.5], vocabulary=99, learned=True).status == "unknown"
    assert sampling.coherent([4.4] * 9, vocabulary=99, learned=False).status == "unknown"


def test_lengths():
    check = sampling.length
    assert check([20] * 40, 0, [25] * 8, learned=True).status == "pass"
    assert check([2] * 40, 0, [25] * 8, learned=True).status == "warn"
    assert check([1] * 40, 40, [25] * 8, learned=True).status == "fail"
    assert check([1] * 40, 40, [25] * 8, learned=False).status == "unknown"


def test_rewards_are_there_and_vary():
    check = sampling.reward_varies
    assert check([0.0, 1.0] * 8, ["scored"] * 16, learned=True).status == "pass"
    assert check([0.0] * 16, ["scored"] * 16, learned=True).status == "warn"
    assert check([0.0] * 300, ["scored"] * 300, learned=True).status == "fail"
    assert check([0.0] * 300, ["scored"] * 300, learned=True, rewarded=False).status == "warn"
    assert check([0.0] * 16, ["scored"] * 16, learned=False).status == "unknown"
    assert check([1.0] * 16, ["scored"] * 16, learned=False).status == "warn"
    assert check([None] * 16, ["unscorable"] * 16, learned=True).status == "fail"
    assert check([0.0] * 3, ["scored"] * 3, learned=True).status == "unknown"
    assert check([], [], learned=True).status == "unknown"


def test_groups_have_signal():
    check = sampling.signal
    alive, dead = [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]
    assert check([alive] * 12 + [dead] * 4, per_step=16, learned=True).status == "pass"
    assert "12.0 of 16" in check([alive] * 12 + [dead] * 4, per_step=16, learned=True).evidence
    assert check([dead] * 100, per_step=16, learned=True).status == "fail"
    assert check([dead] * 4, per_step=4, learned=True).status == "unknown"
    assert check([[1.0]], per_step=4, learned=True).status == "unknown"
    assert check([dead] * 100, per_step=16, learned=False).status == "unknown"


def test_pass_rates():
    check = sampling.pass_rate
    assert check(20, 64, learned=True).status == "pass"
    assert check(1000, 1000, learned=True).status == "warn"
    assert check(0, 1000, learned=True).status == "warn"
    assert check(0, 64, learned=True).status == "unknown"
    assert check(20, 64, learned=False).status == "unknown"


def test_what_passes_earns_more():
    check = sampling.reward_follows_passes
    assert check([(1.0, True)] * 5 + [(0.0, False)] * 5).status == "pass"
    assert check([(0.0, True)] * 5 + [(1.0, False)] * 5).status == "fail"
    assert check([(0.5, True)] * 5 + [(0.5, False)] * 5).status == "fail"
    assert check([(0.0, True), (1.0, True), (0.0, True)] + [(1.0, False), (0.0, False)] * 3).status == "warn"
    assert check([(1.0, True)] * 5).status == "unknown"
