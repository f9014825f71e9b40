from __future__ import annotations

import math

from trueloop.checks.numerics import sampler

TRUE = [-0.5, -1.5, -0.01, -3.0]


def test_sampler_and_trainer_may_differ_by_rounding_only() -> None:
    assert sampler.sampler_trainer_gap([v + 2e-5 for v in TRUE], TRUE).status == "pass"
    assert sampler.sampler_trainer_gap([v + 2e-4 for v in TRUE], TRUE).status == "warn"
    far = sampler.sampler_trainer_gap([v + 0.1 for v in TRUE], TRUE, cause="the moon")
    assert far.status == "fail" and "the moon" in far.evidence
    assert sampler.sampler_trainer_gap([v + 0.01 for v in TRUE], TRUE, limits=(0.02, 0.2)).status == "pass"
    assert sampler.sampler_trainer_gap([-math.inf, *TRUE[1:]], TRUE).status == "fail"
    assert sampler.sampler_trainer_gap([], []).status == "unknown"


def test_the_trainer_is_the_model_and_repeats_itself() -> None:
    assert sampler.trainer_forward(TRUE, TRUE, TRUE).status == "pass"
    assert sampler.trainer_forward(TRUE, [v / 2 for v in TRUE], TRUE).status == "fail"
    assert "dropout" in sampler.trainer_forward(TRUE, TRUE, [v + 1e-7 for v in TRUE]).advice
    assert sampler.trainer_forward([], [], []).status == "unknown"


def test_draws_are_held_against_other_distributions() -> None:
    assert sampler.draws_are_claimed({"top-k 3": 5.0}, 1.0, 2.0, 100, 0).status == "pass"
    found = sampler.draws_are_claimed({"top-k 3": 40.0, "min-p": 20.0}, 1.0, 2.0, 100, 0)
    assert found.status == "fail" and "top-k 3" in found.evidence
    assert sampler.draws_are_claimed({"top-k 3": -5.0}, 15.0, 2.0, 100, 0).status == "fail"
    assert sampler.draws_are_claimed({}, 0.0, 2.0, 100, 3).status == "fail"
    assert sampler.draws_are_claimed({}, 0.0, 2.0, 100, 1).status == "pass"
    assert sampler.draws_are_claimed({}, 0.0, 0.0, 0, 0).status == "unknown"


def test_drawn_logprobs_are_those_of_what_truncation_keeps() -> None:
    assert sampler.drawn_logprobs(TRUE, TRUE, truncated=False).status == "pass"
    assert sampler.drawn_logprobs([v + 0.05 for v in TRUE], TRUE, truncated=True).status == "fail"
    assert sampler.drawn_logprobs([], [], truncated=False).status == "unknown"


def test_truncation_asks_for_a_correction_where_it_cuts_something() -> None:
    assert sampler.truncation_corrected(0.001, False, "top-k").status == "pass"
    assert sampler.truncation_corrected(0.2, True, "top-k").status == "pass"
    assert sampler.truncation_corrected(0.2, False, "top-k").status == "warn"


def test_weights_are_equal_or_not() -> None:
    assert sampler.sampler_weights("a", "a").status == "pass"
    assert sampler.sampler_weights("a", "b").status == "fail"
    assert sampler.sampler_weights(None, None).status == "unknown"


def test_a_policy_that_knows_nothing_is_as_uncertain_as_a_uniform_guess() -> None:
    assert sampler.untrained_weights([0.3] * 50, 100).status == "pass"
    assert sampler.untrained_weights([4.6] * 50, 100).status == "fail"
    assert sampler.untrained_weights([4.6] * 5, 100).status == "unknown"
