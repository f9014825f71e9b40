"""Completions that show what a diagnosis means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from trueloop.checks.scaffold import frame, looped, markers, next_problem
from trueloop.checks.transcripts.turns import SCAFFOLD, Turn, stated, target_of

Shows = Callable[[Turn], bool]


def examples(turns: Sequence[Turn], kind: str, most: int = 3) -> list[Turn]:
    """The last few completions of a kind, of different prompts where there are any; the last of all if none is."""
    rewards = [t.reward for t in turns if t.reward is not None]
    low, high = min(rewards, default=0.0), max(rewards, default=1.0)
    marks = markers(frame([t.prompt for t in turns]).before) if kind == "running_on" else ()
    kinds: Mapping[str, Shows] = {
        "cut": lambda t: t.finish == "length",
        "looping": lambda t: looped(t.completion),
        "scaffold": lambda t: SCAFFOLD.search(t.completion) is not None,
        "running_on": lambda t: next_problem(t.completion, marks) is not None,
        "empty": lambda t: not t.completion.strip(),
        "unscored": lambda t: t.reward is None,
        "unrewarded_right": lambda t: t.reward == low and target_of(t) == (stated(t.completion) or ""),
        "rewarded_wrong": lambda t: t.reward == high and target_of(t) not in (None, stated(t.completion)),
    }
    chosen = [t for t in turns if kinds[kind](t)] if kind in kinds else list(turns)
    chosen = chosen or list(turns)
    return _spread(chosen, most)


def _spread(turns: Sequence[Turn], most: int) -> list[Turn]:
    """The last ones, one prompt once while there are others."""
    found: dict[str, Turn] = {}
    for turn in reversed(turns):
        found.setdefault(turn.prompt, turn)
        if len(found) == most:
            break
    if len(found) < most:
        rest = [t for t in reversed(turns) if t not in found.values()]
        return [*found.values(), *rest[: most - len(found)]]
    return list(found.values())
