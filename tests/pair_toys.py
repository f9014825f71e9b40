"""A small preference run that tests of pairs share: forty pairs of the arithmetic world on a fresh tiny model."""

from functools import partial

from trueloop.faults import pairs_bed
from trueloop.preflight.pairs import Pairing, by_verifier
from trueloop.train.batch import Batching
from trueloop.train.step import Trainer


def config(**changes):
    settings = {
        "seed": 0,
        "model": {"kind": "tiny"},
        "optim": {"lr": 1e-4},
        "loop": {"steps": 9, "checkpoint_every": 9},
    }
    return pairs_bed.Config(**(settings | changes))


def pairing(**changes):
    made = config(**changes)
    task, policy = made.task.build(), pairs_bed.build(made)
    given, held_out = pairs_bed.read(task, "train", 40), pairs_bed.read(task, "validation", 10)
    reference, objectives = pairs_bed.open_reference(policy), [pairs_bed.declared(made)]
    return Pairing(
        task=task,
        policy=policy,
        trainer=Trainer(policy, made.optim, Batching()),
        reference=reference,
        given=given,
        held_out=held_out,
        split="train",
        rows=pairs_bed.encode(task, policy, reference, given, objectives, made),
        stream=partial(pairs_bed.stream, made),
        objectives=objectives,
        w=made.w,
        beta=made.beta,
        judge=by_verifier(task),
        named=None,
        steps=9,
    )
