"""What is measured of a step for those who watch the run: its rollouts by their trace rows, a sample of the weights.

Everything goes into the step's row, so that a resumed run, which has only the rows, is watched as if never stopped.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, compress
from typing import Any

import torch
from torch import Tensor

from trueloop.train.batch import Stream

Decode = Callable[[list[int]], Any]

READ = 16
"""Completions of a step whose text is held against their tokens."""

TEXTS = 64
"""Completions of a step that are looked at for loops."""

SHORTEST = 24
LOOP = 1 / 7
"""Compressed size over size below which a text says the same over and over; prose has about a third."""

HEADER = 8
NUMBERS = 64
"""Numbers of each trained tensor in the sample of the weights."""


def of_rollouts(
    rows: Sequence[Mapping[str, Any]], streams: Sequence[Stream], version: int, decode: Decode | None = None
) -> dict[str, float]:
    """Counts and shares of the step's rollouts; nothing where nothing was sampled.

    rows     those of the trace, used and filtered
    version  the weights' before the step
    decode   token ids -> text, where texts are to be held against their tokens
    """
    used = [row for row in rows if row["fate"] == "used"]
    if not used:
        return {}
    first = {row["group_index"] for row in used if row["read"] == 1}
    found = {
        "rollouts/used": float(len(used)),
        "rollouts/groups": float(len(first)),
        "rollouts/lag": float(version - min(row["version"] for row in used)),
    }
    if not any(stream.pairs for stream in streams):
        trained = {sample.id for stream in streams for sample in stream.samples}
        found["rollouts/untrained"] = sum(row["id"] not in trained for row in used) / len(used)
    found |= (
        _one_text(used) | _texts([row["text"] for row in used]) | _verdicts(rows) | _filtered(rows) | _agreement(used)
    )
    found |= _read(used, decode) if decode is not None else {}
    return found | _weights(used, streams) | _credit([row for row in used if row["read"] == 1])


def _texts(texts: Sequence[str]) -> dict[str, float]:
    sample = texts[:: -(-len(texts) // TEXTS)]
    commonest = Counter(texts).most_common(1)[0][1]
    return {
        "rollouts/commonest": commonest / len(texts),
        "rollouts/looping": sum(map(loops, sample)) / len(sample),
    }


def _one_text(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The share of the groups of several completions in which all are one text; nothing where there are none."""
    groups: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        if row["read"] == 1:
            groups[row["group_index"]].append(row["text"])
    several = [texts for texts in groups.values() if len(texts) > 1]
    return {"rollouts/one_text": sum(len(set(texts)) == 1 for texts in several) / len(several)} if several else {}


def loops(text: str) -> bool:
    """Whether a text says the same over and over; a text that is too short to tell does not."""
    size = len(data := text.encode(errors="replace"))
    return size >= SHORTEST and len(zlib.compress(data)) - HEADER < LOOP * size


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    statuses = Counter(row.get("status") for row in rows)
    scored, without = statuses["scored"], statuses["error"] + statuses["unscorable"]
    if not scored + without:
        return {}
    found = {"rollouts/scored": float(scored), "rollouts/without_verdict": float(without)}
    judged = [row for row in rows if row.get("passed") is not None and row.get("reward") is not None]
    for name, passed in (("passed", True), ("failed", False)):
        earned = [row["reward"] for row in judged if row["passed"] is passed]
        found |= (
            {f"verdicts/{name}": float(len(earned)), f"verdicts/earned_{name}": math.fsum(earned)} if judged else {}
        )
    return found


def _filtered(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Groups by the reason for which they were filtered."""
    groups = {(row["fate"], row["problem_id"], row["epoch"]) for row in rows if row["fate"].startswith("filtered:")}
    counts = Counter(fate.removeprefix("filtered:") for fate, _, _ in groups)
    return {f"filtered/{reason}": float(n) for reason, n in sorted(counts.items())}


def _agreement(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Per audit its correlation with the reward over the step's rollouts, where both vary."""
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        for name, value in (row.get("audit") or {}).items():
            if row.get("reward") is not None:
                pairs[name].append((row["reward"], value))
    varying = {name: p for name, p in sorted(pairs.items()) if all(len(set(side)) > 1 for side in zip(*p, strict=True))}
    return {f"agreement/{name}": statistics.correlation(*zip(*p, strict=True)) for name, p in varying.items()}


def _read(rows: Sequence[Mapping[str, Any]], decode: Decode) -> dict[str, float]:
    """How many texts were held against their tokens, and how many are not what these say."""
    looked = rows[:: -(-len(rows) // READ)]
    off = 0
    for row in looked:
        written = [t for t, on in zip(row["tokens"], row["loss_mask"], strict=True) if on]
        off += not str(decode(written)).startswith(row["text"])
    return {"rollouts/texts_read": float(len(looked)), "rollouts/texts_off": float(off)}


def _weights(rows: Sequence[Mapping[str, Any]], streams: Sequence[Stream]) -> dict[str, float]:
    """Rollouts that are trained by themselves, and those of them with a token whose weight is not their credit's: of
    another sign, or 0 where the credit is not."""
    credit = {row["id"]: row["advantage"] for row in rows if row.get("advantage") is not None}
    samples = [s for stream in streams for s in stream.samples if s.id in credit]
    off = 0
    for sample in samples:
        weights = list(compress(sample.weights, sample.loss_mask))
        given = credit[sample.id]
        off += any(_sign(w) != _sign(given) for w in (min(weights, default=given), max(weights, default=given)))
    return {"credit/rows": float(len(samples)), "credit/misweighted": float(off)} if samples else {}


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)


def _credit(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Pairs of completions of one problem with other rewards, and those in which the better one has the larger
    advantage; nothing where there are none."""
    groups: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row.get("reward") is not None and row.get("advantage") is not None:
            groups[row["group_index"]].append((row["reward"], row["advantage"]))
    gains = [
        (a[1] - b[1]) * (a[0] - b[0]) for rated in groups.values() for a, b in combinations(rated, 2) if a[0] != b[0]
    ]
    return {"credit/pairs": float(len(gains)), "credit/ordered": float(sum(g > 0 for g in gains))} if gains else {}


class Weights:
    """A sample of the trained weights, compared from step to step."""

    def __init__(self, trainable: Mapping[str, Tensor]) -> None:
        self._trainable = trainable
        self._before = self._sample()

    def of_step(self, lr: float) -> dict[str, float]:
        """What the step changed.

        weights/changed     share of the sample that changed
        weights/update      root mean square of what moved noticeably, in learning rates; absent where nothing did
        weights/not_finite  tensors with a number that is not finite; absent where there is none
        """
        after = self._sample()
        moved, self._before = (after - self._before).abs(), after
        found = {"weights/changed": float((moved > 0).double().mean())}
        if lr > 0 and len(noticed := moved[moved > 0.01 * lr]):
            found["weights/update"] = float(noticed.double().square().mean().sqrt()) / lr
        if broken := self._not_finite():
            found["weights/not_finite"] = float(broken)
        return found

    @torch.no_grad()
    def _sample(self) -> Tensor:
        flat = [p.detach().reshape(-1) for p in self._trainable.values()]
        return torch.cat([p[:: -(-len(p) // NUMBERS)].float() for p in flat]).cpu()

    @torch.no_grad()
    def _not_finite(self) -> int:
        norms = torch._foreach_norm([p.detach() for p in self._trainable.values()])
        return int((~torch.stack(norms).isfinite()).sum())
