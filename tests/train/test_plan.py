from dataclasses import replace

import pytest
from pytest import approx

from trainer_toys import ClippedWithEntropyAndKl, Dpo, Sft, groups, pairs, rl
from trueloop.errors import DataError, TrainingError
from trueloop.formulas.reduce import fixed_length, row_mean, sequence_mean, token_mean
from trueloop.records import Metric, Sample
from trueloop.train.batch import Stream
from trueloop.train.packing import Limits
from trueloop.train.plan import alone, plan, scoring, share, shared_rows

LIMITS = Limits(budget=64, share=True)


def silenced(sample):
    return replace(sample, weights=(0.0,) * len(sample.tokens))


def untrained(name):
    return Sample(id=name, tokens=(1, 2, 3), loss_mask=(False,) * 3, weights=(1.0,) * 3)


def scales(work):
    return {id_: scale for one in work.passes for id_, scale in zip(one.ids, one.scales, strict=True)}


def test_denominator_counts_rows_that_are_not_run():
    samples = groups(1, [2, 2])
    samples[0] = silenced(samples[0])
    tokens = sum(s.trained_tokens for s in samples)
    work = plan([rl([*samples, untrained("u")], Sft())], LIMITS, 0)
    assert scales(work) == approx({s.id: 1 / tokens for s in samples[1:]})
    assert work.denominator == {"rl": tokens}
    assert work.metrics["rl/silent"] == Metric(total=2, count=5, low=0.0, high=1.0)
    assert work.metrics["rl/tokens"].total == tokens - samples[0].trained_tokens
    assert work.metrics["rl/rows"].total == 5


@pytest.mark.parametrize("count", [*range(1, 60), 143])
def test_denominators_that_are_counts_are_whole_numbers(count):
    """token_mean divides by tokens, sequence_mean by rows, which are worth their tokens, fixed_length by n C."""
    samples = groups(count, [count])
    tokens = sum(s.trained_tokens for s in samples)
    rules = {token_mean: tokens, sequence_mean: tokens, row_mean: count, (lambda n: fixed_length(n, 51)): count * 51}
    for rule, expected in rules.items():
        assert plan([rl(samples, Sft(), reduction=rule)], LIMITS, 0).denominator == {"rl": expected}


def test_a_denominator_that_is_no_count_stays_as_it_is():
    samples = groups(1, [3])
    work = plan([rl(samples, Sft(), reduction=lambda n: [0.3] * len(n))], LIMITS, 0)
    assert work.denominator["rl"] == approx(1 / 0.3, rel=1e-12)


def test_a_loss_that_is_not_silent_keeps_rows_of_zero_weight():
    samples = [silenced(s) for s in groups(1, [2])]
    assert len(scales(plan([rl(samples, ClippedWithEntropyAndKl())], LIMITS, 0))) == 2
    assert plan([rl(samples, Sft())], LIMITS, 0).passes == ()


def test_pairs_are_one_term_each_and_their_weight_scales_them():
    rows = [replace(p, weight=w) for p, w in zip(pairs(1, 3), (1.0, 0.0, 0.5), strict=True)]
    stream = Stream(name="dpo", loss=Dpo(), reduction=row_mean, pairs=rows, coefficient=2.0)
    work = plan([stream], LIMITS, 0)
    assert scales(work) == approx({"p0": 2 / 3, "p2": 1 / 3})
    assert work.denominator == {"dpo": 3}
    assert work.metrics["dpo/silent"].mean == approx(1 / 3)


def test_streams_keep_their_own_denominators():
    a, b = groups(1, [2]), groups(2, [3])
    work = plan([rl(a), rl(b, Sft(), name="sft", reduction=sequence_mean, coefficient=0.1)], LIMITS, 0)
    assert {one.stream for one in work.passes} == {"rl", "sft"}
    assert work.passes[-1].scales[0] == approx(0.1 / (3 * work.passes[-1].samples[0].trained_tokens))


