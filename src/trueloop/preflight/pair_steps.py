"""Preference pairs before a run: margins against their objectives, step 0, and one step that is taken back."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor

from trueloop.checks import pair_steps
from trueloop.models import Policy
from trueloop.models.files import adapter_base
from trueloop.models.samples import sample_logprobs
from trueloop.preflight.pairs import Pairing, pair_id
from trueloop.preflight.undo import undone
from trueloop.records import CheckResult, Sample, SamplePair
from trueloop.train.batch import PairBatch, PairLoss, PairOutputs
from trueloop.train.optim import learning_rate

PROBE = 12
"""Pairs that are scored and stepped on."""


def margins(pairing: Pairing) -> Iterator[CheckResult]:
    """The margins and weights, as numbers."""
    given = {pair_id(pair): pair for pair in pairing.given}
    rows = [row for row in pairing.rows if row.id in given]
    yield pair_steps.weights(pairing.w, pairing.beta)
    yield pair_steps.hard_labels(len(pairing.objectives), sum(r.gap is not None for r in rows), len(rows))
    for objective, weight in zip(pairing.objectives, pairing.w[1:], strict=True):
        found = [row.margins[objective.name] for row in rows]
        declared = [objective.margin(given[row.id].chosen, given[row.id].rejected) for row in rows]
        yield pair_steps.match_objectives(objective.name, found, declared)
        deviation = statistics.pstdev(found) * weight / pairing.w[0] if found and pairing.w[0] > 0 else math.inf
        yield pair_steps.scale(objective.name, deviation, weight)
    if pairing.w[0] > 0:
        yield pair_steps.effective_pairs([_sigmoid(-_start(row, pairing)) for row in rows], pairing.w[0])


def optimum(pairing: Pairing) -> Iterator[CheckResult]:
    """The loss on a table whose optimum is known."""
    if not (pairing.rows and pairing.w[0] > 0 and pairing.beta > 0):
        return
    names = [objective.name for objective in pairing.objectives]
    loss: PairLoss = pairing.stream(pairing.rows[:1]).loss  # type: ignore[assignment]
    found = tabular(loss, names, gaps=pairing.rows[0].gap is not None)
    wanted = dict(zip(["labels", *names], (x / pairing.beta for x in pairing.w), strict=True))
    yield pair_steps.optimum(found, wanted)


def first_step(pairing: Pairing) -> Iterator[CheckResult]:
    """Policy and reference before, while and after one optimizer step at the run's highest learning rate."""
    trainer, optim = pairing.trainer, pairing.trainer.optim
    peak = max(range(pairing.steps), key=lambda k: learning_rate(optim, k))
    lr = learning_rate(optim, peak)
    yield pair_steps.warmup(lr, optim.lr, min(optim.schedule.warmup, pairing.steps), pairing.steps)
    yield _adapter(pairing)
    rows = [pairing.rows[i * len(pairing.rows) // PROBE] for i in range(min(PROBE, len(pairing.rows)))]
    samples = [sample for row in rows for sample in (row.chosen, row.rejected)]
    policy_0 = trainer.logprobs(samples)
    yield (broken := _finite(pairing.policy, samples, policy_0))
    if broken.status == "fail":
        return
    stored = [sample.ref_logprobs for sample in samples]
    live = pairing.reference.logprobs(samples)
    yield pair_steps.is_the_start([gap for ref in (stored, live) for gap in _gaps(samples, policy_0, ref)])
    yield _named(pairing, samples)
    with undone(trainer) as before:
        frozen = _sums(pairing.policy, trainer.trainable)
        gradients = trainer.backward([pairing.stream(rows)])
        trainer.steps = peak
        report = trainer.step([pairing.stream(rows)])
        yield pair_steps.loss_at_start(report.loss, statistics.fmean(_closed_loss(row, pairing) for row in rows))
        yield _moved(trainer.trainable, before, gradients)
        yield _alone(pairing, frozen)
        policy_1, again = trainer.logprobs(samples), pairing.reference.logprobs(samples)
    yield from _changes(pairing, rows, policy_0, policy_1, lr)
    yield pair_steps.stays(_gaps(samples, live, again), _gaps(samples, policy_0, policy_1))


def tabular(loss: PairLoss, names: Sequence[str], *, gaps: bool) -> dict[str, float]:
    """What a loss ends at on a table of six answers with known rewards: the least-squares coefficient of each objective
    in log pi / pi_ref, "labels" first.

    Every ordered pair is there with the probability of its label; with `gaps` it also says how sure the label is.
    """
    generator = torch.Generator().manual_seed(0)
    rewards_KM = torch.randn(6, 1 + len(names), generator=generator, dtype=torch.float64)
    rewards_KM = torch.linalg.qr(rewards_KM - rewards_KM.mean(0))[0] * 2.0
    ref_K = torch.randn(6, generator=generator, dtype=torch.float64).log_softmax(0)
    i_B, j_B = (torch.tensor(x) for x in zip(*[(i, j) for i in range(6) for j in range(6) if i != j], strict=True))
    difference_BM = rewards_KM[i_B] - rewards_KM[j_B]
    order = sorted(range(len(names)), key=lambda k: names[k])
    p_B = difference_BM[:, 0].sigmoid()
    batch = PairBatch(
        ids=tuple(map(str, range(len(i_B)))),
        chosen_length_B=torch.ones_like(i_B),
        rejected_length_B=torch.ones_like(i_B),
        ref_chosen_logp_B=ref_K[i_B],
        ref_rejected_logp_B=ref_K[j_B],
        margin_names=tuple(sorted(names)),
        margins_BM=difference_BM[:, [1 + k for k in order]],
        gap_B=difference_BM[:, 0] if gaps else None,
        scale_B=p_B / p_B.sum(),
    )
    logit_K = ref_K.clone().requires_grad_()
    search = torch.optim.LBFGS([logit_K], max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def closure() -> Tensor:
        search.zero_grad()
        logp_K = logit_K.log_softmax(0)
        value = (
            loss(PairOutputs(chosen_logp_B=logp_K[i_B], rejected_logp_B=logp_K[j_B]), batch)[0] * batch.scale_B
        ).sum()
        value.backward()
        return value

    with torch.enable_grad():
        search.step(closure)
    ended_K = logit_K.detach().log_softmax(0) - ref_K
    found = torch.linalg.lstsq(rewards_KM, (ended_K - ended_K.mean())[:, None]).solution[:, 0]
    return dict(zip(["labels", *names], found.tolist(), strict=True))


# -- parts of the first step


def _adapter(pairing: Pairing) -> CheckResult:
    layers: dict[str, Any] = {n: m for n, m in pairing.policy.model.named_modules() if isinstance(m, LoraLayer)}
    zero, frozen, out = [], [], []
    for name, layer in layers.items() if pairing.policy.adapter is not None else ():
        key = pairing.policy.adapter or ""
        a, b = layer.lora_A[key].weight, layer.lora_B[key].weight
        zero += [name] * (not bool(b.any()))
        frozen += [name] * (not (a.requires_grad and b.requires_grad))
        out += [name] * (layer.scaling[key] == 0)
    saved = pairing.named is not None
    return pair_steps.adapter_can_learn(zero, frozen, out, saved, len(layers))


def _finite(policy: Policy, samples: Sequence[Sample], found: Sequence[Sequence[float]]) -> CheckResult:
    weights = [n for n, p in policy.model.named_parameters() if not bool(p.isfinite().all())]
    rows = [s.id for s, values in zip(samples, found, strict=True) if not all(map(math.isfinite, values))]
    return pair_steps.finite(weights, rows, len(samples))


def _named(pairing: Pairing, samples: Sequence[Sample]) -> CheckResult:
    if pairing.named is None:
        return pair_steps.starts_from_what_is_named("", None)
    base = Policy.load(adapter_base(pairing.named))
    probe = samples[:2]
    gaps = _gaps(probe, sample_logprobs(base.model, probe), sample_logprobs(pairing.policy.model, probe))
    return pair_steps.starts_from_what_is_named(str(pairing.named), max(gaps) < pair_steps.CLOSE / 10)


def _sums(policy: Policy, trainable: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
    """Two sums of every tensor that is not trained; another value, other sums."""
    held = {n: p.detach() for n, p in policy.model.named_parameters() if n not in trainable}
    double = torch.float64
    return {n: (float(p.sum(dtype=double)), float(p.square().sum(dtype=double))) for n, p in held.items()}


def _moved(
    trainable: Mapping[str, Tensor], before: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
) -> CheckResult:
    moved = [n for n, p in trainable.items() if not p.detach().cpu().equal(before[n])]
    reached = [n for n, g in gradients.items() if bool(g.any())]
    still = [n for n in reached if n not in moved]
    return pair_steps.policy_moves(moved, still, [n for n in trainable if n not in moved and n not in reached])


def _alone(pairing: Pairing, frozen: Mapping[str, tuple[float, float]]) -> CheckResult:
    trained = pairing.policy.trainable()
    strays = [n for n in trained if ".lora_" not in n and ".modules_to_save." not in n]
    strays = strays if isinstance(pairing.policy.model, PeftModel) else []
    after = _sums(pairing.policy, pairing.trainer.trainable)
    changed = [n for n, sums in frozen.items() if after.get(n) != sums]
    return pair_steps.trains_the_policy_alone(strays, changed, len(trained), len(frozen))


def _changes(
    pairing: Pairing,
    rows: Sequence[SamplePair],
    before: Sequence[Sequence[float]],
    after: Sequence[Sequence[float]],
    lr: float,
) -> Iterator[CheckResult]:
    """What the step did to the probe: its size, its direction, and how far the logits went."""
    samples = [sample for row in rows for sample in (row.chosen, row.rejected)]
    gaps = _gaps(samples, before, after)
    yield pair_steps.size(statistics.fmean(gaps) if gaps else math.nan, lr, pairing.steps)
    gain = [math.fsum(b) - math.fsum(a) for a, b in zip(before, after, strict=True)]
    ratio = [gain[2 * k] - gain[2 * k + 1] for k in range(len(rows))]
    pushes = [_certainty(row) - _sigmoid(_start(row, pairing)) for row in rows]
    yield pair_steps.direction(ratio, pushes)
    if pairing.w[0] > 0:
        yield pair_steps.saturation([pairing.beta * x / pairing.w[0] for x in ratio], pairing.beta)


# -- closed forms


def _start(row: SamplePair, pairing: Pairing) -> float:
    """z before the first step, where policy and reference are one."""
    names = [objective.name for objective in pairing.objectives]
    taken = math.fsum(w * row.margins[name] for w, name in zip(pairing.w[1:], names, strict=True))
    return -taken / pairing.w[0] if pairing.w[0] > 0 else math.nan


def _certainty(row: SamplePair) -> float:
    return 1.0 if row.gap is None else _sigmoid(row.gap)


def _closed_loss(row: SamplePair, pairing: Pairing) -> float:
    z, p = _start(row, pairing), _certainty(row)
    return p * _softplus(-z) + (1 - p) * _softplus(z)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _gaps(
    samples: Sequence[Sample], one: Sequence[Sequence[float] | None], other: Sequence[Sequence[float] | None]
) -> list[float]:
    """|difference| per trained token; samples for which one of them has no values are passed over."""
    return [
        abs(a - b)
        for sample, mine, theirs in zip(samples, one, other, strict=True)
        if mine is not None and theirs is not None
        for a, b, on in zip(mine, theirs, sample.loss_mask, strict=True)
        if on
    ]
