"""From the name of a preset or file, and overrides, to a valid configuration."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from trueloop.config.base import Config
from trueloop.config.explain import explain, listed, nearest, shown
from trueloop.config.tree import Json, Tree, difference, overlay, plain, stack, to_toml
from trueloop.errors import ConfigError

PRESETS = Path(__file__).parent.with_name("presets")

C = TypeVar("C", bound=Config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A preset or file with all that it extends, before any recipe has looked at it.

    recipe   the recipe that they are for; None if none of them says
    presets  names from the one asked for to the one that extends nothing
    layers   their tables, in the same order
    """

    recipe: str | None
    presets: tuple[str, ...]
    layers: tuple[Tree, ...]

    @property
    def shipped(self) -> tuple[Tree, ...]:
        """The layers that ship with the package: what a run's difference is measured from."""
        return tuple(t for name, t in zip(self.presets, self.layers, strict=True) if not _is_file(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved(Generic[C]):
    """A valid configuration, and where it came from.

    presets     names from the one asked for to the one that extends nothing
    difference  dotted key -> (in the nearest shipped preset, here); None where absent
    raw         the whole configuration as plain JSON types; what is None is absent
    """

    recipe: str | None
    config: C
    presets: tuple[str, ...]
    difference: dict[str, tuple[Json, Json]]
    raw: Tree

    def to_toml(self) -> str:
        """The text of a file that can be run again and needs no preset."""
        return to_toml(self.config, recipe=self.recipe)


def load(cls: type[C], source: str, overrides: Sequence[str] = ()) -> Resolved[C]:
    """The configuration of a preset, or of a path that ends in .toml, with overrides `dotted.key=value`.

    Raises `ConfigError`, with one line for each thing that is wrong.
    """
    return resolve(cls, read(source), overrides)


def read(source: str) -> Source:
    """A preset or .toml file and what it extends.  A file extends presets by name and other files by relative path."""
    presets: list[str] = []
    layers: list[Tree] = []
    recipes: list[str] = []
    folder, name = Path(), source
    while name:
        path = folder / name if _is_file(name) else _preset_path(name)
        presets.append(str(path) if _is_file(name) else name)
        if presets[-1] in presets[:-1]:
            raise ConfigError(f"extends goes round in a circle: {' -> '.join(presets)}")
        tree = _read_toml(path)
        folder, name = path.parent, _pop_name(tree, "extends", path)
        recipes.append(_pop_name(tree, "recipe", path))
        layers.append(tree)
    named = list(filter(None, recipes))
    if len(set(named)) > 1:
        raise ConfigError(f"{source}: recipe is {named[0]!r}, but what it extends is for {named[-1]!r}")
    return Source(recipe=named[0] if named else None, presets=tuple(presets), layers=tuple(layers))


def resolve(cls: type[C], source: Source, overrides: Sequence[str] = ()) -> Resolved[C]:
    """Lay the source's tables and the overrides over the defaults of `cls`, and validate the result."""
    top, problems = _parse_overrides(overrides)
    tree = overlay(cls, stack(cls, source.layers), top)
    try:
        config = cls.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        problems += explain(cls, error)
    if problems:
        count = "one thing is" if len(problems) == 1 else f"{len(problems)} things are"
        raise ConfigError("\n".join([f"{source.presets[0]}: {count} wrong", *(f"  {p}" for p in problems)]))
    raw = plain(config)
    return Resolved(
        recipe=source.recipe,
        config=config,
        presets=source.presets,
        difference=difference(stack(cls, source.shipped), raw),
        raw=raw,
    )


def preset_names() -> list[str]:
    """Names of the presets that ship with the package."""
    return sorted(p.relative_to(PRESETS).with_suffix("").as_posix() for p in PRESETS.rglob("*.toml"))


def preset_title(name: str) -> str:
    """The comment on a preset's first line; empty where there is none."""
    first = _preset_path(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def run_name(source: str) -> str:
    """The name of what a preset or file leaves behind: the whole name of a preset, the stem of a file."""
    return Path(source).stem if _is_file(source) else source


def _is_file(name: str) -> bool:
    return name.endswith(".toml")


def _preset_path(name: str) -> Path:
    if name in preset_names():
        return PRESETS / f"{name}.toml"
    file = f"; a file is named with its ending: {name}.toml" if Path(f"{name}.toml").is_file() else ""
    raise ConfigError(f"no preset {name!r}{nearest(name, preset_names())}{file}; presets: {listed(preset_names())}")


def _read_toml(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"no file {str(path)!r}, looked for at {path.absolute()}; presets, named without .toml: "
            f"{listed(preset_names())}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _pop_name(tree: Tree, key: str, path: Path) -> str:
    value = tree.pop(key, "")
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {key}: found {shown(value)}, expected a name in quotes")
    return value


def _parse_overrides(overrides: Sequence[str]) -> tuple[Tree, list[str]]:
    tree: Tree = {}
    problems = []
    for text in overrides:
        try:
            tree = overlay(None, tree, _parse_override(text))
        except tomllib.TOMLDecodeError:
            problems.append(f"--set {text}: not of the form dotted.key=value with a TOML value; quote it for the shell")
    return tree, problems


def _parse_override(text: str) -> Tree:
    """`key=value` as TOML; a value that is no TOML, and opens no bracket or quote, is a string."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        key, _, value = (part.strip() for part in text.partition("="))
        if not value or value.startswith(("{", "[", '"', "'")):
            raise
        return tomllib.loads(f"{key} = {json.dumps(value, ensure_ascii=False)}")
