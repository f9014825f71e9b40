"""Streams as they are recorded for a replay: rows as arrays, loss and reduction by name and fields.

Nothing is pickled and nothing is called that a file names freely: a loss is rebuilt only if it is a dataclass of this
package, a reduction only if it is one of `trueloop.formulas`.  A recorded file from elsewhere can run no other code.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from types import FunctionType
from typing import Any, cast

from trueloop.config import Config, plain
from trueloop.errors import DataError
from trueloop.records import Json
from trueloop.store.batches import Recorded
from trueloop.train.batch import Loss, Stream, loss_name

OURS, FORMULAS = "trueloop.", "trueloop.formulas."


def recorded(streams: Sequence[Stream]) -> list[Recorded]:
    """What is to be written of the streams of a step."""
    return [
        Recorded(
            name=stream.name,
            settings={
                "loss": describe(stream.loss),
                "reduction": describe(stream.reduction),
                "coefficient": stream.coefficient,
                "temperature": stream.temperature,
            },
            samples=tuple(stream.samples),
            pairs=tuple(stream.pairs),
        )
        for stream in streams
    ]


def rebuilt(found: Sequence[Recorded]) -> list[Stream]:
    """The streams again.  Raises `DataError` for a loss or a reduction that is not the package's own."""
    return [
        Stream(
            name=stream.name,
            loss=cast(Loss, rebuild(stream.settings["loss"])),
            reduction=rebuild(stream.settings["reduction"]),
            samples=stream.samples,
            pairs=stream.pairs,
            coefficient=stream.settings["coefficient"],
            temperature=stream.settings["temperature"],
        )
        for stream in found
    ]


def describe(value: Any) -> Json:
    """A loss, a reduction or a part of one as JSON; what cannot be rebuilt is named all the same."""
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    if isinstance(value, Config):
        return {"config": _name(type(value)), "fields": plain(value)}
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: describe(getattr(value, field.name)) for field in fields(value) if field.init}
        return {"dataclass": _name(type(value)), "fields": own}
    if isinstance(value, partial) and not value.args:
        return {"partial": describe(value.func), "keywords": {k: describe(v) for k, v in value.keywords.items()}}
    if isinstance(value, FunctionType):
        return {"function": _name(value)}
    return {"other": loss_name(value)}


def rebuild(described: Mapping[str, Json]) -> Any:
    """What `describe` was given.  Raises `DataError` for what is not the package's own."""
    if "value" in described:
        return described["value"]
    if "partial" in described:
        return partial(rebuild(described["partial"]), **{k: rebuild(v) for k, v in described["keywords"].items()})
    if "function" in described:
        return _found(described["function"], FORMULAS, lambda thing: isinstance(thing, FunctionType))
    if "config" in described:
        kind = _found(described["config"], OURS, lambda thing: isinstance(thing, type) and issubclass(thing, Config))
        return kind.model_validate_json(json.dumps(described["fields"]))
    if "dataclass" in described:
        kind = _found(described["dataclass"], OURS, lambda thing: isinstance(thing, type) and is_dataclass(thing))
        return kind(**{name: rebuild(value) for name, value in described["fields"].items()})
    raise _foreign(str(described.get("other")))


def _name(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


def _found(name: str, below: str, fits: Any) -> Any:
    module, _, attribute = name.partition(":")
    if not module.startswith(below) or not attribute.isidentifier():
        raise _foreign(name)
    try:
        thing = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise _foreign(name) from error
    if not fits(thing) or thing.__module__ != module:
        raise _foreign(name)
    return thing


def _foreign(name: str) -> DataError:
    return DataError(
        f"the recorded step was trained with {name!r}, which is no loss or reduction of this version of trueloop and "
        "cannot be built again; replay it with the version that ran it, or rebuild the streams in your own code"
    )
