from pathlib import Path
from typing import Annotated, Literal

from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from trueloop.config import Config, difference, plain, to_toml
from trueloop.config.tree import defaults, dotted, overlay, stack


class Clip(Config):
    kind: Literal["clip"] = "clip"
    low: float = 0.2
    high: float = 0.28


class Cispo(Config):
    kind: Literal["cispo"] = "cispo"
    max_ratio: float
    warm: Clip = Clip(low=0.5)


Loss = Annotated[Clip | Cispo, Field(discriminator="kind")]


class Optim(Config):
    lr: float
    betas: tuple[float, float] = (0.9, 0.95)


class Recipe(Config):
    steps: int
    optim: Optim
    loss: Loss = Clip(low=0.1)
    guard: Loss | None = None
    out: Path = Path("here")
    note: str = ""
    mixes: tuple[Loss, ...] = ()
    named: dict[str, Loss] = Field(default_factory=dict)


def test_defaults_hold_what_is_known_and_nothing_else():
    assert defaults(Recipe) == {
        "optim": {"betas": [0.9, 0.95]},
        "loss": {"kind": "clip", "low": 0.1, "high": 0.28},
        "out": "here",
        "note": "",
        "mixes": [],
        "named": {},
    }


def test_a_table_changes_only_the_keys_it_names():
    tree = stack(Recipe, [{"loss": {"high": 0.5}}, {"optim": {"lr": 1e-5}, "loss": {"high": 0.4}}])
    assert tree["loss"] == {"kind": "clip", "low": 0.1, "high": 0.5}
    assert tree["optim"] == {"lr": 1e-5, "betas": [0.9, 0.95]}


def test_another_kind_leaves_nothing_of_the_old_one():
    tree = overlay(Recipe, defaults(Recipe), {"loss": {"kind": "cispo", "max_ratio": 2.0}})
    assert tree["loss"] == {"kind": "cispo", "max_ratio": 2.0, "warm": {"kind": "clip", "low": 0.5, "high": 0.28}}
    back = overlay(Recipe, tree, {"loss": {"kind": "clip"}})
    assert back["loss"] == {"kind": "clip", "low": 0.2, "high": 0.28}  # the class's defaults, not the field's


def test_the_same_kind_keeps_what_was_set():
    tree = stack(Recipe, [{"loss": {"kind": "clip", "high": 0.5}}, {"loss": {"low": 0.3}}])
    assert tree["loss"] == {"kind": "clip", "low": 0.3, "high": 0.5}


def test_lists_are_replaced_as_a_whole():
    assert overlay(Recipe, {"optim": {"betas": [1, 2]}}, {"optim": {"betas": [3]}})["optim"]["betas"] == [3]


def test_tables_in_containers_start_from_the_defaults_of_their_kind():
    top = {"mixes": [{"kind": "clip", "low": 1.0}, {"kind": "cispo"}], "named": {"a": {"kind": "clip"}}}
    tree = overlay(Recipe, defaults(Recipe), top)
    assert tree["mixes"] == [
        {"kind": "clip", "low": 1.0, "high": 0.28},
        {"kind": "cispo", "warm": {"kind": "clip", "low": 0.5, "high": 0.28}},
    ]
    assert tree["named"] == {"a": {"kind": "clip", "low": 0.2, "high": 0.28}}


def test_difference_names_every_leaf_that_differs():
    base = Recipe(steps=3, optim=Optim(lr=1.0))
    config = Recipe(steps=3, optim=Optim(lr=2.0), loss=Cispo(max_ratio=2.0, warm=Clip()))
    assert difference(base, base) == {}
    assert difference(base, config) == {
        "optim.lr": (1.0, 2.0),
        "loss.kind": ("clip", "cispo"),
        "loss.low": (0.1, None),
        "loss.high": (0.28, None),
        "loss.max_ratio": (None, 2.0),
        "loss.warm.kind": (None, "clip"),
        "loss.warm.low": (None, 0.2),
        "loss.warm.high": (None, 0.28),
    }


def test_difference_tells_true_from_one():
    assert difference({"a": {"b.c": 1}}, {"a": {"b.c": True}}) == {'a."b.c"': (1, True)}


def test_dotted_quotes_what_is_not_a_bare_key():
    assert dotted(["a", 0, "b c"]) == 'a.0."b c"'


def test_none_is_written_by_omission():
    assert "guard" not in plain(Recipe(steps=1, optim=Optim(lr=1.0)))


numbers = st.floats(allow_nan=False, allow_infinity=False)
clips = st.builds(Clip, low=numbers, high=numbers)
losses = clips | st.builds(Cispo, max_ratio=numbers, warm=clips)
recipes = st.builds(
    Recipe,
    steps=st.integers(-(2**63), 2**63 - 1),
    optim=st.builds(Optim, lr=numbers, betas=st.tuples(numbers, numbers)),
    loss=losses,
    guard=st.none() | losses,
    out=st.sampled_from([Path("a b"), Path("/x/y.z")]),
    note=st.text(st.characters(exclude_categories=["Cs"])),
)


@given(recipes)
def test_toml_loads_back_to_an_equal_config(tmp_path_factory, config):
    import trueloop.config as c

    path = tmp_path_factory.getbasetemp() / "config.toml"
    path.write_text(to_toml(config, recipe="rlvr"), encoding="utf-8", newline="")
    resolved = c.load(Recipe, str(path))
    assert resolved.config == config
    assert resolved.recipe == "rlvr"
