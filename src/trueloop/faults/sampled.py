"""Faults of sampling: what comes back is not what was asked for, or nothing can be learned from it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from trueloop.faults import seams
from trueloop.faults.base import Fault
from trueloop.faults.between import answering, answering_together, asking
from trueloop.models import Policy
from trueloop.records import Completion, Json, Request, Score
from trueloop.tasks.base import Task
from trueloop.verify.base import Verifier


def draws(**changes: Any) -> Any:
    """The engine draws otherwise than it is asked to."""
    return asking(lambda request: replace(request, sampling=replace(request.sampling, **changes)))


def _two_seeds(request: Request) -> Request:
    return replace(request, sampling=replace(request.sampling, seed=zlib.crc32(request.id.encode()) % 2))


def _half(completion: Completion) -> Completion:
    """The first half of a completion, that was aborted there and says nothing of it."""
    n = max(1, len(completion.tokens) // 2)
    return replace(
        completion,
        tokens=completion.tokens[:n],
        logprobs=completion.logprobs[:n],
        policy_logprobs=completion.policy_logprobs[:n],
        text=completion.text[: n - 1],
        finish="length",
        stop=None,
    )


def _neighbours_text(requests: Sequence[Request], found: dict[str, Completion]) -> dict[str, Completion]:
    names = [r.id for r in requests]
    return {a: replace(found[a], text=found[b].text) for a, b in zip(names, [*names[1:], names[0]], strict=True)}


def _neighbours(requests: Sequence[Request], found: dict[str, Completion]) -> dict[str, Completion]:
    names = [r.id for r in requests]
    shift = len(names) // 2
    return {a: found[b] for a, b in zip(names, [*names[shift:], *names[:shift]], strict=True)}


def _every_other_aborted(requests: Sequence[Request], found: dict[str, Completion]) -> dict[str, Completion]:
    problems = list(dict.fromkeys(r.id.rsplit("/", 1)[0] for r in requests))
    odd = set(problems[::2])
    return {
        name: replace(c, finish="abort", stop=None) if name.rsplit("/", 1)[0] in odd else c for name, c in found.items()
    }


def _without_attention(policy: Policy) -> None:
    with torch.no_grad():
        for name, p in policy.base_model.named_parameters():
            if "o_proj" in name:
                p.zero_()


@dataclass(frozen=True, slots=True, kw_only=True)
class Negated(Verifier):
    """What passes earns nothing, what does not earns one."""

    of: Verifier

    def __call__(self, target: Json, text: str, leniency: float = 0.0) -> Score:
        """See `Verifier`."""
        score = self.of(target, text, leniency)
        return score if score.reward is None else replace(score, reward=1.0 - float(bool(score.passed)))

    quick = __call__


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscorable(Verifier):
    """It finds nothing to judge."""

    of: Verifier

    def __call__(self, target: Json, text: str, leniency: float = 0.0) -> Score:
        """See `Verifier`."""
        return Score(status="unscorable", why="no key 'answer'")

    quick = __call__


def _stops(*stops: str) -> Any:
    def change(task: Task) -> None:
        task.stops = stops

    return seams.task(change)


FAULTS = (
    Fault(
        id="fixed_seed",
        mechanism="identical completions",
        what="every request has the same seed",
        caught_by=("sampling.distinct",),
        recorded=("rlvr 32",),
        plant=lambda: draws(seed=1),
    ),
    Fault(
        id="two_seeds_for_all",
        mechanism="identical completions",
        what="a server hands out two seeds in turn",
        caught_by=("sampling.distinct",),
        recorded=("rlvr 32",),
        plant=lambda: asking(_two_seeds),
    ),
    Fault(
        id="temperature_near_zero",
        mechanism="identical completions",
        what="the temperature is 0.001",
        caught_by=("sampling.distinct",),
        recorded=("trl 6",),
        overrides=("draw.temperature=0.001",),
    ),
    Fault(
        id="sampler_colder_than_asked",
        mechanism="another distribution",
        what="the sampler draws at temperature 0.6 where 1 was asked for",
        caught_by=("sampling.as_asked",),
        recorded=("rlvr 1",),
        plant=lambda: draws(temperature=0.6),
    ),
    Fault(
        id="sampler_hotter_than_asked",
        mechanism="another distribution",
        what="the sampler draws at temperature 1.3 where 0.7 was asked for",
        caught_by=("sampling.as_asked",),
        overrides=("draw.temperature=0.7",),
        plant=lambda: draws(temperature=1.3),
    ),
    Fault(
        id="sampler_with_top_k_of_its_own",
        mechanism="another distribution",
        what="the sampler's defaults truncate to three tokens",
        caught_by=("sampling.as_asked", "numerics.draws_are_claimed"),
        recorded=("trl 7", "rlvr 11"),
        plant=lambda: draws(top_k=3),
    ),
    Fault(
        id="top_p_is_ignored",
        mechanism="another distribution",
        what="top-p was asked for and is not in force",
        caught_by=("sampling.as_asked",),
        overrides=("draw.top_p=0.8",),
        plant=lambda: draws(top_p=1.0),
    ),
    Fault(
        id="completions_of_another_prompt",
        mechanism="rollouts mixed up",
        what="completions come back in another order than they were asked for",
        caught_by=("sampling.as_asked",),
        plant=lambda: answering_together(_neighbours),
    ),
    Fault(
        id="limit_cuts_every_completion",
        mechanism="cut at the limit",
        what="max_tokens is shorter than any answer",
        caught_by=("sampling.cut_at_limit",),
        recorded=("trl 9", "rlvr 92"),
        overrides=("tasks.parts=[{task={kind='arithmetic', max_tokens=8}}]",),
    ),
    Fault(
        id="engine_limit_below_the_task",
        mechanism="cut at the limit",
        what="the engine has a limit of its own, below the task's",
        caught_by=("sampling.finished", "sampling.cut_at_limit"),
        recorded=("rlvr 92",),
        plant=lambda: draws(max_tokens=24),
    ),
    Fault(
        id="aborted_counts_as_finished",
        mechanism="unfinished completions",
        what="generations are aborted half way and handed on as finished",
        caught_by=("sampling.finished",),
        recorded=("rlvr 28",),
        plant=lambda: answering(_half),
    ),
    Fault(
        id="half_of_the_requests_fail",
        mechanism="lost problems",
        what="every other problem is aborted by the server",
        caught_by=("sampling.lost",),
        recorded=("rlvr 68", "belief 15"),
        plant=lambda: answering_together(_every_other_aborted),
    ),
    Fault(
        id="stop_misses_the_next_problem",
        mechanism="runs on",
        what="the stop is `Question:` where the prompt says `Q:`",
        caught_by=("sampling.runs_on",),
        recorded=("rlvr 36", "rlvr 40", "rlvr 94"),
        bed="rambling",
        plant=lambda: _stops("Question:"),
    ),
    Fault(
        id="engine_drops_the_stops",
        mechanism="runs on",
        what="the sampler is not given the task's stops",
        caught_by=("sampling.stops_in_force", "sampling.runs_on"),
        recorded=("rlvr 37",),
        bed="rambling",
        plant=lambda: draws(stop=()),
    ),
    Fault(
        id="text_of_another_rollout",
        mechanism="text is not the tokens",
        what="texts are shifted by one against their tokens",
        caught_by=("sampling.text_is_tokens",),
        plant=lambda: answering_together(_neighbours_text),
    ),
    Fault(
        id="text_loses_its_first_character",
        mechanism="text is not the tokens",
        what="the text is cut at the prompt's length in characters, one too late",
        caught_by=("sampling.text_is_tokens",),
        plant=lambda: answering(lambda c: replace(c, text=c.text[1:])),
    ),
    Fault(
        id="logprobs_are_placeholders",
        mechanism="invented log-probabilities",
        what="log-probabilities that the server did not send are 0",
        caught_by=("sampling.logprobs_valid",),
        recorded=("rlvr 3", "rlvr 27"),
        plant=lambda: answering(lambda c: replace(c, policy_logprobs=(0.0,) * len(c.tokens))),
    ),
    Fault(
        id="logprobs_are_minus_100",
        mechanism="invented log-probabilities",
        what="log-probabilities that the server did not send are -100",
        caught_by=("sampling.logprobs_valid",),
        recorded=("rlvr 27",),
        plant=lambda: answering(lambda c: replace(c, logprobs=(-100.0, *c.logprobs[1:]))),
    ),
    Fault(
        id="completions_of_old_weights",
        mechanism="stale weights",
        what="the sampler answers from a cache of an older version",
        caught_by=("sampling.version",),
        plant=lambda: answering(lambda c: replace(c, version=c.version - 1)),
    ),
    Fault(
        id="random_weights",
        mechanism="garbage",
        what="the checkpoint is not loaded, the weights are random",
        caught_by=("sampling.coherent",),
        recorded=("rlvr 12", "rlvr 13"),
        overrides=("model={kind='tiny'}",),
    ),
    Fault(
        id="attention_contributes_nothing",
        mechanism="garbage",
        what="a converted checkpoint lost its attention outputs",
        caught_by=("sampling.coherent", "sampling.loops", "sampling.cut_at_limit", "sampling.reward_varies"),
        recorded=("preference 33",),
        plant=lambda: seams.policy(_without_attention),
    ),
    Fault(
        id="problems_far_too_hard",
        mechanism="no signal",
        what="no completion of any problem is right",
        caught_by=("sampling.reward_varies", "sampling.signal", "sampling.pass_rate"),
        recorded=("rlvr 69", "hacking 5", "hacking 9"),
        overrides=("tasks.parts=[{task={kind='arithmetic', lowest=900, highest=989}}]",),
    ),
    Fault(
        id="nothing_can_be_scored",
        mechanism="no reward",
        what="the verifier finds no row that it can judge",
        caught_by=("sampling.reward_varies",),
        recorded=("trl 11a", "rlvr 57"),
        plant=lambda: seams.verifier(lambda v: Unscorable(of=v)),
    ),
    Fault(
        id="reward_of_the_wrong_answers",
        mechanism="reward has the wrong sign",
        what="wrong answers earn what right ones should",
        caught_by=("sampling.reward_follows_passes", "task.gold_scores"),
        plant=lambda: seams.verifier(lambda v: Negated(of=v)),
    ),
)
