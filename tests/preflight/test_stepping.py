from dataclasses import replace

import pytest
from tests.helpers import tiny_policy
from tests.stepping_toys import rehearsal, said

from trueloop.models.spec import LoRA
from trueloop.preflight.stepping import first_rows, meant, scaling, stepping
from trueloop.recipes.policy import give_advantages
from trueloop.train.batch import Stream

LORA = LoRA(rank=2, alpha=4)


@pytest.mark.parametrize("adapter", [None, LORA])
def test_a_healthy_step_passes_and_leaves_everything_as_it_was(adapter):
    with rehearsal(adapter=adapter, lr=1e-3) as whole:
        before = whole.policy.fingerprint()
        held = whole.engine.checksum_of(whole.policy.engine_weights())
        found = said(stepping(whole))
        bad = {id: r.evidence for id, r in found.items() if r.status in ("warn", "fail")}
        assert not bad
        assert {"liveness.tensors_moved", "liveness.reward_rises", "liveness.sampler_follows"} <= found.keys()
        assert whole.policy.fingerprint() == before and (whole.trainer.version, whole.trainer.steps) == (0, 0)
        assert whole.engine.checksum == held and whole.engine.version == 0


def test_a_negated_credit_is_seen_in_the_rewards():
    with rehearsal() as whole:

        def negated(groups):
            credited, streams = whole.credit(groups)
            return credited, [replace(s, samples=[_negated(x) for x in s.samples]) for s in streams]

        wrong = replace(whole, credit=negated, streams=negated(whole.credited)[1])
        found = said(stepping(wrong))
        assert found["liveness.reward_rises"].status == "fail"
        assert found["liveness.credit_follows_reward"].status == "fail"
        assert found["liveness.downhill"].status == "pass"


def test_a_penalty_that_outweighs_the_rewards_is_no_wrong_direction():
    with rehearsal() as whole:

        def penalised(groups):
            bonus = {r.id: -9.0 * k for g in groups for k, r in enumerate(g.rollouts)}
            credited = give_advantages(groups, "dr_grpo", lambda r: bonus[r.id])
            given = {r.id: a for g in credited for r, a in zip(g.rollouts, g.advantages, strict=True)}
            _, streams = whole.credit(groups)
            return credited, [replace(s, samples=[_weighing(x, given[x.id]) for x in s.samples]) for s in streams]

        def turned(groups):
            credited, streams = penalised(groups)
            return credited, [replace(s, samples=[_negated(x) for x in s.samples]) for s in streams]

        ids = ("liveness.reward_rises", "liveness.credit_follows_reward")
        for credit, status in ((penalised, "pass"), (turned, "fail")):
            credited, streams = credit(whole.credited)
            fields = {"credit": credit, "credited": credited, "streams": streams}
            found = said(stepping(replace(whole, **fields, configured={"kl": {"where": "reward"}})))
            assert [found[id].status for id in ids] == [status] * 2


def _weighing(sample, weight):
    return replace(sample, weights=tuple(weight * m for m in sample.loss_mask))


def _negated(sample):
    return replace(sample, weights=tuple(-w for w in sample.weights))


def test_an_absurd_learning_rate_is_named_with_a_sane_one():
    with rehearsal(lr=1e6) as whole:
        found = said(stepping(whole))["liveness.step_is_sane"]
        assert found.status == "fail" and "lower optim.lr to about" in found.advice


def test_a_batch_without_signal_is_given_invented_rewards():
    with rehearsal(rewards=((1, 1, 1, 1), (0, 0, 0, 0))) as whole:
        first = first_rows(whole)
        assert first.invented and [g.rewards() for g in first.groups] == [(0.0, 1.0, 0.0, 1.0)] * 2
        assert said(stepping(whole))["liveness.reward_rises"].status == "pass"


def test_groups_with_signal_come_first():
    with rehearsal(rewards=((1, 1, 1, 1), (0, 1, 0, 0), (0, 0, 0, 0))) as whole:
        assert first_rows(whole).groups[0].rewards() == (0.0, 1.0, 0.0, 0.0)


def test_demonstrations_beside_the_rollouts_are_measured_with_them():
    with rehearsal() as whole:
        rows = [replace(s, weights=tuple(map(float, s.loss_mask)), logprobs=None) for s in whole.streams[0].samples]
        silent = [replace(s, weights=(0.0,) * len(s.tokens)) for s in rows]
        mix = Stream(name="mix", samples=silent, loss=whole.streams[0].loss, reduction=whole.streams[0].reduction)
        assert said(stepping(replace(whole, beside=[mix])))["liveness.streams_reach"].status == "fail"
        heard = replace(mix, samples=rows)
        assert said(stepping(replace(whole, beside=[heard])))["liveness.streams_reach"].status == "pass"


def test_what_is_meant_to_train():
    whole, adapted = tiny_policy(), tiny_policy(adapter=LORA)
    assert meant(whole).keys() == whole.trainable().keys()
    assert meant(adapted).keys() == adapted.trainable().keys()
    assert (scaling(whole), scaling(adapted)) == (None, 2.0)
