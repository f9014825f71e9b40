"""The base of every configuration class, and how its annotations are read."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


class Config(BaseModel):
    """Base of every configuration class.

    Frozen; an unknown key is an error; types are taken as written: "3" is not 3, true is not 1, 3.0 is not 3, and
    neither nan nor inf is a number.  An integer may stand for a float.  A union of methods is discriminated by a
    literal field `kind`.  TOML has no null: a field that may be None has the default None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a class that could not be written to TOML and read back, or whose errors could not be told."""
        for name, field in cls.model_fields.items():
            if type(None) in members(field.annotation) and (field.is_required() or default(field) is not None):
                raise TypeError(f"{cls.__name__}.{name} may be None, so its default must be None: TOML has no null")
            if len(classes(field.annotation)) > 1 and not _discriminated(field):
                raise TypeError(f"{cls.__name__}.{name} is a union of tables: give it Field(discriminator='kind')")


def members(annotation: Any) -> list[Any]:
    """The alternatives of an annotation, through unions and Annotated."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [m for a in typing.get_args(annotation) for m in members(a)]
    return [annotation]


def classes(annotation: Any) -> tuple[type[Config], ...]:
    """The configuration classes among the alternatives; none inside lists or other containers."""
    return tuple(m for m in members(annotation) if isinstance(m, type) and issubclass(m, Config))


def below(annotation: Any, key: str) -> Any:
    """The annotation at a key of a table, or of a container's elements; None where it is not known."""
    alternatives = [m for m in members(annotation) if m not in (None, type(None))]
    if len(alternatives) != 1:
        return None
    if tables := classes(annotation):
        field = tables[0].model_fields.get(key)
        return field.annotation if field else None
    arguments = [a for a in typing.get_args(alternatives[0]) if a is not Ellipsis]
    return arguments[-1] if arguments else None


def kinds(cls: type[Config]) -> tuple[str, ...]:
    """The values of its literal field `kind`; none where it has no such field."""
    field = cls.model_fields.get("kind")
    return typing.get_args(field.annotation) if field and typing.get_origin(field.annotation) is Literal else ()


def select(candidates: Sequence[type[Config]], kind: Any) -> type[Config] | None:
    """The class that a table means: the only one, or the one of its kind."""
    if len(candidates) == 1:
        return candidates[0]
    return next((c for c in candidates if kind in kinds(c)), None)


def default(field: FieldInfo) -> Any:
    """The default value of a field that is not required."""
    return field.get_default(call_default_factory=True, validated_data={})


def dotted_keys(cls: type[Config], prefix: str = "") -> Iterator[str]:
    """Every key below `cls`, through all kinds of its unions."""
    for name, field in cls.model_fields.items():
        yield prefix + name
        for nested in classes(field.annotation):
            yield from dotted_keys(nested, f"{prefix}{name}.")


def _discriminated(field: FieldInfo) -> bool:
    inner = (m for a in typing.get_args(field.annotation) for m in getattr(a, "__metadata__", ()))
    return field.discriminator is not None or any(isinstance(m, FieldInfo) and m.discriminator for m in inner)
