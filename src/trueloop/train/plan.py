"""From streams to forward passes: one denominator over every row of the step, then the rows without signal dropped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from trueloop.errors import DataError, TrainingError
from trueloop.records import Metric, Sample, derive_seed
from trueloop.train.batch import Loss, Pass, Stream
from trueloop.train.packing import Limits, Row, cost, pack, plain_rows, trained_span


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The passes of one optimizer step.

    denominator  per stream: what a loss of 1 at every trained token (or pair) would be divided by to give the
                 stream's loss before its coefficient, a whole number if it is a count; absent where every scale is 0
    metrics      what is known before anything runs
    """

    passes: tuple[Pass, ...]
    denominator: dict[str, float]
    metrics: dict[str, Metric]


def plan(streams: Sequence[Stream], limits: Limits, seed: int) -> Plan:
    """Passes of all streams.  A pass holds rows of one stream.

    A sample is left out of the passes if nothing in it is trained, or if all its weights are 0 and the loss says that
    it is silent then; a pair if its weight is 0.  Scales and denominators count them all the same.
    Raises `TrainingError` if no stream has a trainable token, `DataError` for rows that contradict each other.
    """
    names = [stream.name for stream in streams]
    if len(set(names)) != len(names):
        raise DataError(f"two streams of one step have one name ({', '.join(names)}): metrics would mix")
    _require_trainable(streams)
    passes: list[Pass] = []
    denominator: dict[str, float] = {}
    metrics: dict[str, Metric] = {}
    for stream in (stream for stream in streams if stream.rows()):
        scales, own = _scales(stream)
        if own is not None:
            denominator[stream.name] = own
        kept = [k for k in range(len(scales)) if _speaks(stream, k)]
        for ks, rows in _pack(stream, kept, limits):
            work_seed = derive_seed(seed, stream.name, len(passes))
            passes.append(_pass(stream, ks, rows, [scales[k] for k in ks], work_seed))
        metrics |= _row_metrics(stream, kept)
    return Plan(
        passes=tuple(passes),
        denominator=denominator,
        metrics=metrics | _position_metrics(passes),
    )


def scoring(samples: Sequence[Sample], temperature: float, limits: Limits) -> list[tuple[list[int], Pass]]:
    """Passes that only score samples, each of which has a trained token; with each, which samples it holds."""
    found = []
    for rows in pack(samples, [(k,) for k in range(len(samples))], limits):
        own, local = _localise(rows)
        work = Pass(
            stream="",
            loss=None,
            temperature=temperature,
            rows=tuple(local),
            samples=tuple(samples[k] for k in own),
            pairs=(),
            scales=(),
            seed=0,
        )
        found.append((own, work))
    return found


def alone(work: Pass) -> list[Pass]:
    """The pass once per item, each by itself in plain rows."""
    found = []
    for k in range(len(work.ids)):
        samples = work.samples[2 * k : 2 * k + 2] if work.pairs else work.samples[k : k + 1]
        pairs, scales = work.pairs[k : k + 1], work.scales[k : k + 1]
        found.append(replace(work, rows=plain_rows(samples), samples=samples, pairs=pairs, scales=scales))
    return found


def shared_rows(work: Pass) -> Iterator[Pass]:
    """Each of its rows in which completions must not see each other, as a pass that only scores.  Where fewer than two
    are read, plain causal attention is exact."""
    for row in work.rows:
        read = [k for k in row.members if trained_span(work.samples[k])[1] > row.prefix]
        if row.prefix and len(read) > 1:
            own, local = _localise([row])
            samples = tuple(work.samples[k] for k in own)
            yield replace(work, loss=None, rows=tuple(local), samples=samples, pairs=(), scales=())


def is_trained(sample: Sample) -> bool:
    """Whether any of its tokens is trained."""
    return any(sample.loss_mask)


def _scales(stream: Stream) -> tuple[list[float], float | None]:
    """Per item its factor in the step's loss, and the stream's denominator."""
    lengths = [1] * len(stream.pairs) or [s.trained_tokens for s in stream.samples]
    scales = list(stream.reduction(lengths)) if any(lengths) else [0.0] * len(lengths)
    if len(scales) != len(lengths):
        raise DataError(f"stream {stream.name!r}: its reduction gave {len(scales)} scales for {len(lengths)} rows")
    whole = math.fsum(scale * length for scale, length in zip(scales, lengths, strict=True))
    weights = [pair.weight for pair in stream.pairs] or [1.0] * len(lengths)
    factors = [stream.coefficient * scale * weight for scale, weight in zip(scales, weights, strict=True)]
    return factors, _counted(sum(lengths) / whole) if whole else None


