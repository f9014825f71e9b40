from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from trueloop.config import Config, load, loading, preset_names, read, run_name
from trueloop.errors import ConfigError


class Clip(Config):
    kind: Literal["clip"] = "clip"
    low: float = 0.2
    high: float = 0.28


class Cispo(Config):
    kind: Literal["cispo"] = "cispo"
    max_ratio: float


class Optim(Config):
    lr: float
    warmup: int = 0


class Recipe(Config):
    steps: int
    optim: Optim
    loss: Annotated[Clip | Cispo, Field(discriminator="kind")] = Clip()
    model: str = "tiny"


@pytest.fixture(autouse=True)
def presets(tmp_path, monkeypatch):
    """A preset tree of our own; returns a function that adds to it."""
    folder = tmp_path / "presets"
    monkeypatch.setattr(loading, "PRESETS", folder)
    monkeypatch.chdir(tmp_path)

    def add(**texts):
        for name, text in texts.items():
            path = folder / f"{name.replace('__', '/')}.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    add(
        rlvr__base='recipe = "rlvr"\nsteps = 5\noptim.lr = 1e-3',
        rlvr__long='extends = "rlvr/base"\nsteps = 50\nloss.high = 0.5',
    )
    return add


def test_a_preset_says_only_what_differs():
    resolved = load(Recipe, "rlvr/long")
    assert resolved.config == Recipe(steps=50, optim=Optim(lr=1e-3), loss=Clip(high=0.5))
    assert resolved.presets == ("rlvr/long", "rlvr/base")
    assert resolved.recipe == "rlvr"
    assert resolved.difference == {}
    assert resolved.raw == {
        "steps": 50,
        "optim": {"lr": 1e-3, "warmup": 0},
        "loss": {"kind": "clip", "low": 0.2, "high": 0.5},
        "model": "tiny",
    }


def test_overrides_are_the_difference_from_the_preset():
    resolved = load(Recipe, "rlvr/base", ["optim.lr=1e-5", 'loss={kind="cispo", max_ratio=2.0}', "model=Qwen/Q-1.7B"])
    assert resolved.config == Recipe(steps=5, optim=Optim(lr=1e-5), loss=Cispo(max_ratio=2.0), model="Qwen/Q-1.7B")
    assert resolved.difference == {
        "optim.lr": (1e-3, 1e-5),
        "loss.kind": ("clip", "cispo"),
        "loss.low": (0.2, None),
        "loss.high": (0.28, None),
        "loss.max_ratio": (None, 2.0),
        "model": ("tiny", "Qwen/Q-1.7B"),
    }


def test_the_order_of_overrides_does_not_matter_for_kind():
    one = load(Recipe, "rlvr/base", ["loss.max_ratio=2.0", "loss.kind=cispo"])
    two = load(Recipe, "rlvr/base", ["loss.kind=cispo", "loss.max_ratio=2.0"])
    assert one.config == two.config == Recipe(steps=5, optim=Optim(lr=1e-3), loss=Cispo(max_ratio=2.0))


def test_the_last_override_of_a_key_wins():
    assert load(Recipe, "rlvr/base", ["steps=7", "steps=8"]).config.steps == 8


@pytest.mark.parametrize(
    ("text", "value"),
    [("model=word", "word"), ('model="a b"', "a b"), ("model=true story", "true story"), ('model="1"', "1")],
)
def test_a_bare_word_is_a_string(text, value):
    assert load(Recipe, "rlvr/base", [text]).config.model == value


