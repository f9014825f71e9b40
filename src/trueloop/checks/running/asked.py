"""The checks of a run under way, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable

from trueloop.checks.running import flow, guard, optimizer, policy, rewards, rollouts, spot
from trueloop.checks.running.seen import Seen
from trueloop.records import CheckResult

Asked = Callable[[Seen], CheckResult]

AFTER_A_STEP: tuple[Asked, ...] = (
    optimizer.finite,
    optimizer.gradient_spike,
    optimizer.gradient_trend,
    optimizer.gradient_vanished,
    optimizer.weights_moved,
    optimizer.update_size,
    optimizer.memory,
    optimizer.learning_rate,
    optimizer.trained,
    policy.ratio,
    policy.kl,
    policy.reference_fixed,
    policy.clip_share,
    policy.entropy,
    policy.loss,
    policy.metric_frozen,
    rollouts.length,
    rollouts.cut,
    rollouts.distinct,
    rollouts.repetition,
    spot.text_is_tokens,
    spot.weights_are_credit,
    spot.follow_passes,
    spot.jump,
    rewards.credit,
    rewards.signal,
    rewards.constant,
    rewards.collapse,
    rewards.format,
    rewards.audit,
    rewards.learning,
    flow.version_lag,
    flow.trained,
    flow.ledger,
    flow.buffer,
    flow.failed,
    flow.lost,
    flow.stale,
    flow.filtered,
    flow.verdicts,
)

AFTER_AN_EVALUATION: tuple[Asked, ...] = (guard.as_promised, rollouts.guard_cut, rewards.held_out)
