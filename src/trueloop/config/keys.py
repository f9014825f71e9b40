"""Every key of a configuration: what may be written there, what stands there if nothing is, and what it means.

What a key means is read from the docstrings of the classes: a line that begins with its name.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from inspect import cleandoc
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from trueloop.config.base import Config, classes, kinds, members
from trueloop.config.explain import WORDS, shown
from trueloop.config.tree import Json, Tree, defaults

_ENTRY = re.compile(r"((?:\w+, )*\w+) +(\S.*(?:\n +\S.*)*)", re.MULTILINE)
_BOUNDS = {Ge: ">=", Gt: ">", Le: "<=", Lt: "<"}


class Key(NamedTuple):
    """A dotted key ([] stands for a place in a list), its type, its default or "required", and what it means."""

    name: str
    type: str
    default: str
    about: str


def key_table(cls: type[Config]) -> str:
    """Every key below `cls` in a line of three columns: name, type and default, meaning."""
    rows = [(k.name, f"{k.type}; {k.default}" if k.default else k.type, k.about) for k in keys(cls)]
    first, second = (min(44, max(len(row[i]) for row in rows)) for i in (0, 1))
    return "\n".join(f"{name:<{first}}  {what:<{second}}  {about}".rstrip() for name, what, about in rows)


def keys(cls: type[Config], prefix: str = "", known: Tree | None = None) -> Iterator[Key]:
    """Every key below `cls`, through all kinds of its unions; `known` holds the defaults that stand there."""
    known = defaults(cls) if known is None else known
    for name, field in cls.model_fields.items():
        if name == "kind" and kinds(cls):
            continue
        value, about = known.get(name), _about(cls, name)
        tables = _tables(field.annotation)
        if not tables:
            yield Key(prefix + name, _type(field), _default(field, value), about)
            continue
        many = not classes(field.annotation)
        yield Key(prefix + name, _type(field), _default(field, value, tables), about or _summary(tables[0], tables))
        for table in tables:
            yield from _inside(table, f"{prefix}{name}{'[]' if many else ''}.", value)


def _inside(table: type[Config], prefix: str, value: Json) -> Iterator[Key]:
    """A table's keys, after a line for its kind if it has one."""
    own = kinds(table)
    if own:
        yield Key(f"{prefix}kind", f"= {shown(own[0])}", "", _summary(table, ()))
    given = isinstance(value, dict) and (not own or value.get("kind") in own)
    yield from keys(table, prefix, defaults(table) | (value if given else {}))


def _tables(annotation: Any) -> tuple[type[Config], ...]:
    """The classes that may stand at a key, in a list or alone."""
    if found := classes(annotation):
        return found
    return tuple(c for m in members(annotation) for a in typing.get_args(m) if a is not Ellipsis for c in _tables(a))


def _default(field: FieldInfo, value: Json, tables: tuple[type[Config], ...] = ()) -> str:
    if field.is_required() and (tables or value is None):
        return "required"
    if tables and isinstance(value, dict):
        return shown(value["kind"]) if "kind" in value else ""
    return "absent" if value is None else shown(value)


def _type(field: FieldInfo) -> str:
    bounds = [f"{_BOUNDS[type(m)]} {_bound(m):g}" for m in field.metadata if type(m) in _BOUNDS]
    return " ".join([_words(field.annotation), " and ".join(bounds)]).strip()


def _words(annotation: Any) -> str:
    """An annotation as the one who writes TOML reads it."""
    if tables := classes(annotation):
        names = [k for c in tables for k in kinds(c)]
        return f"a table of kind {' or '.join(names)}" if names else "a table"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        bounds = [m for a in arguments[1:] for m in getattr(a, "metadata", ()) if type(m) in _BOUNDS]
        return " ".join(
            [_words(arguments[0]), " and ".join(f"{_BOUNDS[type(m)]} {_bound(m):g}" for m in bounds)]
        ).strip()
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_words(a) for a in arguments if a is not type(None))
    if origin is Literal:
        return " or ".join(shown(a) for a in arguments)
    if origin in (list, tuple):
        items = " and ".join(dict.fromkeys(_words(a) for a in arguments if a is not Ellipsis))
        return f"a list of {items}"
    return WORDS.get(origin or annotation, "a value")


def _bound(bound: Ge | Gt | Le | Lt) -> float:
    return next(float(getattr(bound, name)) for name in ("ge", "gt", "le", "lt") if hasattr(bound, name))


def _about(cls: type[Config], name: str) -> str:
    """What the docstring of `cls`, or of the class that it has the field from, says of a field."""
    for owner in cls.__mro__:
        for entry in _ENTRY.finditer(cleandoc(owner.__dict__.get("__doc__") or "")):
            line_start = entry.start() == 0 or entry.string[entry.start() - 1] == "\n"
            if line_start and name in entry[1].split(", "):
                return " ".join(entry[2].split())
    return ""


def _summary(table: type[Config], tables: tuple[type[Config], ...]) -> str:
    """The first sentence of a class, unless others may stand in its place."""
    text = cleandoc(table.__doc__ or "").partition("\n\n")[0]
    return "" if len(tables) > 1 else " ".join(text.split())
