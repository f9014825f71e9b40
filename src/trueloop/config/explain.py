"""What is wrong with a configuration, in the user's words: dotted key, found, expected, nearest name."""

from __future__ import annotations

import difflib
import json
import re
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trueloop.config.base import Config, below, classes, dotted_keys, kinds, members, select
from trueloop.config.tree import Json, dotted

WORDS = {
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
    errors = error.errors(include_url=False)
    lines: dict[str, list[str]] = {}
    for head, wanted in (_line(cls, dict(e)) for e in errors if not _follows(dict(e), [o["loc"] for o in errors])):
        lines.setdefault(head, []).append(wanted)
    return [head + " or ".join(wanted) for head, wanted in lines.items()]


def _follows(error: dict[str, Any], places: Sequence[tuple[int | str, ...]]) -> bool:
    """Whether a list is too short only because its wrong items, which are told themselves, were left out."""
    loc = error["loc"]
    return error["type"] == "too_short" and any(p[: len(loc)] == loc and len(p) > len(loc) for p in places)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an error is.

    path        without pydantic's union tags
    annotation  at its last key
    table       the class that holds the last key
    kind        of that table, where it is one of several
    others      the classes that could stand in its place
    """

    path: list[str | int]
    annotation: Any
    table: type[Config] | None
    kind: str | None
    others: tuple[type[Config], ...]


def _line(cls: type[Config], error: dict[str, Any]) -> tuple[str, str]:
    """What was found, and what was expected: apart, since the alternatives of a union are told in one line."""
    place = _locate(cls, error["loc"])
    where, value, annotation = dotted(place.path), error["input"], place.annotation
    match error["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key{_meant(cls, place)}; keys here: {listed(_keys(place.table))}", ""
        case "missing":
            return f"{where}: missing, expected ", _words(annotation)
        case "union_tag_invalid" | "union_tag_not_found":
            return f"{where}.kind: {_wrong_kind(value, [k for c in classes(annotation) for k in kinds(c)])}", ""
        case "literal_error":
            options = re.findall(r"'([^']*)'", error["ctx"]["expected"])
            return f"{where}: found {shown(value)}, expected ", error["ctx"]["expected"] + nearest(value, options)
        case "value_error":
            return ": ".join(filter(None, [where, error["msg"].removeprefix("Value error, ")])), ""
    if classes(annotation) and not isinstance(value, dict):
        return f"{where}: found {shown(value)}, expected ", _form(annotation, value)
    return f"{where}: found {shown(value)}, expected ", _pydantic_words(error["msg"])


def _locate(cls: type[Config], location: Iterable[str | int]) -> _Place:
    path: list[str | int] = []
    place = _Place(path=path, annotation=cls, table=None, kind=None, others=())
    here: Any = cls
    others: tuple[type[Config], ...] = ()
    kind: str | None = None
    for part in location:
        if len([m for m in members(here) if m is not type(None)]) > 1:
            others, kind = classes(here), str(part)
            here = select(others, part)
            continue
        path.append(part)
        table = next(iter(classes(here)), None)
        here = below(here, str(part))
        place = _Place(path=path, annotation=here, table=table, kind=kind, others=others)
        others, kind = (), None
    return place


def _wrong_kind(value: Json, options: Sequence[str]) -> str:
    if not isinstance(value, dict) or "kind" not in value:
        return f"missing, expected one of {listed(options)}"
    return f"found {shown(value['kind'])}, expected one of {listed(options)}{nearest(value['kind'], options)}"


def _meant(cls: type[Config], place: _Place) -> str:
    """The kind that the key belongs to, or else the nearest key of the same table, or the same key in another."""
    name, here = str(place.path[-1]), dotted(place.path)
    owners = [k for c in place.others if name in c.model_fields for k in kinds(c)]
    if owners:
        return f"; `{name}` belongs to kind {' or '.join(owners)}; kind here is {place.kind}"
    same = dict.fromkeys(d for d in dotted_keys(cls) if d.split(".")[-1] == name and d != here)
    return nearest(name, _keys(place.table)) or (f"; did you mean {' or '.join([*same][:3])}?" if same else "")


def _keys(table: type[Config] | None) -> list[str]:
    return [] if table is None else list(table.model_fields)


def _form(annotation: Any, value: Json) -> str:
    """What a table looks like that was given as a bare value: one of its kind, if the value is the name of a kind."""
    meant = next((c for c in classes(annotation) if value in kinds(c)), None)
    if meant is None:
        return _words(annotation)
    required = [f"{name}=..." for name, field in meant.model_fields.items() if field.is_required()]
    return f"a table: {{{', '.join([f'kind={shown(value)}', *required])}}}"


def _words(annotation: Any) -> str:
    tables = classes(annotation)
    names = [k for c in tables for k in kinds(c)]
    if tables:
        return f"a table with kind {' or '.join(names)}" if names else f"a table with {listed(_keys(tables[0]))}"
    alternatives = [typing.get_origin(m) or m for m in members(annotation) if m not in (None, type(None))]
    return " or ".join(WORDS.get(m, str(m).replace("typing.", "")) for m in alternatives) or "a value"


def _pydantic_words(message: str) -> str:
    words = re.sub(r"^\w+ should (be|have) ", "", message).replace("an object", "a table").replace("a valid ", "a ")
    return words.replace("a integer", "an integer").replace("a boolean", "true or false").replace("array", "list")
