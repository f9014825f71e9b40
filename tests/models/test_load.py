import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import CONFIGS, char_tokenizer, tiny_policy
from trueloop.errors import ModelError
from trueloop.models.load import load_model, load_tokenizer, new_model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny_policy("qwen3").save(tmp_path)
    return tmp_path


def edit(directory: Path, name: str = "config.json", **changes) -> None:
    path = directory / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_missing_weights_are_not_made_up(saved):
    weights = load_file(saved / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights that config.json asks for .* model.layers.1.mlp.up_proj.weight"):
        load_model(saved)


def test_weights_without_a_place_are_not_dropped(saved):
    edit(saved, num_hidden_layers=1, layer_types=["full_attention"])
    with pytest.raises(ModelError, match=r"11 weights have no place in the model"):
        load_model(saved)


def test_weights_of_another_shape_are_refused(saved):
    edit(saved, intermediate_size=24)
    with pytest.raises(ModelError, match=str(saved)):
        load_model(saved)


def test_a_truncated_weight_file_is_one_clear_error(saved):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="transformers cannot load this"):
        load_model(saved)


def test_an_unknown_architecture_is_one_clear_error(saved):
    edit(saved, model_type="nonesuch")
    with pytest.raises(ModelError, match="transformers cannot load this as a causal language model"):
        load_model(saved)


def test_a_missing_tokenizer_is_one_clear_error(saved):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (saved / name).unlink()
    with pytest.raises(ModelError, match=r"no tokenizer \(expected tokenizer.json\); found config.json"):
        load_tokenizer(saved)
    (saved / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="transformers cannot load this tokenizer"):
        load_tokenizer(saved)


def test_a_tokenizer_of_another_model_is_refused(saved):
    small = {**CONFIGS["qwen3"], "vocab_size": 40}
    with pytest.raises(ModelError, match=r"ids up to 82 but the model has 40 embeddings"):
        new_model(small, char_tokenizer(), 0)


def test_a_generation_config_that_transformers_will_not_save_is_made_savable(saved, tmp_path):
    edit(saved, "generation_config.json", temperature=0.6, top_p=0.9)
    loaded = load_model(saved)
    loaded.model.save_pretrained(tmp_path / "again")
    kept = json.loads((tmp_path / "again" / "generation_config.json").read_text())
    assert (kept["temperature"], kept["do_sample"]) == (0.6, True)


def test_a_fresh_model_takes_vocabulary_and_special_tokens_from_the_tokenizer():
    config = new_model(CONFIGS["qwen3"], char_tokenizer(), 0).config
    assert (config.vocab_size, config.eos_token_id, config.pad_token_id) == (len(char_tokenizer()), 1, 0)
    assert new_model({**CONFIGS["qwen3"], "vocab_size": 96}, char_tokenizer(), 0).config.vocab_size == 96


def test_fresh_weights_depend_on_the_seed_alone():
    state = torch.random.get_rng_state()
    a, b, c = (new_model(CONFIGS["llama"], char_tokenizer(), s).lm_head.weight for s in (3, 3, 4))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hiden_size": 3}, r"model.config.hiden_size: qwen3 has no such field; did you mean 'hidden_size'"),
        ({"model_type": "qwen33"}, r"'qwen33' is no model type of transformers; did you mean 'qwen3'"),
        ({"hidden_size": "wide"}, r"does not make a causal language model: .*hidden_size"),
        ({"model_type": "vit", "zzz": 1}, r"model.config"),
    ],
)
def test_a_wrong_configuration_is_one_clear_error(changes, message):
    with pytest.raises(ModelError, match=f"(?s){message}"):
        new_model({**CONFIGS["qwen3"], **changes}, char_tokenizer(), 0)
