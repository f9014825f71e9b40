import asyncio
from pathlib import Path

import pytest
import torch

from helpers import tiny_policy
from trueloop.config import load
from trueloop.errors import DataError, StoreError
from trueloop.models import LoRA
from trueloop.recipes import rlvr, wiring
from trueloop.records import Request, Sampling
from trueloop.tasks.worlds.arithmetic import Arithmetic


def test_the_tiny_model_is_drawn_from_the_seed() -> None:
    prints = [wiring.build_policy(wiring.Tiny(), None, seed).fingerprint() for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_what_a_run_reads_is_hashed_by_name() -> None:
    task, policy = Arithmetic(lowest=1, highest=5, held_out=0.2).build(), wiring.build_policy(wiring.Tiny(), None, 0)
    data = wiring.data_of(policy, [(task, "train"), (task, "test")])
    assert set(data) == {"arithmetic/train", "arithmetic/test", "arithmetic/template", "model"}
    assert data["model"] == policy.fingerprint()
    other = wiring.data_of(policy, [(Arithmetic(lowest=1, highest=6, held_out=0.2).build(), "train")])
    assert other["arithmetic/train"] != data["arithmetic/train"]


@pytest.mark.parametrize("adapter", [None, LoRA(rank=2, alpha=64)])
def test_the_engine_samples_from_the_policy_after_a_sync(adapter: LoRA | None) -> None:
    policy = tiny_policy(adapter=adapter)
    if adapter is not None:
        with torch.no_grad():
            for name, p in policy.trainable().items():
                if "lora_B" in name:
                    p.normal_(generator=torch.Generator().manual_seed(1))
    engine = wiring.open_engine(wiring.Engine(), policy)
    sequence = (5, 9, 3, 7)

    async def scores() -> list[tuple[float, ...]]:
        await engine.load_weights(policy.engine_weights(), 1)
        found = await engine.logprobs([sequence])
        async for _ in engine.generate([Request(id="a", prompt=sequence, sampling=Sampling(max_tokens=2))]):
            pass
        await engine.close()
        return found

    found = asyncio.run(scores())[0]
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([sequence])).logits[0].log_softmax(-1)
    expected = [logits[t, sequence[t + 1]].item() for t in range(3)]
    assert found[1:] == pytest.approx(expected, abs=1e-5)
    assert engine.version == 1


def test_a_model_without_an_end_token_cannot_be_taught_to_stop() -> None:
    policy = tiny_policy()
    policy.end_ids = ()
    task = Arithmetic(lowest=1, highest=5, held_out=0.2).build()
    with pytest.raises(DataError, match="no end token"):
        wiring.supervised(task, list(task.demonstrations("train")), policy)


def test_resuming_what_was_never_begun_is_an_error(tmp_path: Path) -> None:
    resolved = load(rlvr.Config, "arithmetic")
    with pytest.raises(StoreError, match="does not exist"):
        wiring.open_run("rlvr", resolved.config, resolved, tmp_path / "absent", True, {})


def test_draws_take_stops_and_limits_from_the_task() -> None:
    task = Arithmetic(max_tokens=33).build()
    sampling = wiring.Draw(temperature=0.5, top_k=7).sampling(task)
    assert (sampling.max_tokens, sampling.stop, sampling.temperature, sampling.top_k) == (33, ("\n",), 0.5, 7)
