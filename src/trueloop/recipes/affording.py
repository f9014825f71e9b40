"""What a recipe's schedule amounts to and what it needs, as the checks of schedules and resources take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trueloop.checks import schedule
from trueloop.loop.flow import samples_per_problem
from trueloop.models import Policy
from trueloop.models.size import Size
from trueloop.models.teacher import context_limit
from trueloop.preflight import resources
from trueloop.preflight.stepping import scaling
from trueloop.recipes import estimate, wiring
from trueloop.records import CheckResult
from trueloop.tasks.base import Task
from trueloop.tasks.schedule import extremes

if TYPE_CHECKING:
    from trueloop.recipes import sampling, sft


def sampled(config: sampling.Common, tasks: Mapping[str, Task], policy: Policy, out: Path) -> Iterator[CheckResult]:
    """Schedule and needs of a run that samples, with those of its warm start."""
    from trueloop.recipes.sampling import stages, warm_config

    flow, first = config.flow, next(iter(tasks.values()))
    reads = [(tasks[part.task.build().name], part.split) for part in config.tasks.parts]
    problems = sum(len(task.problems(split)) for task, split in reads)
    samples = samples_per_problem(flow.samples)
    yield from _schedule(config, policy, flow.sync_every)
    if "entropy" in type(config).model_fields:
        yield schedule.entropy_bonus(getattr(config, "entropy", 0.0))
    yield schedule.passes(problems, flow.problems_per_step, config.loop.steps, getattr(config.tasks, "epochs", None))
    yield schedule.batch(flow.problems_per_step, samples, "advantage" in type(config).model_fields)
    yield schedule.staleness(flow.max_staleness, flow.capacity, problems)
    longest = max(task.max_tokens for task, _ in reads)
    tokens = config.loop.steps * flow.problems_per_step * samples * longest
    yield from _needs(config, policy, stages(config, "run", tokens), out, frozen=_keeps_copy(config))
    prompt = resources.longest_prompt(policy, reads, round(max(extremes(config.shots))))
    yield schedule.longest_row(prompt, longest, context_limit(policy), config.engine.cache_tokens)
    if config.warm_start is not None:
        warm = warm_config(config)
        yield from _schedule(warm, policy, 1, watched=False)
        rows = len(first.demonstrations(config.tasks.parts[0].split))
        yield schedule.passes(max(rows, 1), warm.rows_per_step, warm.loop.steps, warm.epochs)


def supervised(config: sft.Config, task: Task, policy: Policy, out: Path) -> Iterator[CheckResult]:
    """Schedule and needs of a supervised run."""
    from trueloop.recipes.sft import demonstrations, stages

    rows = demonstrations(config, task)
    yield from _schedule(config, policy, 1)
    yield schedule.passes(max(len(rows), 1), config.rows_per_step, config.loop.steps, config.epochs)
    yield schedule.batch(config.rows_per_step, 1, False)
    yield from _needs(config, policy, stages(config, "run"), out, frozen=False)


def _schedule(config: wiring.Common, policy: Policy, sync_every: int, *, watched: bool = True) -> Iterator[CheckResult]:
    loop, guard = config.loop, config.guard
    yield from resources.scheduling(config.optim, loop.steps, policy, scaling(policy))
    yield schedule.checkpoints(
        loop.steps, loop.checkpoint_every, sync_every, guard.every if guard is not None else None
    )
    stop = guard.stop if guard is not None else None
    if guard is not None or watched:
        yield schedule.guard(
            loop.steps,
            guard.every if guard is not None else None,
            stop.evaluations if stop is not None and stop.kind == "patience" else None,
            stop.value if stop is not None and stop.kind == "target" else None,
        )


def _needs(
    config: wiring.Common, policy: Policy, stages: list[estimate.Stage], out: Path, *, frozen: bool
) -> Iterator[CheckResult]:
    size = _size(policy)
    yield schedule.memory(estimate.memory(config, size, frozen=frozen), resources.device_memory(policy))
    yield schedule.disk(estimate.disk(config, size, stages, frozen=frozen), resources.free_disk(out))
    flop = sum(estimate.flops(config, size, stage, size.parameters) for stage in stages)
    yield schedule.time(flop, resources.speed(policy))
    sampled_tokens = sum(stage.sampled for stage in stages if stage.steps)
    yield schedule.retention(int(estimate.BYTES_PER_TOKEN * sampled_tokens), config.retention.rollout_bytes)


def _size(policy: Policy) -> Size:
    text = policy.base_model.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Size(
        parameters=sum(p.numel() for p in policy.model.parameters()),
        trained=sum(p.numel() for p in policy.trainable().values()),
        cache_per_token=2 * text.num_hidden_layers * int(heads) * int(width),
    )


def _keeps_copy(config: sampling.Common) -> bool:
    """Whether a frozen copy of what trains is kept beside it, as a reference or a teacher."""
    teacher = getattr(config, "teacher", None)
    return (getattr(config, "kl", None) is not None and config.adapter is None) or (
        teacher is not None and teacher.kind == "start"
    )
