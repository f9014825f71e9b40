"""From the rehearsal's rewards to the rows of its step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from trueloop.checks.numerics import credit as asked
from trueloop.formulas import advantage
from trueloop.preflight.invented import LARGE, with_invented_rewards
from trueloop.preflight.rehearsal import Rehearsal, paid, rewards_alone
from trueloop.records import CheckResult, Group, Rollout, Sample
from trueloop.train.batch import Stream

FORMULAS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "grpo": advantage.standardize,
    "dr_grpo": advantage.center,
    "rloo": advantage.leave_one_out,
    "max_rl": advantage.max_rl,
}


def credits(rehearsal: Rehearsal, streams: Sequence[Stream], groups: Sequence[Group]) -> Iterator[CheckResult]:
    """The checks of advantages and rows.  groups, streams: as credited, of real or invented rewards."""
    rows = {s.id: s for stream in streams for s in stream.samples}
    if any(s.teacher is None for s in rows.values()):
        formula, alone = _formula(rehearsal), rewards_alone(rehearsal)
        invented = with_invented_rewards(rehearsal.credited, 1.0 if alone else LARGE)
        given = [_credited(g, paid(rehearsal, g), formula) for g in rehearsal.credit(invented)[0]]
        own = [_credited(g, paid(rehearsal, g), formula) for g in rehearsal.credited]
        yield asked.advantages(own + given if alone else given, penalised=[] if alone else own)
    cap = rehearsal.configured.get("importance_cap")
    counts: dict[str, int] = {}
    for stream in streams:
        for sample in stream.samples:
            counts[sample.id] = counts.get(sample.id, 0) + 1
    rated = [(r, a) for g in groups for r, a in zip(g.rollouts, g.advantages or (), strict=True)]
    yield asked.rows_are_rollouts([_row(r, a, counts.get(r.id, 0), rows.get(r.id), cap) for r, a in rated])


def _formula(rehearsal: Rehearsal) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The configured estimator, where nothing but what is paid has a say in the advantage."""
    kind = dict(rehearsal.configured.get("advantage") or {}).get("kind")
    return FORMULAS.get(str(kind)) if rewards_alone(rehearsal) else None


def _credited(
    group: Group, rewards: Sequence[float], formula: Callable[[torch.Tensor], torch.Tensor] | None
) -> asked.Credited:
    expected = None if formula is None else formula(torch.tensor(rewards, dtype=torch.float64)).tolist()
    return asked.Credited(id=group.problem.id, rewards=rewards, advantages=group.advantages or (), formula=expected)


def _row(rollout: Rollout, given: float, count: int, row: Sample | None, cap: float | None) -> asked.Row:
    written = sum(rollout.loss_mask)
    if row is None:
        return asked.Row(id=rollout.id, found=0, wanted=given != 0.0, written=written)
    trained = [t for t, on in enumerate(row.loss_mask) if on]
    last = max((t for t, on in enumerate(rollout.loss_mask) if on), default=-1)
    first = rollout.loss_mask.index(True) if written else len(rollout.tokens)
    return asked.Row(
        id=rollout.id,
        found=count,
        wanted=given != 0.0,
        written=written,
        trained=len(trained),
        prompt_trained=sum(t < first for t in trained),
        last_trained=last < len(row.loss_mask) and row.loss_mask[last],
        same_tokens=row.tokens == rollout.tokens,
        weights=[row.weights[t] for t in trained],
        expected=[given * _importance(rollout, row, t, cap) for t in trained],
    )


def _importance(rollout: Rollout, row: Sample, t: int, cap: float | None) -> float:
    """The truncated importance weight of token `t`, 1 where none is configured."""
    if cap is None or row.logprobs is None or t >= len(rollout.logprobs):
        return 1.0
    return min(math.exp(min(row.logprobs[t] - rollout.logprobs[t], 50.0)), cap)