def test_a_file_extends_a_preset_and_its_difference_is_told(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "rlvr/long"\n[optim]\nwarmup = 3\n')
    resolved = load(Recipe, str(tmp_path / "mine.toml"), ["steps=6"])
    assert resolved.config == Recipe(steps=6, optim=Optim(lr=1e-3, warmup=3), loss=Clip(high=0.5))
    assert resolved.difference == {"optim.warmup": (0, 3), "steps": (50, 6)}
    assert resolved.recipe == "rlvr"


def test_a_file_extends_a_file_beside_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/below.toml").write_text('recipe = "rlvr"\nsteps = 1\noptim.lr = 1.0')
    (tmp_path / "a/above.toml").write_text('extends = "below.toml"\nsteps = 2')
    assert load(Recipe, "a/above.toml").config == Recipe(steps=2, optim=Optim(lr=1.0))


def test_a_file_without_preset_differs_from_the_defaults(tmp_path):
    (tmp_path / "mine.toml").write_text("steps = 1\noptim.lr = 1.0")
    assert load(Recipe, "mine.toml").difference == {"steps": (None, 1), "optim.lr": (None, 1.0)}


def test_the_resolved_text_needs_no_preset(tmp_path):
    resolved = load(Recipe, "rlvr/long", ['loss={kind="cispo", max_ratio=2.0}'])
    (tmp_path / "again.toml").write_text(resolved.to_toml())
    again = load(Recipe, "again.toml")
    assert (again.config, again.recipe, again.presets) == (resolved.config, "rlvr", ("again.toml",))


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigError) as error:
        load(Recipe, "rlvr/base", ["optim.lrr=1", "steps=many", "loss.kind=cisop", "loss.max_ratio", "lr=1"])
    assert str(error.value).splitlines() == [
        "rlvr/base: 5 things are wrong",
        "  --set loss.max_ratio: not of the form dotted.key=value with a TOML value; quote it for the shell",
        '  steps: found "many", expected an integer',
        "  optim.lrr: unknown key; did you mean lr?; keys here: lr, warmup",
        '  loss.kind: found "cisop", expected one of clip, cispo; did you mean cispo?',
        "  lr: unknown key; did you mean optim.lr?; keys here: steps, optim, loss, model",
    ]


def test_an_unquoted_table_is_not_taken_for_a_string():
    with pytest.raises(ConfigError, match="quote it for the shell"):
        load(Recipe, "rlvr/base", ["model={kind=cispo}"])


@pytest.mark.parametrize("name", ["rlvr/bas", "rlvr/logn"])
def test_a_missing_preset_is_told_with_the_nearest(name, presets):
    near = {"rlvr/bas": "rlvr/base", "rlvr/logn": "rlvr/long"}[name]
    with pytest.raises(ConfigError, match=rf"no preset '{name}'; did you mean {near}\?; presets: rlvr/base, rlvr/long"):
        read(name)
    presets(broken=f'extends = "{name}"')
    with pytest.raises(ConfigError, match=f"no preset '{name}'"):
        read("broken")


def test_a_file_named_without_its_ending_is_told(tmp_path):
    (tmp_path / "mine.toml").write_text("")
    with pytest.raises(ConfigError, match=r"named with its ending: mine.toml"):
        read("mine")


def test_a_missing_file_is_told():
    place = Path("absent.toml").absolute()
    with pytest.raises(ConfigError, match=rf"no file 'absent.toml', looked for at {place}; presets, .*: rlvr/base"):
        read("absent.toml")


@pytest.mark.parametrize(("source", "name"), [("rlvr/base", "rlvr/base"), ("a/b-1.7.toml", "b-1.7")])
def test_what_a_source_leaves_behind_has_its_name(source, name):
    assert run_name(source) == name


def test_a_circle_is_told(presets):
    presets(a='extends = "b"', b='extends = "a"')
    with pytest.raises(ConfigError, match="circle: a -> b -> a"):
        read("a")


def test_recipes_must_agree(presets):
    presets(odd='extends = "rlvr/base"\nrecipe = "sft"')
    with pytest.raises(ConfigError, match="recipe is 'sft', but what it extends is for 'rlvr'"):
        read("odd")


def test_a_file_that_is_not_toml_is_told_with_its_place(tmp_path):
    (tmp_path / "bad.toml").write_text("steps = = 3")
    with pytest.raises(ConfigError, match=r"bad.toml is not TOML: .*line 1"):
        read("bad.toml")


def test_extends_must_be_a_name(tmp_path):
    (tmp_path / "bad.toml").write_text("extends = 3")
    with pytest.raises(ConfigError, match=r"extends: found 3, expected a name in quotes"):
        read("bad.toml")


def test_presets_are_listed_by_name():
    assert preset_names() == ["rlvr/base", "rlvr/long"]
