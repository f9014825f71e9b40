"""What the losses of a step do with a token, and what the step says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trueloop.checks.numerics import credit as crediting
from trueloop.checks.numerics import loss as asked
from trueloop.preflight.numerics.probe import Probe
from trueloop.records import CheckResult
from trueloop.train.batch import Stream


def losses(
    streams: Sequence[Stream], found: Sequence[Probe | None], configured: Mapping[str, Any]
) -> Iterator[CheckResult]:
    """The checks of every stream's loss and reduction.  configured: the run's settings, plain."""
    for stream, probe in zip(streams, found, strict=True):
        lengths = [1] * len(stream.pairs) or [s.trained_tokens for s in stream.samples]
        scales, twice = (list(stream.reduction(lengths * k)) if any(lengths) else [] for k in (1, 2))
        yield crediting.reduction(lengths, scales, twice[: len(lengths)], coefficient=stream.coefficient)
        if probe is not None:
            yield from _probed(stream, probe, configured)


def _probed(stream: Stream, probe: Probe, configured: Mapping[str, Any]) -> Iterator[CheckResult]:
    yield asked.samples_are_apart(*probe.apart())
    if not probe.reads_own() and not probe.reads_old() and stream.samples[0].teacher is not None:
        return
    signed = any(w < 0 for s in stream.samples for w in s.weights)
    yield asked.loss_follows_weights(probe.pushes(1.0), probe.pushes(-1.0), signed=signed)
    if probe.reads_old():
        lost, weighted = probe.lost()
        given = probe.given
        assert given.old_logp_BT is not None
        ratio = (probe.logp_BT - given.old_logp_BT)[given.mask_BT].exp()
        above, below = probe.bound(1.0), probe.bound(-1.0)
        kind = dict(configured.get("loss") or {}).get("kind")
        clips = kind in ("clip", "gspo") or (kind is None and (above is not None or below is not None))
        yield asked.clip_bounds(lost, weighted, above, below, spread=float((ratio - 1).abs().max()), asked=clips)
    if probe.given.ref_logp_BT is not None:
        kl = dict(configured.get("kl") or {})
        yield asked.kl_penalty(probe.penalty(), kl.get("coefficient"))
