import asyncio

import torch
from tests.stepping_toys import rehearsal

from trueloop.faults import following
from trueloop.models.spec import LoRA


def loaded(kind, whole):
    """The engine's weights after it was given the present ones and then others, and both checksums."""
    engine = kind(whole.engine)
    first = {name: t.clone() for name, t in whole.policy.engine_weights().items()}
    asyncio.run(engine.load_weights(first, 0))
    second = {name: t + 0.1 for name, t in first.items()}
    asyncio.run(engine.load_weights(second, 1))
    return whole.engine.checksum, whole.engine.checksum_of(first), whole.engine.checksum_of(second)


def test_engines_that_do_not_follow():
    with rehearsal() as whole:
        now, first, _ = loaded(following._KeepsFirst, whole)
        assert now == first and whole.engine.version == 1
        now, first, second = loaded(following._TakesHalf, whole)
        assert now not in (first, second)
        now, first, _ = loaded(following._OneBehind, whole)
        assert now == first
        now, _, second = loaded(following._SameVersion, whole)
        assert now == second and whole.engine.version == 0


def test_the_engine_gets_the_base_or_half_of_the_adapter():
    with rehearsal(adapter=LoRA(rank=2, alpha=4)) as whole:
        whole.trainer.step(whole.streams)
        right = whole.policy.engine_weights()
        with following._without_adapter():
            base = whole.policy.engine_weights()
        with following._half_scaled():
            half = whole.policy.engine_weights()
        name = next(n for n in right if not torch.equal(right[n], base[n]))
        torch.testing.assert_close(half[name], (right[name] + base[name]) / 2)
