"""Configurations as plain tables: laid over each other, compared, written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tomli_w
from pydantic import TypeAdapter

from trueloop.config.base import Config, below, classes, default, members, select

Json = Any
Tree = dict[str, Json]

_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def plain(config: Config) -> Tree:
    """A configuration as plain JSON types; what is None is absent."""
    return config.model_dump(mode="json", exclude_none=True)


def to_toml(config: Config, *, recipe: str | None = None) -> str:
    """A configuration as TOML text that loads back to an equal one."""
    return tomli_w.dumps(({"recipe": recipe} if recipe else {}) | plain(config))


def difference(base: Config | Mapping[str, Json], config: Config | Mapping[str, Json]) -> dict[str, tuple[Json, Json]]:
    """Dotted key -> (value in base, value in config) where they differ; None where a key is absent."""
    old, new = (dict(_leaves(plain(c) if isinstance(c, Config) else c)) for c in (base, config))
    keys = [*old, *(k for k in new if k not in old)]
    return {k: (old.get(k), new.get(k)) for k in keys if _differ(old.get(k), new.get(k))}


def defaults(cls: type[Config]) -> Tree:
    """All that is known of a `cls` without being told."""
    tree: Tree = {}
    for name, field in cls.model_fields.items():
        nested = classes(field.annotation)
        if not field.is_required():
            value = _ANY.dump_python(default(field), mode="json", exclude_none=True)
            tree |= {} if value is None else {name: value}
        elif nested and nested == tuple(members(field.annotation)[:1]):
            tree[name] = defaults(nested[0])
    return tree


def stack(cls: type[Config], layers: Sequence[Tree]) -> Tree:
    """Layers over the defaults of `cls`, the last one at the bottom."""
    tree = defaults(cls)
    for layer in reversed(layers):
        tree = overlay(cls, tree, layer)
    return tree


def overlay(annotation: Any, base: Json, top: Json) -> Json:
    """`top` over `base` where `annotation` is expected: tables key by key, lists and everything else as a whole.

    A table of another kind replaces the old one.  A new table starts from the defaults of its class.
    """
    if isinstance(top, list):
        return [overlay(below(annotation, ""), None, element) for element in top]
    if not isinstance(top, dict):
        return top
    if not isinstance(base, dict) or ("kind" in top and top["kind"] != base.get("kind", top["kind"])):
        base = {}
    cls = select(classes(annotation), (base | top).get("kind"))
    merged = (defaults(cls) if cls else {}) | base
    for key, value in top.items():
        merged[key] = overlay(below(cls or annotation, key), merged.get(key), value)
    return merged


def dotted(path: Sequence[str | int]) -> str:
    """A path as TOML writes it."""
    return ".".join(str(p) if re.fullmatch(r"[\w-]+", str(p)) else json.dumps(p) for p in path)


def _leaves(tree: Mapping[str, Json], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Json]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield dotted((*path, key)), value


def _differ(old: Json, new: Json) -> bool:
    return old != new or isinstance(old, bool) != isinstance(new, bool)