def test_an_empty_stream_adds_nothing():
    work = plan([rl(groups(1, [2])), rl([], name="sft")], LIMITS, 0)
    assert not any(name.startswith("sft") for name in work.metrics)


def test_one_name_twice_is_refused():
    with pytest.raises(DataError, match="two streams of one step have one name"):
        plan([rl(groups(1, [2])), rl(groups(1, [2]))], LIMITS, 0)


def test_nothing_trainable_is_an_error_with_advice():
    with pytest.raises(TrainingError, match=r"2 rows in 1 streams.*loss_mask is False; look at"):
        plan([rl([untrained("a"), untrained("b")], Sft())], LIMITS, 0)


def test_a_pair_with_an_empty_answer_is_named():
    (pair,) = pairs(1, 1)
    broken = replace(pair, rejected=untrained("r"))
    with pytest.raises(DataError, match=r"without a trained token: \['p0'\]"):
        plan([Stream(name="dpo", loss=Dpo(), reduction=token_mean, pairs=[broken])], LIMITS, 0)


def test_a_reduction_of_another_length_is_refused():
    with pytest.raises(DataError, match="1 scales for 3 rows"):
        plan([rl(groups(1, [3]), reduction=lambda lengths: [1.0])], LIMITS, 0)


def test_seeds_differ_between_passes_and_repeat():
    stream = rl(groups(1, [1] * 12))
    seeds = [one.seed for one in plan([stream], LIMITS, 5).passes]
    assert len(set(seeds)) == len(seeds) > 1
    assert seeds == [one.seed for one in plan([stream], LIMITS, 5).passes]
    assert seeds != [one.seed for one in plan([stream], LIMITS, 6).passes]


def test_padding_share_is_counted_by_hand():
    samples = groups(1, [1, 1, 1], longest=20)
    work = plan([rl(samples)], Limits(budget=10_000, share=True), 0)
    lengths = [len(s.tokens) - 1 for s in samples]
    positions = 3 * max(lengths)
    assert work.metrics["positions"].total == positions
    assert work.metrics["padding"].mean == approx((positions - sum(lengths)) / positions)


def test_share_of_all_and_none():
    assert (share(0, 4).low, share(0, 4).high) == (0.0, 0.0)
    assert (share(4, 4).low, share(4, 4).high) == (1.0, 1.0)


def test_alone_splits_a_pass_into_its_items():
    rows = pairs(1, 4)
    for work in plan([Stream(name="dpo", loss=Dpo(), reduction=token_mean, pairs=rows)], LIMITS, 0).passes:
        singles = alone(work)
        assert [one.ids for one in singles] == [(p.id,) for p in work.pairs]
        assert all(one.samples == (one.pairs[0].chosen, one.pairs[0].rejected) for one in singles)
        assert tuple(one.scales[0] for one in singles) == work.scales


def test_shared_rows_are_those_in_which_two_completions_are_read():
    """The last trained token is never read, so a completion of one token shows nothing."""
    tokens = ((5, 6, 7), (5, 6, 8), (5, 6, 9, 4), (5, 6, 3, 2))

    def found(count):
        samples = [
            Sample(id=str(k), tokens=t, loss_mask=(False, False, *[True] * (len(t) - 2)), weights=(1.0,) * len(t))
            for k, t in enumerate(tokens[:count])
        ]
        return [one.ids for _, work in scoring(samples, 1.0, LIMITS) for one in shared_rows(work)]

    assert [found(count) for count in (2, 3, 4)] == [[], [], [("0", "1", "2", "3")]]


def test_scoring_and_shared_rows_hold_the_samples_they_say():
    samples = groups(1, [3, 1])
    planned = scoring(samples, 1.0, LIMITS)
    assert sorted(k for ks, _ in planned for k in ks) == [0, 1, 2, 3]
    assert all(work.samples == tuple(samples[k] for k in ks) for ks, work in planned)
    (shared,) = [one for _, work in planned for one in shared_rows(work)]
    assert set(shared.ids) == {"g0/0", "g0/1", "g0/2"}
