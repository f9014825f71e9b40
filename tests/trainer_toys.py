"""Small losses, rows and interventions for the trainer's tests; at the top level, so that workers can import them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import parent_process

import torch
from torch.nn import functional as F

from trueloop.formulas.reduce import token_mean
from trueloop.records import Sample, SamplePair, Teacher
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

VOCABULARY = 60


@dataclass(frozen=True)
class Sft:
    needs_entropy = False
    silent_at_zero_weight = True

    def __call__(self, out, batch):
        return -out.logp_BT * batch.weights_BT, {"nll": -out.logp_BT}


@dataclass(frozen=True)
class ClippedWithEntropyAndKl:
    needs_entropy = True
    silent_at_zero_weight = False

    def __call__(self, out, batch):
        ratio_BT = (out.logp_BT - batch.old_logp_BT).exp()
        clipped_BT = -torch.min(ratio_BT * batch.weights_BT, ratio_BT.clamp(0.8, 1.2) * batch.weights_BT)
        kl_BT = (batch.ref_logp_BT - out.logp_BT).exp() - (batch.ref_logp_BT - out.logp_BT) - 1
        return clipped_BT + 0.1 * kl_BT - 0.05 * out.entropy_BT, {"ratio": ratio_BT, "entropy": out.entropy_BT}


@dataclass(frozen=True)
class SequenceRatio:
    """GSPO-like: one ratio per sample, so a batch mate or padding inside the mean would show."""

    needs_entropy = False
    silent_at_zero_weight = True

    def __call__(self, out, batch):
        n_B = batch.mask_BT.sum(1)
        ratio_B = (((out.logp_BT - batch.old_logp_BT) * batch.mask_BT).sum(1) / n_B).exp()
        return -ratio_B[:, None] * batch.weights_BT, {"sequence_ratio": ratio_B}


@dataclass(frozen=True)
class Distill:
    needs_entropy = False
    silent_at_zero_weight = False

    def __call__(self, out, batch):
        p_BTK = batch.teacher_logp_BTK.exp() * batch.mask_BT[..., None]
        return -(p_BTK * out.teacher_token_logp_BTK).sum(-1), {}


@dataclass(frozen=True)
class Dpo:
    beta: float = 0.5

    def __call__(self, out, batch):
        logratio_B = (out.chosen_logp_B - batch.ref_chosen_logp_B) - (out.rejected_logp_B - batch.ref_rejected_logp_B)
        z_B = self.beta * logratio_B - batch.margins_BM.sum(1)
        return -F.logsigmoid(z_B), {"logit": z_B}


@dataclass(frozen=True)
class Broken:
    """nan for one sample, in the loss or in its gradient alone."""

    of: str
    in_gradient: bool = False
    needs_entropy = False
    silent_at_zero_weight = False

    def __call__(self, out, batch):
        hit_B = torch.tensor([i == self.of for i in batch.ids])
        loss_BT = -out.logp_BT
        if self.in_gradient:  # the root's slope is infinite at 0
            broken = (out.logp_BT[hit_B] - out.logp_BT[hit_B].detach()).abs().sqrt()
        else:
            broken = out.logp_BT[hit_B] * float("nan")
        return loss_BT.index_put((hit_B,), broken), {}


class CrashInWorker(Sft):
    """A bug that shows in another process only."""

    def __call__(self, out, batch):
        if parent_process() is not None:
            raise KeyError("a bug in a loss")
        return super().__call__(out, batch)


class Capture:
    """Remembers the gradient and keeps the weights where they are."""

    def gradients(self, gradients, backward):
        self.seen = {name: g.clone() for name, g in gradients.items()}
        return gradients

    def update(self, deltas):
        return {name: torch.zeros_like(d) for name, d in deltas.items()}


class Halve:
    """Scales what a module returns while training; a stand-in for erasing a direction from activations."""

    def __init__(self, module: str, only: str | None = None):
        self.module, self.only = module, only

    @contextmanager
    def forward(self, model, stream) -> Iterator[None]:
        if self.only not in (None, stream):
            yield
            return
        handle = model.get_submodule(self.module).register_forward_hook(lambda m, a, out: out * 0.5)
        try:
            yield
        finally:
            handle.remove()


def sample(rng: random.Random, name: str, prefix: tuple[int, ...], length: int, *, gaps: bool = False) -> Sample:
    """A row with weights, log-probabilities of sampler and reference, and a teacher; gaps are untrained turns."""
    mask = [False] * len(prefix) + [not gaps or rng.random() < 0.6 for _ in range(length)]
    n = len(mask)
    trained = sum(mask)
    return Sample(
        id=name,
        tokens=(*prefix, *(rng.randrange(2, VOCABULARY) for _ in range(length))),
        loss_mask=tuple(mask),
        weights=tuple(rng.gauss(0, 1) for _ in range(n)),
        logprobs=tuple(-4 * rng.random() for _ in range(n)),
        ref_logprobs=tuple(-4 * rng.random() for _ in range(n)),
        teacher=Teacher(
            ids=tuple(tuple(rng.sample(range(2, VOCABULARY), 3)) for _ in range(trained)),
            logprobs=tuple(tuple(-5 * rng.random() for _ in range(3)) for _ in range(trained)),
        ),
    )


def tokens(rng: random.Random, length: int) -> tuple[int, ...]:
    return tuple(rng.randrange(2, VOCABULARY) for _ in range(length))


def groups(seed: int, sizes: list[int], *, longest: int = 9, gaps: bool = False) -> list[Sample]:
    """For each size that many samples of one prompt."""
    rng = random.Random(seed)
    found = []
    for g, size in enumerate(sizes):
        prefix = tokens(rng, rng.randrange(1, 8))
        found += [sample(rng, f"g{g}/{k}", prefix, rng.randrange(1, longest), gaps=gaps) for k in range(size)]
    return found


def pairs(seed: int, count: int) -> list[SamplePair]:
    rng = random.Random(seed)
    found = []
    for k in range(count):
        prefix = tokens(rng, rng.randrange(1, 8))
        other = prefix if rng.random() < 0.7 else tokens(rng, 3)
        chosen = sample(rng, f"p{k}/c", prefix, rng.randrange(1, 9))
        rejected = sample(rng, f"p{k}/r", other, rng.randrange(1, 9))
        margins, weight = {"b": rng.gauss(0, 1), "a": rng.gauss(0, 1)}, rng.choice([0.0, 0.5, 1.0])
        found.append(SamplePair(id=f"p{k}", chosen=chosen, rejected=rejected, margins=margins, weight=weight))
    return found


def rl(samples: list[Sample], loss=None, **changes) -> Stream:
    """A stream of samples, under the sequence-ratio loss unless told otherwise."""
    fields = {"name": "rl", "loss": loss or SequenceRatio(), "reduction": token_mean, "samples": samples}
    return Stream(**{**fields, **changes})


def measure(policy_, streams, batching=None, **options):
    """(report, gradient by name) of one step that leaves the weights alone."""
    capture = Capture()
    interventions = [*options.pop("interventions", ()), capture]
    trainer = Trainer(policy_, Optim(lr=1.0), batching or Batching(), interventions=interventions, **options)
    report = trainer.step(streams)
    return report, getattr(capture, "seen", None)


def difference(a: dict, b: dict) -> float:
    """Norm of the difference of two named gradients, over the norm of the first."""
    flat_a = torch.cat([t.flatten() for t in a.values()])
    flat_b = torch.cat([b[name].flatten() for name in a])
    return float((flat_a - flat_b).norm() / flat_a.norm())
