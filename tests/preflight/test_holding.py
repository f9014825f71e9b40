from dataclasses import replace

from tests.stepping_toys import rehearsal

from trueloop.models.reference import FrozenCopy, with_reference
from trueloop.models.samples import sample_logprobs
from trueloop.preflight.holding import holding
from trueloop.preflight.trial import take
from trueloop.preflight.undo import undone


class Moving:
    """A reference that is the policy as it is."""

    def __init__(self, policy):
        self.policy = policy

    def logprobs(self, samples):
        return sample_logprobs(self.policy.model, samples)


def held(reference_of):
    with rehearsal() as whole:
        reference, own = reference_of(whole.policy), whole.credit

        def credit(groups):
            credited, streams = own(groups)
            return credited, [replace(s, samples=with_reference(s.samples, reference)) for s in streams]

        groups, streams = credit(whole.credited)
        whole = replace(whole, credit=credit, streams=streams)
        with undone(whole.trainer) as before:
            trial = take(whole.trainer, streams, before)
            return [r.status for r in holding(whole, trial, groups, streams)]


def test_a_frozen_copy_is_held():
    assert held(FrozenCopy) == ["pass"]


def test_a_reference_that_moves_with_the_policy_is_not():
    assert held(Moving) == ["fail"]


def test_without_a_reference_there_is_nothing_to_ask():
    with rehearsal() as whole, undone(whole.trainer) as before:
        trial = take(whole.trainer, whole.streams, before)
        assert not list(holding(whole, trial, whole.credited, whole.streams))
