"""What is wrong with a configuration, in the user's words: dotted key, found, expected, nearest name."""

from __future__ import annotations

import difflib
import json
import re
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trueloop.config.base import Config, below, classes, dotted_keys, kinds, members, select
from trueloop.config.tree import Json, dotted

_WORDS = {
    int: "an integer",
    float: "a number",
    str: "a string",
    bool: "true or false",
    Path: "a path",
    dict: "a table",
    list: "a list",
    tuple: "a list",
}


def explain(cls: type[Config], error: ValidationError) -> list[str]:
    """One line for each thing that is wrong with a table as a `cls`."""
    lines: dict[str, list[str]] = {}
    for head, wanted in (_line(cls, dict(e)) for e in error.errors(include_url=False)):
        lines.setdefault(head, []).append(wanted)
    return [head + " or ".join(wanted) for head, wanted in lines.items()]


def nearest(name: Json, options: Iterable[str]) -> str:
    """A question to append to a message; empty where nothing is near."""
    near = difflib.get_close_matches(str(name), list(options), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def listed(names: Sequence[str]) -> str:
    """Names as a list to read."""
    return ", ".join(names) if names else "none"


def shown(value: Json) -> str:
    """A value as the user wrote it, cut to a line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _line(cls: type[Config], error: dict[str, Any]) -> tuple[str, str]:
    """What was found, and what was expected: apart, since the alternatives of a union are told in one line."""
    path, place, annotation = _locate(cls, error["loc"])
    where, value = dotted(path), error["input"]
    match error["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key{_meant(cls, str(path[-1]), place)}; keys here: {listed(_keys(place))}", ""
        case "missing":
            return f"{where}: missing, expected ", _words(annotation)
        case "union_tag_invalid" | "union_tag_not_found":
            return f"{where}.kind: {_wrong_kind(value, [k for c in classes(annotation) for k in kinds(c)])}", ""
        case "literal_error":
            options = re.findall(r"'([^']*)'", error["ctx"]["expected"])
            return f"{where}: found {shown(value)}, expected ", error["ctx"]["expected"] + nearest(value, options)
        case "value_error":
            return ": ".join(filter(None, [where, error["msg"].removeprefix("Value error, ")])), ""
    return f"{where}: found {shown(value)}, expected ", _pydantic_words(error["msg"])


def _locate(cls: type[Config], location: Iterable[str | int]) -> tuple[list[str | int], tuple[type[Config], ...], Any]:
    """pydantic's location without its union tags, the classes that hold its last key, and the annotation there."""
    path: list[str | int] = []
    place: tuple[type[Config], ...] = ()
    here: Any = cls
    for part in location:
        if len([m for m in members(here) if m is not type(None)]) > 1:
            here = select(classes(here), part)
            continue
        path.append(part)
        place = classes(here)
        here = below(here, str(part))
    return path, place, here


def _wrong_kind(value: Json, options: Sequence[str]) -> str:
    if not isinstance(value, dict) or "kind" not in value:
        return f"missing, expected one of {listed(options)}"
    return f"found {shown(value['kind'])}, expected one of {listed(options)}{nearest(value['kind'], options)}"


def _meant(cls: type[Config], name: str, place: Sequence[type[Config]]) -> str:
    """The nearest key of the same table, or else the same key in another table."""
    same = [d for d in dotted_keys(cls) if d.split(".")[-1] == name]
    return nearest(name, _keys(place)) or (f"; did you mean {' or '.join(same[:3])}?" if same else "")


def _keys(place: Sequence[type[Config]]) -> list[str]:
    return [name for c in place for name in c.model_fields]


def _words(annotation: Any) -> str:
    tables = classes(annotation)
    names = [k for c in tables for k in kinds(c)]
    if tables:
        return f"a table with kind {' or '.join(names)}" if names else f"a table with {listed(_keys(tables))}"
    alternatives = [typing.get_origin(m) or m for m in members(annotation) if m not in (None, type(None))]
    return " or ".join(_WORDS.get(m, str(m).replace("typing.", "")) for m in alternatives) or "a value"


def _pydantic_words(message: str) -> str:
    words = re.sub(r"^\w+ should (be|have) ", "", message).replace("an object", "a table").replace("a valid ", "a ")
    return words.replace("a integer", "an integer").replace("a boolean", "true or false").replace("array", "list")
