from trueloop.config import resolve
from trueloop.faults.beds import beds


def test_every_bed_is_a_configuration_of_its_recipe(tmp_path):
    made = beds(tmp_path / "model")
    assert {"rlvr", "lora", "sft", "distill"} <= set(made)
    for name, bed in made.items():
        with bed.around():
            config = resolve(bed.recipe.Config, bed.source, bed.overrides).config
        assert bed.name == name and config.seed == 0


def test_beds_start_from_the_policy_that_they_are_given(tmp_path):
    model = tmp_path / "model"
    made = beds(model)
    config = resolve(made["rlvr"].recipe.Config, made["rlvr"].source, made["rlvr"].overrides).config
    assert config.model.path == str(model) and config.flow.problems_per_step == 8
    lora = resolve(made["lora"].recipe.Config, made["lora"].source, made["lora"].overrides).config
    assert lora.adapter.kind == "lora" and lora.model.path == str(model)
