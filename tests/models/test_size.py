from pathlib import Path

import pytest

from helpers import CONFIGS, char_tokenizer, tiny_policy
from trueloop.errors import ModelError
from trueloop.models.size import measure
from trueloop.models.spec import Fresh, LoRA, Pretrained, SavedAdapter


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_configuration_says_what_the_loaded_model_has(tmp_path: Path, kind: str) -> None:
    policy = tiny_policy(kind)
    policy.save(tmp_path)
    size = measure(Pretrained(path=str(tmp_path)), None)
    assert size.parameters == size.trained == sum(p.numel() for p in policy.trainable().values())


@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "v_proj")])
def test_an_adapter_is_counted_as_peft_makes_it(tmp_path: Path, targets: str | tuple[str, ...]) -> None:
    adapter = LoRA(rank=3, alpha=6, targets=targets)  # type: ignore[arg-type]
    tiny_policy().save(tmp_path)
    trained = tiny_policy(adapter=adapter).trainable()
    assert measure(Pretrained(path=str(tmp_path)), adapter).trained == sum(p.numel() for p in trained.values())
    assert measure(Pretrained(path=str(tmp_path)), SavedAdapter(path="x")).trained == 0


def test_a_fresh_model_takes_its_vocabulary_from_the_tokenizer_and_its_cache_from_the_heads(tmp_path: Path) -> None:
    char_tokenizer().save_pretrained(tmp_path)
    size = measure(Fresh(config=CONFIGS["qwen3"], tokenizer=str(tmp_path)), None)
    assert size.parameters == sum(p.numel() for p in tiny_policy("qwen3").trainable().values())
    assert size.cache_per_token == 2 * 2 * 2 * 8


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="absent"):
        measure(Pretrained(path=str(tmp_path / "absent")), None)
