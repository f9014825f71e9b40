"""The battery: every fault planted in its bed, and the table of what caught it and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from trueloop.faults.base import Bed, Fault, Planted, healthy, plant


def battery(
    faults: Sequence[Fault], beds: Mapping[str, Bed], said: Callable[[str], None] = lambda words: None
) -> Iterator[Planted]:
    """Plant each fault, bed by bed; each bed is first run without a fault.  Faults without a bed are passed over."""
    for name, bed in beds.items():
        mine = [fault for fault in faults if fault.bed == name]
        if not mine:
            continue
        said(f"the run {name!r} without a fault")
        sound = {id: result.status for id, result in healthy(bed, max(f.steps for f in mine)).items()}
        for fault in mine:
            said(fault.id)
            yield plant(fault, bed, sound)


def one_of_each(faults: Sequence[Fault]) -> list[Fault]:
    """The first fault of each mechanism."""
    return list({fault.mechanism: fault for fault in reversed(faults)}.values())[::-1]


def row(planted: Planted) -> tuple[str, str, str, str]:
    """Fault, caught by, when, seconds."""
    by = {"check": planted.by, "error": f"refused: {planted.by.splitlines()[0]}" if planted.by else "", "missed": "-"}
    when = "before the first step" if planted.step == 0 else f"step {planted.step}"
    return planted.fault.id, by[planted.how], "-" if planted.how == "missed" else when, f"{planted.seconds:.1f}"


def summary(found: Sequence[Planted]) -> str:
    """How many were planted, caught, and caught before the first optimizer step."""
    caught = [p for p in found if p.how != "missed"]
    early = sum(p.step == 0 for p in caught)
    return f"{len(found)} faults planted, {len(caught)} caught, {early} of them before the first optimizer step"
