from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from trueloop.config import Config
from trueloop.config.explain import explain, shown


class Clip(Config):
    kind: Literal["clip"] = "clip"
    low: float = 0.2


class Cispo(Config):
    kind: Literal["cispo"] = "cispo"
    max_ratio: Annotated[float, Field(gt=1)]


class Free(Config):
    kind: Literal["free"] = "free"
    table: dict[str, Any]


Loss = Annotated[Clip | Cispo | Free, Field(discriminator="kind")]


class Mix(Config):
    weight: float
    loss: Loss = Clip()


class Optim(Config):
    lr: float
    betas: tuple[float, float] = (0.9, 0.95)
    schedule: Literal["constant", "cosine"] = "constant"

    @model_validator(mode="after")
    def _sane(self):
        if self.lr > 1:
            raise ValueError("lr above 1 cannot train")
        return self


class Recipe(Config):
    loss: Loss
    optim: Optim | None = None
    mixes: tuple[Mix, ...] = ()
    needed: Annotated[tuple[Mix, ...], Field(min_length=1)] = (Mix(weight=1.0),)
    named: dict[str, Mix] = Field(default_factory=dict)
    stop: int | str | None = None
    greedy: bool = False


def lines(loss='{"kind": "clip"}', **rest):
    text = ", ".join([f'"loss": {loss}', *(f'"{k}": {v}' for k, v in rest.items())])
    with pytest.raises(ValidationError) as error:
        Recipe.model_validate_json(f"{{{text}}}")
    return explain(Recipe, error.value)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"loss": "{}"}, "loss.kind: missing, expected one of clip, cispo, free"),
        ({"loss": "3"}, "loss: found 3, expected a table with kind clip or cispo or free"),
        ({"loss": '"cispo"'}, 'loss: found "cispo", expected a table: {kind="cispo", max_ratio=...}'),
        ({"optim": "3"}, "optim: found 3, expected a table with lr, betas, schedule"),
        (
            {"needed": '[{"weight": 1, "loos": 2}]'},
            "needed.0.loos: unknown key; did you mean loss?; keys here: weight, loss",
        ),
        ({"needed": "[]"}, "needed: found [], expected at least 1 item after validation, not 0"),
        (
            {"loss": '{"kind": "clip", "max_ratio": 2}'},
            "loss.max_ratio: unknown key; `max_ratio` belongs to kind cispo; kind here is clip; keys here: kind, low",
        ),
        ({"loss": '{"kind": "cispo"}'}, "loss.max_ratio: missing, expected a number"),
        ({"loss": '{"kind": "cispo", "max_ratio": 0}'}, "loss.max_ratio: found 0, expected greater than 1"),
        ({"loss": '{"kind": "clip", "lo": 0}'}, "loss.lo: unknown key; did you mean low?; keys here: kind, low"),
        ({"optim": "{}"}, "optim.lr: missing, expected a number"),
        ({"optim": '{"lr": 2}'}, "optim: lr above 1 cannot train"),
        ({"optim": '{"lr": "2"}'}, 'optim.lr: found "2", expected a number'),
        ({"optim": '{"lr": 1, "betas": [1]}'}, "optim.betas.1: missing, expected a number"),
        (
            {"optim": '{"lr": 1, "schedule": "cosin"}'},
            "optim.schedule: found \"cosin\", expected 'constant' or 'cosine'; did you mean cosine?",
        ),
        ({"mixes": "[{}]"}, "mixes.0.weight: missing, expected a number"),
        (
            {"mixes": '[{"weight": 1, "loss": {"kind": "clip", "lo": 1}}]'},
            "mixes.0.loss.lo: unknown key; did you mean low?; keys here: kind, low",
        ),
        ({"mixes": "3"}, "mixes: found 3, expected a list"),
        ({"named": '{"a b": {}}'}, 'named."a b".weight: missing, expected a number'),
        ({"loss": '{"kind": "free"}'}, "loss.table: missing, expected a table"),
        ({"stop": "1.5"}, "stop: found 1.5, expected an integer or a string"),
        ({"greedy": "1"}, "greedy: found 1, expected true or false"),
    ],
)
def test_one_line_names_key_found_and_expected(wrong, line):
    assert lines(**wrong) == [line]


def test_a_key_of_another_table_is_recognised_and_named_once():
    keys = "keys here: loss, optim, mixes, needed, named, stop, greedy"
    assert lines(max_ratio=2) == [f"max_ratio: unknown key; did you mean loss.max_ratio?; {keys}"]
    assert lines(loss='{"kind": "clip", "betas": 2}') == [
        "loss.betas: unknown key; did you mean optim.betas?; keys here: kind, low"
    ]


def test_the_users_own_key_is_not_suggested():
    assert lines(optim='{"lr": 1, "table": {}}') == [
        "optim.table: unknown key; did you mean loss.table?; keys here: lr, betas, schedule"
    ]
    assert lines(loss='{"kind": "clip", "odd": 1}') == ["loss.odd: unknown key; keys here: kind, low"]


def test_a_missing_table_names_its_kinds():
    with pytest.raises(ValidationError) as error:
        Recipe.model_validate_json("{}")
    assert explain(Recipe, error.value) == ["loss: missing, expected a table with kind clip or cispo or free"]


def test_long_values_are_cut():
    assert len(shown("x" * 500)) == 80
