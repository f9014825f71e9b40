from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from trueloop.config import Config, key_table
from trueloop.config.keys import Key, keys
from trueloop.recipes import distill, rlvr, sft


class Clip(Config):
    """A clipped ratio;
    bounds on both sides.

    low   the lower bound, which is
          told on two lines
    high  unlike this:  the upper one
    """

    kind: Literal["clip"] = "clip"
    low: float = Field(ge=0, lt=1)
    high: Annotated[float, Field(gt=0)] = 0.2


class Free(Config):
    """No bounds."""

    kind: Literal["free"] = "free"


Loss = Annotated[Clip | Free, Field(discriminator="kind")]


class Base(Config):
    """What is shared.

    steps, places  how far, and where
    """

    steps: int
    places: tuple[Path, ...] = ()


class Recipe(Base):
    """A recipe.

    loss  what is minimised
    """

    loss: Loss
    inner: Clip = Clip(low=0.5)
    parts: tuple[Clip, ...] = ()
    free: Loss | None = None
    sort: Literal["a", "b"] | None = None


def found(name: str) -> list[Key]:
    return [key for key in keys(Recipe) if key.name == name]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("steps", [("an integer", "required", "how far, and where")]),
        ("places", [("a list of a path", "[]", "how far, and where")]),
        ("loss", [("a table of kind clip or free", "required", "what is minimised")]),
        ("loss.kind", [('= "clip"', "", "A clipped ratio; bounds on both sides."), ('= "free"', "", "No bounds.")]),
        ("loss.low", [("a number >= 0 and < 1", "required", "the lower bound, which is told on two lines")]),
        ("loss.high", [("a number > 0", "0.2", "unlike this: the upper one")]),
        ("inner", [("a table of kind clip", '"clip"', "A clipped ratio; bounds on both sides.")]),
        ("inner.low", [("a number >= 0 and < 1", "0.5", "the lower bound, which is told on two lines")]),
        ("parts[].high", [("a number > 0", "0.2", "unlike this: the upper one")]),
        ("free", [("a table of kind clip or free", "absent", "")]),
        ("sort", [('"a" or "b"', "absent", "")]),
    ],
)
def test_a_key_has_its_type_its_default_and_its_meaning(name: str, rows: list[Any]) -> None:
    assert [key[1:] for key in found(name)] == rows


@pytest.mark.parametrize("recipe", [distill, rlvr, sft])
def test_every_key_of_a_recipe_is_named_and_typed(recipe: Any) -> None:
    rows = list(keys(recipe.Config))
    assert not [key.name for key in rows if "a value" in key.type]
    assert {"seed", "optim.lr", "guard.draw.temperature", "retention.checkpoints.every"} <= {key.name for key in rows}
    assert next(key.default for key in rows if key.name == "guard.draw.temperature") == "0.0"
    assert len(key_table(recipe.Config).splitlines()) == len(rows)
