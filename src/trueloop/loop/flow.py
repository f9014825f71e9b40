"""How rollouts flow into optimizer steps, and which settings cannot starve.

A *ticket* is one problem in one epoch, to be turned into a group.  Versions count optimizer steps.  A group that was
sampled by weights of version v may be used in an optimizer step of a trainer at version u if u - v <= max_staleness.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trueloop.config import Config
from trueloop.errors import ConfigError


class Fixed(Config):
    """The same number of completions for every problem."""

    kind: Literal["fixed"] = "fixed"
    n: Annotated[int, Field(ge=1)]


class Adaptive(Config):
    """Sample in chunks until there are enough successes and failures (`passed`), or `max_samples` are drawn.

    The stopping rule looks at outcomes, so a group's mean reward is a biased estimate of the problem's pass rate:
    pulled towards successes / (successes + failures).  Hard and easy problems get larger groups, and losses that
    average over responses weigh them more.  Never read pass rates from such groups.
    """

    kind: Literal["adaptive"] = "adaptive"
    successes: Annotated[int, Field(ge=0)]
    failures: Annotated[int, Field(ge=0)]
    chunk: Annotated[int, Field(ge=1)]
    max_samples: Annotated[int, Field(ge=1)]


Samples = Annotated[Fixed | Adaptive, Field(discriminator="kind")]


class Flow(Config):
    """How problems become the groups of an optimizer step.

    max_staleness          0 is synchronous: every group is sampled by the weights that it updates
    sync_every             optimizer steps between weight transfers to the engine
    max_reads              optimizer steps that may use one group (above 1 needs staleness)
    max_attempts           how often a problem is tried in an epoch before it counts as lost
    max_lost               share of problems_per_step that may be lost within a step before the run stops
    drop_zero_variance     replace groups in which all rewards agree by further problems (DAPO's dynamic sampling)
    max_prompt_tokens      problems with a longer prompt are not asked
    max_completion_tokens  groups with a longer completion are not used
    max_filtered           groups filtered in a row within a step, in multiples of problems_per_step, before the run
                           stops
    """

    problems_per_step: Annotated[int, Field(ge=1)]
    samples: Samples
    max_staleness: Annotated[int, Field(ge=0)] = 0
    sync_every: Annotated[int, Field(ge=1)] = 1
    max_reads: Annotated[int, Field(ge=1)] = 1
    max_attempts: Annotated[int, Field(ge=1)] = 3
    max_lost: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_filtered: Annotated[int, Field(ge=1)] = 20
    drop_zero_variance: bool = False
    max_prompt_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None

    @property
    def capacity(self) -> int:
        """Groups that may be open at once: in flight, buffered, or held for the step being filled."""
        return self.problems_per_step * (self.max_staleness + 1)


def samples_per_problem(samples: Samples) -> int:
    """The most completions that one problem can ask for."""
    return samples.n if samples.kind == "fixed" else samples.max_samples


def check_flow(flow: Flow) -> None:
    """Refuse a schedule that can starve: one in which fresh groups are too old to use, or can never be filled.

    Right before a weight transfer the trainer is `sync_every - 1` steps ahead of the sampler, so a group that was
    sampled that moment has this staleness; if it is not allowed, the trainer waits for ever.  A group read in
    `max_reads` consecutive steps is `max_reads - 1` steps old at its last use.
    """
    problems = []
    if flow.max_staleness < flow.sync_every - 1:
        problems.append(
            f"flow.sync_every = {flow.sync_every} makes fresh groups {flow.sync_every - 1} steps old, but "
            f"flow.max_staleness = {flow.max_staleness} evicts them: the trainer would wait for ever; "
            f"set flow.max_staleness >= {flow.sync_every - 1} or flow.sync_every <= {flow.max_staleness + 1}"
        )
    if flow.max_reads > flow.max_staleness + 1:
        problems.append(
            f"flow.max_reads = {flow.max_reads} needs groups that are {flow.max_reads - 1} steps old, but "
            f"flow.max_staleness = {flow.max_staleness}; set flow.max_staleness >= {flow.max_reads - 1}"
        )
    samples = flow.samples
    if samples.kind == "adaptive" and samples.successes + samples.failures > samples.max_samples:
        problems.append(
            f"flow.samples asks for {samples.successes} successes and {samples.failures} failures out of at most "
            f"{samples.max_samples} samples; raise max_samples"
        )
    if samples.kind == "adaptive" and samples.successes + samples.failures == 0:
        problems.append("flow.samples asks for no success and no failure, so nothing would be sampled; ask for some")
    if flow.drop_zero_variance and samples_per_problem(samples) == 1:
        problems.append(
            "flow.drop_zero_variance drops every group of one sample, so no step could be filled; "
            "set flow.samples.n >= 2 or flow.drop_zero_variance = false"
        )
    if problems:
        raise ConfigError("\n".join(problems))
