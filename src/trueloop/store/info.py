"""What a run says of itself (`run.json`, `config.toml`), and whether what is given to resume it is the same."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import tomli_w

from trueloop.config import difference as config_difference
from trueloop.errors import StoreError
from trueloop.records import Json, RunInfo
from trueloop.store.artefacts import atomic_file, fingerprint
from trueloop.store.provenance import Provenance

FORMAT = 1
SHOWN_CHARACTERS = 200


def new_info(
    recipe: str,
    config: Mapping[str, Json],
    difference: Mapping[str, Json],
    seed: int,
    data: Mapping[str, str],
    provenance: Provenance,
) -> RunInfo:
    """The description of a run that begins now."""
    main = provenance.main
    return RunInfo(
        recipe=recipe,
        config=as_json(config),
        difference=as_json(difference),
        fingerprint=_identity(recipe, config, data, seed),
        commit=main.commit if main else None,
        dirty=main.dirty if main else None,
        packages=provenance.packages,
        seed=seed,
        data=dict(data),
        started_at=now(),
    )


def with_config(info: RunInfo, config: Mapping[str, Json]) -> RunInfo:
    """The description with another configuration in force."""
    identity = _identity(info.recipe, config, info.data, info.seed)
    return replace(info, config=as_json(config), fingerprint=identity)


def write_info(directory: Path, info: RunInfo) -> None:
    """`run.json` last: with it the directory is a run."""
    with atomic_file(directory / "config.toml", what="the configuration") as partial:
        partial.write_text(tomli_w.dumps({"recipe": info.recipe, **without_none(info.config)}), encoding="utf-8")
    with atomic_file(directory / "run.json", what="the run's description") as partial:
        text = json.dumps({"format": FORMAT, **asdict(info)}, indent=1, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def read_info(path: Path) -> RunInfo:
    """The description stored in a run directory.  Raises `StoreError` if it cannot be read."""
    try:
        stored = json.loads((path / "run.json").read_text(encoding="utf-8"))
        form = stored.pop("format")
        if form != FORMAT:
            raise StoreError(f"{path}: run.json has format {form}, expected {FORMAT}; read it with its own version")
        return RunInfo(**stored)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path}/run.json cannot be read ({error!r}); restore it from a copy") from error


def accepted_changes(
    path: Path, info: RunInfo, config: Mapping[str, Json], data: Mapping[str, str], may_change: Collection[str]
) -> dict[str, tuple[Json, Json]]:
    """Dotted key -> (stored, given) of what differs and may; `StoreError` naming every key that differs and may not."""
    changed = config_difference(without_none(info.config), without_none(as_json(config)))
    accepted = {k: v for k, v in changed.items() if any(k == key or k.startswith(f"{key}.") for key in may_change)}
    refused = [f"config {key}: {_shown(*values)}" for key, values in changed.items() if key not in accepted]
    refused += [
        f"data {name}: {_shown(info.data.get(name), data.get(name))}"
        for name in sorted({*info.data, *data})
        if info.data.get(name) != data.get(name)
    ]
    if refused:
        listed = "".join(f"\n  {line}" for line in refused)
        raise StoreError(
            f"{path} cannot be resumed with what was given (stored -> given):{listed}\n"
            "Give what is stored, or start a new run in another directory"
        )
    return accepted


def code_changes(stored: Sequence[Mapping[str, Json]], now: Provenance) -> list[str]:
    """In words, per checkout: another commit, or other uncommitted changes."""
    before = {code["name"]: code for code in stored}
    after = {code.name: code for code in now.code}
    changes = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            changes.append(f"{name} is {'no longer' if new is None else 'now'} a checkout")
        elif old["commit"] != new.commit:
            changes.append(f"{name}: commit {old['commit']} -> {new.commit}")
        elif old["fingerprint"] != new.fingerprint:
            changes.append(f"{name}: other uncommitted changes on top of commit {new.commit}")
    return changes


def as_json(tree: Mapping[str, Json]) -> dict[str, Json]:
    """As it will be read back: tuples are lists, keys are strings."""
    plain: dict[str, Json] = json.loads(json.dumps(tree))
    return plain


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _identity(recipe: str, config: Mapping[str, Json], data: Mapping[str, str], seed: int) -> str:
    return fingerprint(recipe, as_json(config), dict(data), seed)


def without_none(tree: Mapping[str, Json]) -> dict[str, Json]:
    """Without what is not set: of a key that only one run knows, None and absence are the same."""
    return {k: without_none(v) if isinstance(v, Mapping) else v for k, v in tree.items() if v is not None}


def _shown(stored: Json, given: Json) -> str:
    """Both values; long ones from shortly before the place where they part."""
    texts = ["absent" if v is None else json.dumps(v, ensure_ascii=False) for v in (stored, given)]
    start = 0
    if max(map(len, texts)) > SHOWN_CHARACTERS:
        equal = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
        start = max(0, equal - SHOWN_CHARACTERS // 4)
    return " -> ".join(_clip(text, start) for text in texts)


def _clip(text: str, start: int) -> str:
    end = start + SHOWN_CHARACTERS
    return f"{'...' if start else ''}{text[start:end]}{'...' if len(text) > end else ''}"
