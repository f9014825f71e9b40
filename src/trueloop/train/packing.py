"""Which samples share a row, and which rows share a forward pass: plain integers, no tensors.

A *row* is one sequence of model positions.  A plain row holds one sample.  A shared row holds a prefix once and
then the completions of several samples, each of which sees the prefix and itself.  The last trained token of a sample
is predicted, never read, so it takes no position; what follows it is not read at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from trueloop.records import Sample


@dataclass(frozen=True, slots=True)
class Row:
    """Samples of one row, by index; `prefix` positions are shared by all of them, and none is in a plain row."""

    members: tuple[int, ...]
    prefix: int
    length: int


Unit = tuple[Row, ...]
"""Rows that must stay in one forward pass: one, or the two of a pair that shares no prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What packing may do.

    budget  most positions of one forward pass, padding included; a single longer sample goes alone.  At most 1/32 of
            it may be padding, about what another pass costs in overhead
    share   whether samples with one prefix share a row
    parts   processes among which the passes will be divided
    """

    budget: int
    share: bool
    parts: int = 1


def trained_span(sample: Sample) -> tuple[int, int]:
    """Indices of the first and the last trained token."""
    mask = sample.loss_mask
    return mask.index(True), len(mask) - 1 - mask[::-1].index(True)


def pack(samples: Sequence[Sample], items: Sequence[tuple[int, ...]], limits: Limits) -> list[list[Row]]:
    """Forward passes as lists of rows, longest first, the same for the same input.

    samples  each with at least one trained token
    items    indices of samples that must stay in one pass, such as the two answers of a pair

    Rows are sorted by length before they are cut into passes, so that padding is little, and a pass holds either
    shared or plain rows, so that plain ones keep the faster attention.
    """
    spans = [trained_span(sample) for sample in samples]
    units = _units(samples, spans, items, limits)
    budget = _share_of(limits, sum(row.length for unit in units for row in unit), PASSES_PER_PART)
    passes: list[list[Unit]] = []
    for unit in sorted(units, key=_order):
        if not passes or not _fits(passes[-1], unit, budget, limits.budget // 32):
            passes.append([])
        passes[-1].append(unit)
    return [[row for unit in one for row in unit] for one in passes]


def plain_rows(samples: Sequence[Sample]) -> tuple[Row, ...]:
    """One plain row per sample."""
    return tuple(Row((k,), 0, trained_span(sample)[1]) for k, sample in enumerate(samples))


def cost(rows: Sequence[Row]) -> int:
    """Positions of one forward pass, padding included."""
    return len(rows) * max(row.length for row in rows)


def divide(costs: Sequence[float], parts: int) -> list[list[int]]:
    """Indices per part: the costliest first, each to the part that has least so far (Graham 1969, LPT)."""
    loads, shares = [0.0] * parts, [[] for _ in range(parts)]  # type: tuple[list[float], list[list[int]]]
    for k in sorted(range(len(costs)), key=lambda k: (-costs[k], k)):
        least = loads.index(min(loads))
        shares[least].append(k)
        loads[least] += costs[k]
    return shares


PASSES_PER_PART = 2
"""With several processes, passes are cut this fine, so that they can be divided evenly."""


def _units(
    samples: Sequence[Sample], spans: Sequence[tuple[int, int]], items: Sequence[tuple[int, ...]], limits: Limits
) -> list[Unit]:
    """Rows of all items.  Items of one prefix fill shared rows, the longest first, up to the budget."""
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = defaultdict(list)
    units: list[Unit] = []
    for item in items:
        prefixes = {samples[k].tokens[: spans[k][0]] for k in item}
        if limits.share and len(prefixes) == 1:
            groups[prefixes.pop()].append(item)
        else:
            units.append(tuple(_plain(k, spans) for k in item))
    total = sum(len(prefix) + sum(_completion(item, spans) for item in group) for prefix, group in groups.items())
    limit = _share_of(limits, total, 1)
    for prefix, group in groups.items():
        units += _shared_units(len(prefix), group, spans, limit)
    return units


def _shared_units(
    prefix: int, group: list[tuple[int, ...]], spans: Sequence[tuple[int, int]], limit: int
) -> list[Unit]:
    rows: list[list[tuple[int, ...]]] = []
    length = 0
    for item in sorted(group, key=lambda item: -_completion(item, spans)):
        more = _completion(item, spans)
        if not rows or length + more > limit:
            rows.append([])
            length = prefix
        rows[-1].append(item)
        length += more
    return [_merge(row, prefix, spans) for row in rows]


def _merge(items: list[tuple[int, ...]], prefix: int, spans: Sequence[tuple[int, int]]) -> Unit:
    members = tuple(k for item in items for k in item)
    if len(members) == 1:
        return (_plain(members[0], spans),)
    return (Row(members, prefix, prefix + sum(_completion(item, spans) for item in items)),)


def _plain(k: int, spans: Sequence[tuple[int, int]]) -> Row:
    return Row((k,), 0, spans[k][1])


def _completion(item: tuple[int, ...], spans: Sequence[tuple[int, int]]) -> int:
    """Positions that the item's completions take: the last trained token of each is not an input."""
    return sum(spans[k][1] - spans[k][0] for k in item)


def _fits(units: Sequence[Unit], unit: Unit, budget: int, padding: int) -> bool:
    """Whether a unit can join a pass of units of which none is shorter; padding inside a unit is nobody's choice."""
    together = (*units, unit)
    positions = sum(map(len, together)) * _longest(units[0])
    few = positions - sum(cost(one) for one in together) <= padding
    return _shared(unit) == _shared(units[0]) and positions <= budget and few


def _order(unit: Unit) -> tuple[bool, int]:
    return not _shared(unit), -_longest(unit)


def _shared(unit: Unit) -> bool:
    """Whether its attention is not the plain causal one; a prefix that nothing follows is."""
    return unit[0].length > unit[0].prefix > 0


def _longest(unit: Unit) -> int:
    return max(row.length for row in unit)


def _share_of(limits: Limits, total: int, pieces: int) -> int:
    """The budget, or what makes `pieces` pieces of `total` positions for each of several processes, if that is less."""
    return limits.budget if limits.parts == 1 else min(limits.budget, -(-total // (pieces * limits.parts)))
