"""Faults of gradients, of what is reported of a step, and of the numbers that hold weights and moments."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch

from trueloop.faults import seams
from trueloop.faults.base import Fault
from trueloop.models import Policy
from trueloop.records import Metric, StepReport
from trueloop.train.step import Trainer

LAYOUT = ("numerics.layout_invariant",)
SLOPE = ("numerics.gradient_is_slope",)
REPORT = ("numerics.report_is_true",)
Plant = Callable[[], AbstractContextManager[Any]]


def _report(change: Callable[[StepReport], StepReport]) -> Plant:
    def changed(trainer: Trainer) -> None:
        step = trainer.step
        trainer.step = lambda streams: change(step(streams))  # type: ignore[method-assign]

    return lambda: seams.trainer(changed)


def _last_micro_batch(report: StepReport) -> StepReport:
    metrics = {
        name: Metric(total=m.mean, count=1, low=m.mean, high=m.mean) if name.endswith(("/nll", "/ratio")) else m
        for name, m in report.metrics.items()
    }
    return replace(report, metrics=metrics)


def _after_each_pass(change: Callable[[torch.Tensor], Any]) -> Plant:
    """The accumulated gradient is changed after each pass."""

    def changed(trainer: Trainer) -> None:
        runner: Any = trainer._runner
        one = runner._backward_one

        def wrong(work: Any) -> Any:
            before = runner.flat.clone()
            tally = one(work)
            change_of = runner.flat - before
            runner.flat.copy_(change(torch.stack([before, change_of])))
            return tally

        runner._backward_one = wrong

    return lambda: seams.trainer(changed)


@torch.no_grad()
def _halve(policy: Policy) -> None:
    policy.model.half()


@torch.no_grad()
def _coarse(trainer: Trainer) -> None:
    """Weights live in bfloat16, in the beginning and after each step."""

    def round_off() -> None:
        for p in trainer.trainable.values():
            p.copy_(p.bfloat16())

    advance = trainer._advance

    @torch.no_grad()
    def advanced() -> None:
        advance()
        round_off()

    round_off()
    trainer._advance = advanced  # type: ignore[method-assign]


def _half_moments(trainer: Trainer) -> None:
    optimizer: Any = trainer._optimizer
    step = optimizer.step

    def stepped() -> None:
        step()
        for entry in optimizer.state.values():
            entry["exp_avg_sq"] = entry["exp_avg_sq"].half()

    optimizer.step = stepped


FAULTS = (
    Fault(
        id="gradient_doubled",
        mechanism="gradient",
        what="a hook doubles the gradient",
        caught_by=SLOPE,
        plant=_after_each_pass(lambda parts: parts[0] + 2 * parts[1]),
    ),
    Fault(
        id="last_micro_batch_only",
        mechanism="gradient",
        what="each micro-batch overwrites the gradient of the one before it",
        caught_by=(*LAYOUT, *SLOPE),
        overrides=("batching.budget=64",),
        plant=_after_each_pass(lambda parts: parts[1]),
    ),
    Fault(
        id="gradient_turned",
        mechanism="gradient",
        what="the sign of the gradient is turned",
        caught_by=SLOPE,
        plant=_after_each_pass(lambda parts: parts[0] - parts[1]),
    ),
    Fault(
        id="wrong_loss_reported",
        mechanism="report",
        what="the reported loss is that of one micro-batch times their number",
        caught_by=REPORT,
        recorded=("rlvr 21",),
        plant=_report(lambda report: replace(report, loss=4 * report.loss + 0.5)),
    ),
    Fault(
        id="norm_after_clipping",
        mechanism="report",
        what="the gradient norm is reported after it was clipped",
        caught_by=REPORT,
        plant=_report(lambda report: replace(report, grad_norm=min(report.grad_norm, 0.1))),
    ),
    Fault(
        id="metrics_of_one_micro_batch",
        mechanism="report",
        what="ratio and likelihood are reported of the last micro-batch",
        caught_by=REPORT,
        recorded=("rlvr 21", "rlvr 20"),
        plant=_report(_last_micro_batch),
    ),
    Fault(
        id="half_weights",
        mechanism="types",
        what="the policy is loaded in float16",
        caught_by=("numerics.master_weights",),
        recorded=("rlvr 7", "rlvr 8", "preference 17"),
        plant=lambda: seams.policy(_halve),
        refused="float32|Half|float16|dtype",
    ),
    Fault(
        id="weights_live_in_bfloat16",
        mechanism="types",
        what="weights are rounded to bfloat16 after each step, without a float32 master",
        caught_by=("numerics.update_survives", "liveness.tensors_moved"),
        recorded=("rlvr 8",),
        plant=lambda: seams.trainer(_coarse),
    ),
    Fault(
        id="half_moments",
        mechanism="types",
        what="the optimizer keeps squared gradients in float16",
        caught_by=("numerics.master_weights",),
        recorded=("rlvr 7",),
        plant=lambda: seams.trainer(_half_moments),
    ),
    Fault(
        id="learning_rate_vanishes",
        mechanism="update",
        what="a learning rate that float32 rounds away",
        caught_by=("numerics.update_survives",),
        recorded=("rlvr 8",),
        overrides=("optim.lr=1e-12",),
    ),
    Fault(
        id="adam_eps_dominates",
        mechanism="update",
        what="Adam's eps is far above the gradient",
        caught_by=("numerics.gradient_size",),
        recorded=("rlvr 7",),
        overrides=("optim.eps=0.1",),
    ),
    Fault(
        id="clipped_to_nothing",
        mechanism="update",
        what="max_grad_norm is 1e-6",
        caught_by=("numerics.gradient_size",),
        overrides=("optim.max_grad_norm=1e-6",),
    ),
)
