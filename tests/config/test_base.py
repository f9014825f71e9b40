from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from trueloop.config import Config
from trueloop.config.base import below, classes, dotted_keys, kinds, select


class A(Config):
    kind: Literal["a"] = "a"
    x: int = 0


class B(Config):
    kind: Literal["b", "bb"] = "b"
    y: float = 0.0


class Holder(Config):
    n: int
    pick: Annotated[A | B, Field(discriminator="kind")] = A()


def test_is_frozen_and_refuses_unknown_keys():
    with pytest.raises(ValidationError, match="frozen"):
        A().x = 1
    with pytest.raises(ValidationError, match="extra_forbidden"):
        A(z=1)


@pytest.mark.parametrize("wrong", [{"x": "3"}, {"x": True}, {"x": 3.0}])
def test_takes_types_as_written(wrong):
    with pytest.raises(ValidationError, match="valid integer"):
        A(**wrong)


def test_an_integer_may_stand_for_a_float_but_nan_and_inf_may_not():
    assert B(y=1).y == 1.0
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValidationError, match="finite"):
            B(y=bad)


def test_a_class_that_toml_cannot_carry_is_refused():
    with pytest.raises(TypeError, match=r"Bad.x may be None, so its default must be None"):

        class Bad(Config):
            x: int | None = 3


def test_a_required_field_that_may_be_none_is_refused():
    with pytest.raises(TypeError, match=r"Bad.x may be None"):

        class Bad(Config):
            x: int | None


def test_a_union_without_discriminator_is_refused():
    with pytest.raises(TypeError, match=r"Bad.pick is a union of tables"):

        class Bad(Config):
            pick: A | B = A()


@pytest.mark.parametrize("annotation", [Annotated[A | B, Field(discriminator="kind")] | None])
def test_a_discriminated_union_that_may_be_none_is_accepted(annotation):
    class Good(Config):
        pick: annotation = None

    assert classes(Good.model_fields["pick"].annotation) == (A, B)


def test_kinds_select_the_class():
    assert kinds(B) == ("b", "bb")
    assert select((A, B), "bb") is B
    assert select((A, B), "c") is None
    assert select((A,), None) is A


def test_dotted_keys_go_through_every_kind():
    assert list(dotted_keys(Holder)) == ["n", "pick", "pick.kind", "pick.x", "pick.kind", "pick.y"]


def test_below_follows_tables_and_containers():
    assert below(Holder, "n") is int
    assert below(list[Holder] | None, "0") is Holder
    assert below(dict[str, Holder], "x") is Holder
    assert below(Holder, "m") is None
    assert below(A | B, "x") is None