def _counted(value: float) -> float:
    """The whole number that this is but for the rounding of a reduction's scales, or the value itself."""
    return float(round(value)) if math.isclose(value, round(value), rel_tol=1e-12) else value


def _speaks(stream: Stream, k: int) -> bool:
    """Whether item k can have loss and gradient at all."""
    if stream.pairs:
        return stream.pairs[k].weight != 0.0
    sample = stream.samples[k]
    if not cast(Loss, stream.loss).silent_at_zero_weight:
        return is_trained(sample)
    return any(trained and weight != 0.0 for trained, weight in zip(sample.loss_mask, sample.weights, strict=True))


def _pack(stream: Stream, kept: Sequence[int], limits: Limits) -> list[tuple[tuple[int, ...], list[Row]]]:
    """Per pass: its items, in order, and its rows, whose members count the pass's own samples."""
    width = 2 if stream.pairs else 1
    every = stream.rows()
    samples = [every[width * k + j] for k in kept for j in range(width)]
    items = [tuple(range(width * i, width * i + width)) for i in range(len(kept))]
    found = []
    for rows in pack(samples, items, limits) if samples else ():
        own, local = _localise(rows)
        found.append((tuple(kept[k // width] for k in own[::width]), local))
    return found


def _localise(rows: Sequence[Row]) -> tuple[list[int], list[Row]]:
    """The samples of these rows, in order, and the rows with members counted among them."""
    own = sorted(k for row in rows for k in row.members)
    place = {k: i for i, k in enumerate(own)}
    return own, [replace(row, members=tuple(place[k] for k in row.members)) for row in rows]


def _pass(stream: Stream, ks: Sequence[int], rows: Sequence[Row], scales: Sequence[float], seed: int) -> Pass:
    pairs = tuple(stream.pairs[k] for k in ks) if stream.pairs else ()
    samples = tuple(s for p in pairs for s in (p.chosen, p.rejected)) or tuple(stream.samples[k] for k in ks)
    return Pass(
        stream=stream.name,
        loss=stream.loss,
        temperature=stream.temperature,
        rows=tuple(rows),
        samples=samples,
        pairs=pairs,
        scales=tuple(scales),
        seed=seed,
    )


def _row_metrics(stream: Stream, kept: Sequence[int]) -> dict[str, Metric]:
    every, count = stream.rows(), len(stream.pairs) or len(stream.samples)
    width = len(every) // count
    tokens = sum(every[width * k + j].trained_tokens for k in kept for j in range(width))
    lengths = [s.trained_tokens for s in every]
    return {
        f"{stream.name}/tokens": _sum(tokens),
        f"{stream.name}/rows": _sum(count),
        f"{stream.name}/silent": share(count - len(kept), count),
        f"{stream.name}/length": _metric(lengths),
        f"{stream.name}/sequence_length": _metric([len(s.tokens) for s in every]),
    }


def _position_metrics(passes: Sequence[Pass]) -> dict[str, Metric]:
    positions = sum(cost(work.rows) for work in passes)
    used = sum(row.length for work in passes for row in work.rows)
    found = {"positions": _sum(positions), "passes": _sum(len(passes))}
    return found | ({"padding": share(positions - used, positions)} if positions else {})


def share(part: int, whole: int) -> Metric:
    """The mean of `whole` yes-or-no values of which `part` are yes."""
    return Metric(total=part, count=whole, low=float(part == whole), high=float(part > 0))


def _sum(value: float) -> Metric:
    """One value per step, so that merging steps gives the mean per step."""
    return Metric(total=value, count=1, low=value, high=value)


def _metric(values: Sequence[int]) -> Metric:
    return Metric(total=sum(values), count=len(values), low=min(values), high=max(values))


def _require_trainable(streams: Sequence[Stream]) -> None:
    for stream in streams:
        empty = [p.id for p in stream.pairs if not (is_trained(p.chosen) and is_trained(p.rejected))]
        if empty:
            raise DataError(f"stream {stream.name!r}: pairs with an answer without a trained token: {empty[:8]}")
    rows = [s for stream in streams for s in stream.rows()]
    if not any(is_trained(s) for s in rows):
        raise TrainingError(
            f"nothing to train: {len(rows)} rows in {len(streams)} streams and every loss_mask is False; look at the "
            "stored rollouts for empty completions, and at what filters and truncates them"
        )
