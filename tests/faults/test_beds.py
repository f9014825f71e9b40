from pathlib import Path

from trueloop.config import resolve
from trueloop.faults.beds import beds


def test_every_bed_is_a_configuration_of_its_recipe():
    made = beds(Path("a/model"))
    assert {"rlvr", "lora", "sft", "distill"} <= set(made)
    for name, bed in made.items():
        with bed.around():
            config = resolve(bed.recipe.Config, bed.source, bed.overrides).config
        assert bed.name == name and getattr(config, "warm_start", None) is None


def test_beds_start_from_the_policy_that_they_are_given():
    made = beds(Path("a/model"))
    config = resolve(made["rlvr"].recipe.Config, made["rlvr"].source, made["rlvr"].overrides).config
    assert config.model.path == "a/model" and config.flow.problems_per_step == 8
    lora = resolve(made["lora"].recipe.Config, made["lora"].source, made["lora"].overrides).config
    assert lora.adapter.kind == "lora" and lora.model.path == "a/model"
