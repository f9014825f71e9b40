"""Transcripts of other trainers: JSON lines under the names that TRL, verl, prime-rl and others log them by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trueloop.checks.transcripts.turns import Turn
from trueloop.errors import DataError
from trueloop.records import Json

ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "prompts", "input", "inputs", "query", "question", "problem"),
    "completion": ("completion", "completions", "output", "outputs", "response", "responses", "generation", "text"),
    "reward": ("reward", "rewards", "score", "scores", "total_reward", "return"),
    "group": ("group", "group_id", "prompt_id", "problem_id", "example_id", "uid", "request_id"),
    "step": ("step", "global_step", "training_step", "iteration"),
    "finish": ("finish", "finish_reason", "stop_reason", "is_truncated", "truncated"),
    "target": ("target", "ground_truth", "gts", "gold", "answer", "reference", "solution", "label"),
    "passed": ("passed", "correct", "is_correct", "acc", "accuracy"),
    "length": ("length", "completion_length", "response_length", "num_tokens", "completion_len"),
    "logprobs": ("logprobs", "sampling_logprobs", "rollout_log_probs", "inference_logprobs", "completion_logprobs"),
    "trainer_logprobs": ("trainer_logprobs", "trainer_log_probs", "old_log_probs", "actor_log_probs", "log_probs"),
}
"""What a row may say -> the names that it may have, the first that is there is taken."""

_CUT = {"length", "max_tokens", "max_length", "truncated", "abort", "true"}
_LISTED = ("logprobs", "trainer_logprobs")


def read_turns(path: Path) -> list[Turn]:
    """The rows of a file of JSON lines, or of one JSON array.

    A row whose completion is a list is as many rows; its other fields are lists as long, or hold for all of them.
    Raises `DataError` naming line and field.
    """
    rows: list[Turn] = []
    for number, row in _rows(path):
        where = f"{path}: line {number}"
        if not isinstance(row, Mapping):
            raise DataError(f"{where}: expected an object with prompt, completion and reward, got {_kind(row)}")
        rows += [_turn(one, where) for one in _spread(_named(row, where), where)]
    if not rows:
        raise DataError(f"{path}: no rows; expected JSON lines with prompt, completion and reward")
    return rows


def _rows(path: Path) -> Iterator[tuple[int, Json]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error}); expected JSON lines") from error
    if text.lstrip().startswith("["):
        yield from enumerate(_parsed(text, f"{path}"), start=1)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, _parsed(line, f"{path}: line {number}")


def _parsed(text: str, where: str) -> Json:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({error}); expected one object a line") from error


def _named(row: Mapping[str, Json], where: str) -> dict[str, Json]:
    """Our names for what a row says."""
    found = {name: row[alias] for name, aliases in ALIASES.items() for alias in reversed(aliases) if alias in row}
    if "reward" not in found:
        parts = [v for k, v in row.items() if k.endswith(("reward", "reward_func", "_func"))]
        if parts and all(isinstance(v, int | float) for v in parts):
            found["reward"] = sum(parts)
    for name in ("prompt", "completion", "reward"):
        if name not in found:
            raise DataError(
                f"{where}: no {name}; found {', '.join(map(str, row)) or 'nothing'}; "
                f"expected one of {', '.join(ALIASES[name])}"
            )
    return found


def _spread(row: dict[str, Json], where: str) -> Iterator[dict[str, Json]]:
    """One row per completion."""
    completions = row["completion"]
    if not isinstance(completions, list) or _messages(completions):
        yield row
        return
    n = len(completions)
    for i in range(n):
        one: dict[str, Json] = {}
        for name, value in row.items():
            many = isinstance(value, list) and not _messages(value)
            if many and name in _LISTED:
                many = any(isinstance(v, list) for v in value)
            if many and len(value) != n:
                raise DataError(f"{where}: field {name} has {len(value)} entries for {n} completions")
            one[name] = value[i] if many else value
        yield one


def _turn(row: Mapping[str, Json], where: str) -> Turn:
    prompt = _text(row["prompt"], "prompt", where)
    logprobs = _floats(row.get("logprobs"), "logprobs", where)
    length, group, target = row.get("length"), row.get("group"), _one(row.get("target"))
    passed = _number(row.get("passed"), "passed", where)
    return Turn(
        prompt=prompt,
        completion=_text(row["completion"], "completion", where),
        reward=_number(_one(row["reward"]), "reward", where),
        group=prompt if group is None else str(group),
        step=_whole(row.get("step"), "step", where),
        finish=_finish(row.get("finish")),
        target=None if target is None else str(target),
        passed=None if passed is None else passed > 0.5,
        length=_whole(length, "length", where) if length is not None else len(logprobs) if logprobs else None,
        logprobs=logprobs,
        trainer_logprobs=_floats(row.get("trainer_logprobs"), "trainer_logprobs", where),
    )


def _text(value: Json, name: str, where: str) -> str:
    """Text, or the contents of messages."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and _messages(value):
        return "\n".join(_text(m.get("content") or "", name, where) for m in value)
    raise DataError(f"{where}: field {name}: expected text or messages, got {_kind(value)}")


def _messages(value: Sequence[Json]) -> bool:
    return bool(value) and all(isinstance(m, Mapping) and "role" in m for m in value)


def _one(value: Json) -> Json:
    """The only entry of a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _number(value: Json, name: str, where: str) -> float | None:
    if value is None:
        return None
    try:
        if isinstance(value, int | float | str):
            return float(value)
    except ValueError:
        pass
    raise DataError(f"{where}: field {name}: expected a number, got {_kind(value)}")


def _whole(value: Json, name: str, where: str) -> int | None:
    number = _number(value, name, where)
    if number is None:
        return None
    if number != number or number != int(number):
        raise DataError(f"{where}: field {name}: expected a whole number, got {value!r}")
    return int(number)


def _floats(value: Json, name: str, where: str) -> tuple[float | None, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise DataError(f"{where}: field {name}: expected a list with one number per token, got {_kind(value)}")
    return tuple(_number(v, f"{name}[{i}]", where) for i, v in enumerate(value))


def _finish(value: Json) -> str | None:
    if value is None:
        return None
    return "length" if str(value).lower() in _CUT else "stop"


def _kind(value: Json) -> str:
    return f"{type(value).__name__} {str(value)[:40]!r}"
