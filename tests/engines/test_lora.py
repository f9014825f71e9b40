import json
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from helpers import tiny_policy
from trueloop.engines.lora import read_adapter
from trueloop.errors import EngineError, ModelError
from trueloop.records import Request, Sampling

# peft asks a model for this property by its old name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
CPU = torch.device("cpu")
TARGETS = {
    "qwen3": ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"],
    "llama": ["k_proj", "up_proj"],
    "gpt2": ["c_attn", "c_proj"],
    "gemma2": ["q_proj", "up_proj"],
}


def saved(model: PreTrainedModel, directory: Path, seed: int, **settings) -> PreTrainedModel:
    """Save a random adapter; returns the model with it merged."""
    torch.manual_seed(seed)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **settings))
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    wrapped.save_pretrained(directory)
    return wrapped.merge_and_unload()


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gpt2", "gemma2"])
def test_every_row_of_a_mixed_batch_is_its_own_merged_model(kind, tmp_path, engine_of, run):
    fan_in = {"fan_in_fan_out": True} if kind == "gpt2" else {}
    a = saved(tiny_policy(kind).model, tmp_path / "a", 1, r=4, lora_alpha=9, target_modules=TARGETS[kind], **fan_in)
    b = saved(
        tiny_policy(kind).model,
        tmp_path / "b",
        2,
        r=3,
        use_rslora=True,
        alpha_pattern={TARGETS[kind][0]: 5},
        target_modules=TARGETS[kind][:2],
        **fan_in,
    )
    models = {None: tiny_policy(kind).model, "a": a, "b": b}
    engine = engine_of(models[None], adapters={"a": tmp_path / "a", "b": tmp_path / "b"}, max_rows=5)
    names = [None, "a", "b", "a", None, "b", "b"]
    prompts = [(5, 6, 7), (5, 6, 7), (5, 6, 7), (9, 8, 7, 6, 5), (9, 8), (30,), (9, 8, 7, 6, 5)]
    requests = [
        Request(id=str(i), prompt=p, adapter=n, sampling=Sampling(max_tokens=6 + i, seed=i))
        for i, (n, p) in enumerate(zip(names, prompts, strict=True))
    ]
    for i, completion in run(engine, requests).items():
        prompt, model = prompts[int(i)], models[names[int(i)]]
        ids = torch.tensor([prompt + completion.tokens])
        with torch.no_grad():
            logp = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        want = logp.gather(-1, ids[0, len(prompt) :, None])[:, 0]
        assert torch.allclose(torch.tensor(completion.policy_logprobs), want, atol=1e-5)


def test_unknown_adapters_are_named_with_the_known_ones(tmp_path, engine_of, run):
    saved(tiny_policy().model, tmp_path, 0, target_modules=["q_proj"])
    engine = engine_of(tiny_policy().model, adapters={"poet": tmp_path})
    with pytest.raises(EngineError, match="unknown adapter 'poem'; this engine was given: 'poet'"):
        run(engine, [Request(id="x", prompt=(3,), adapter="poem", sampling=Sampling(max_tokens=1))])


def test_a_model_with_adapter_layers_inside_is_refused(engine_of):
    wrapped = peft.get_peft_model(tiny_policy().model, peft.LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(EngineError, match="carries adapter layers"):
        engine_of(wrapped.get_base_model())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["norm"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
    ],
)
def test_more_than_plain_lora_is_refused(settings, said, tmp_path):
    saved(tiny_policy().model, tmp_path, 0, target_modules=["q_proj"], **settings)
    with pytest.raises(ModelError, match=said):
        read_adapter(tmp_path, dtype=torch.float32, device=CPU)


def test_directories_that_are_not_adapters_of_this_model(tmp_path, engine_of):
    with pytest.raises(ModelError, match=r"adapter_config.json is missing"):
        read_adapter(tmp_path, dtype=torch.float32, device=CPU)
    saved(tiny_policy("gpt2").model, tmp_path, 0, target_modules=["c_attn"], fan_in_fan_out=True)
    with pytest.raises(ModelError, match="another base"):
        engine_of(tiny_policy("qwen3").model, adapters={"a": tmp_path})
    weights = load_file(tmp_path / "adapter_model.safetensors")
    save_file(
        {**weights, "base_model.model.x.lora_embedding_A": torch.zeros(1)}, tmp_path / "adapter_model.safetensors"
    )
    with pytest.raises(ModelError, match="lora_embedding_A"):
        read_adapter(tmp_path, dtype=torch.float32, device=CPU)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "peft_type": "IA3"}))
    with pytest.raises(ModelError, match="IA3"):
        read_adapter(tmp_path, dtype=torch.float32, device=CPU)
