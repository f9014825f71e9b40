"""The first batch of completions: whether it is whole, drawn as asked, and worth training on."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trueloop.checks import sampled as whole
from trueloop.checks import sampling
from trueloop.checks.sampled import Decoded
from trueloop.checks.scaffold import frame, markers, next_problem
from trueloop.engines.sampling import truncate
from trueloop.formulas.logprobs import logprobs_from_logits
from trueloop.models import Policy
from trueloop.models.forward import packed_states, plain_rows
from trueloop.preflight.numerics.draws import beyond_truncation
from trueloop.preflight.numerics.sampler import engine_type
from trueloop.preflight.rehearsal import Rehearsal
from trueloop.records import CheckResult, Problem, Rollout, Sampling

ROWS, TOKENS = 64, 4096
"""Most completions, and about the most of their tokens, whose whole distributions are computed."""

REGRADED = 16
"""Most completions that are graded again, cut where they go on."""

RARE = 0.02

ROUGH = 0.1
"""What a half-precision sampler may make of a log-probability."""

LOGITS = 2**26
"""Most logits that are held at once: 256 MB of float32."""

SUSPICIOUS = 2.0
"""Standard errors beyond which temperatures are fitted, far within those at which a fit tells."""

TEMPERATURES = tuple(0.05 * 1.2**k for k in range(26))


async def sampled(rehearsal: Rehearsal) -> AsyncIterator[CheckResult]:
    """The checks of a sampled batch; nothing where nothing is sampled."""
    if not rehearsal.outcomes:
        return
    for result in _wholeness(rehearsal):
        yield result
    for result in _variety(rehearsal):
        yield result
    yield await _running_on(rehearsal)
    for result in _worth(rehearsal):
        yield result


def _wholeness(rehearsal: Rehearsal) -> Iterator[CheckResult]:
    through = [o for o in rehearsal.outcomes if o.failure is None and o.group.rollouts]
    rows = [_decoded(rehearsal.policy, r) for o in through for r in o.group.rollouts]
    problems = [o.ticket.problem for o in through]
    tasks = rehearsal.tasks
    yield whole.lost(
        len(rehearsal.outcomes),
        [o.failure for o in rehearsal.outcomes if o.failure and not o.filtered],
        [o.filtered for o in rehearsal.outcomes if o.filtered] + [r for r in rehearsal.unfit if r != "zero_variance"],
    )
    yield whole.groups_whole([o.group for o in through if not o.filtered], size=_group_size(rehearsal))
    yield whole.finished(
        rows,
        max_tokens={p.id: tasks[p.task].max_tokens for p in problems},
        context=getattr(rehearsal.policy.base_model.config, "max_position_embeddings", None),
    )
    yield whole.stops_in_force(rows, stops={p.id: tasks[p.task].stops for p in problems})
    yield whole.text_is_tokens(rows)
    yield whole.version([row.rollout.version for row in rows], rehearsal.trainer.version)


def _group_size(rehearsal: Rehearsal) -> int | None:
    flow = rehearsal.flow
    return flow.samples.n if flow is not None and flow.samples.kind == "fixed" else None


def _decoded(policy: Policy, rollout: Rollout) -> Decoded:
    tokens = [t for t, on in zip(rollout.tokens, rollout.loss_mask, strict=True) if on]
    return Decoded(
        rollout=rollout,
        text=str(policy.tokenizer.decode(tokens)),
        body=str(policy.tokenizer.decode(tokens[:-1])),
        ended=bool(tokens) and tokens[-1] in policy.end_ids,
        ends_inside=sum(t in policy.end_ids for t in tokens[:-1]),
    )


# -- how it was drawn


@dataclass(slots=True)
class Drawn:
    """Sums over drawn tokens under the asked distribution; see `checks.sampling.as_asked`.

    likelihood  log-likelihood of the tokens at each of `TEMPERATURES`, nothing truncated; empty where not fitted
    """

    surprise: float = 0.0
    entropy: float = 0.0
    variance: float = 0.0
    tokens: int = 0
    outside: int = 0
    rare: int = 0
    rare_expected: float = 0.0
    likelihood: tuple[float, ...] = ()

    @property
    def suspicious(self) -> bool:
        """Whether the tokens are so much likelier or unlikelier than expected that temperatures are worth fitting."""
        return abs(self.surprise - self.entropy) > SUSPICIOUS * self.variance**0.5

    @property
    def fitted(self) -> float | None:
        """The likeliest of `TEMPERATURES`; None where they were not fitted."""
        if not self.likelihood:
            return None
        return TEMPERATURES[max(range(len(TEMPERATURES)), key=lambda i: self.likelihood[i])]


def _variety(rehearsal: Rehearsal) -> Iterator[CheckResult]:
    rollouts, asked = rehearsal.rollouts, rehearsal.sampling
    yield sampling.distinct(
        [[(r.text, sum(_own(r))) for r in o.group.rollouts] for o in rehearsal.outcomes], learned=rehearsal.learned
    )
    chosen = _spread(rollouts)
    drawn, own = Drawn(), {}
    rounding = 0.0 if engine_type(rehearsal.engine) == "float32" else ROUGH
    if asked.temperature > 0:
        for rollout in chosen:
            own[rollout.id] = draw_again(rehearsal.policy, rollout, asked, drawn, rounding)
        if drawn.suspicious:
            drawn.likelihood = likelihoods(rehearsal.policy, chosen)
    plain = asked.top_k == 0 and asked.top_p == 1.0
    yield whole.logprobs_valid([(r, own.get(r.id)) for r in rollouts], truncated=not plain)
    if asked.temperature > 0:
        yield sampling.as_asked(
            drawn.surprise,
            drawn.entropy,
            drawn.variance,
            drawn.tokens,
            drawn.outside,
            fitted=drawn.fitted,
            rare=(drawn.rare, drawn.rare_expected),
            ratio=max(0.0, 2 * (max(drawn.likelihood) + drawn.surprise)) if plain and drawn.likelihood else 0.0,
        )


def _own(rollout: Rollout) -> list[float]:
    """The policy's log-probabilities of the sampled tokens."""
    return [x for x, on in zip(rollout.policy_logprobs, rollout.loss_mask, strict=True) if on]


def _spread(rollouts: Sequence[Rollout]) -> list[Rollout]:
    """Some of the rollouts, from all over the batch, at most `ROWS` with about `TOKENS` sampled tokens."""
    found = [r for r in rollouts if r.completion_length]
    lengths = sum(r.completion_length for r in found)
    every = max(1, -(-len(found) // ROWS), -(-lengths // TOKENS))
    return found[::every]


@torch.no_grad()
def draw_again(
    policy: Policy, rollout: Rollout, asked: Sampling, drawn: Drawn, rounding: float = 0.0
) -> tuple[float, ...]:
    """Add a rollout's tokens to the sums; returns the policy's log-probabilities of all its tokens, 0.0 for others.

    rounding  by how much a log-probability may differ between who drew and who looks
    """
    own: list[float] = []
    for logits_NV, ids_N in _logits(policy, rollout):
        own += _look(logits_NV, ids_N, asked, drawn, rounding).tolist()
    found = iter(own)
    return tuple(next(found) if on else 0.0 for on in rollout.loss_mask)


@torch.no_grad()
def likelihoods(policy: Policy, rollouts: Sequence[Rollout]) -> tuple[float, ...]:
    """Log-likelihood of the rollouts' tokens at each of `TEMPERATURES`, nothing truncated."""
    total = [0.0] * len(TEMPERATURES)
    for rollout in rollouts:
        for logits_NV, ids_N in _logits(policy, rollout):
            found = [float(_at(logits_NV / t, ids_N).double().sum()) for t in TEMPERATURES]
            total = [a + b for a, b in zip(total, found, strict=True)]
    return tuple(total)


def _logits(policy: Policy, rollout: Rollout) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits [N, V] that the rollout's tokens [N] were drawn from, no more than `LOGITS` of them at once."""
    rows = plain_rows([rollout.tokens]).to(policy.base_model.device)
    at = [t for t, on in enumerate(rollout.loss_mask) if on]
    ids_N = torch.tensor([rollout.tokens[t] for t in at], device=rows.ids_RS.device)
    packed, head = packed_states(policy.model, rows, torch.tensor(at, device=rows.ids_RS.device) - 1)
    size = max(1, LOGITS // policy.base_model.config.get_text_config().vocab_size)
    for states, ids in zip(packed.split(size), ids_N.split(size), strict=True):
        yield (states if head is None else head(states)).float(), ids


def _look(logits_NV: Tensor, ids_N: Tensor, asked: Sampling, drawn: Drawn, rounding: float) -> Tensor:
    """Add some tokens to the sums; the policy's log-probabilities of them, as asked but not truncated."""
    tempered_NV = logits_NV / asked.temperature
    top_k = torch.full((len(ids_N),), asked.top_k, device=ids_N.device)
    top_p = torch.full((len(ids_N),), asked.top_p, dtype=torch.float64, device=ids_N.device)
    kept_NV = truncate(tempered_NV, top_k, top_p).log_softmax(-1)
    p_NV, finite_NV = kept_NV.exp(), kept_NV.masked_fill(kept_NV.isinf(), 0.0)
    entropy_N = -(p_NV * finite_NV).sum(-1)
    variance_N = (p_NV * (finite_NV + entropy_N[:, None]) ** 2).sum(-1)
    surprise_N = -kept_NV.gather(-1, ids_N[:, None])[:, 0]
    inside_N = surprise_N.isfinite()
    drawn.surprise += float(surprise_N[inside_N].double().sum())
    drawn.entropy += float(entropy_N[inside_N].double().sum())
    drawn.variance += float(variance_N[inside_N].double().sum())
    drawn.tokens += int(inside_N.sum())
    drawn.outside += int((~inside_N & beyond_truncation(tempered_NV, ids_N, asked, rounding)).sum())
    drawn.rare += int((surprise_N[inside_N].neg().exp() < RARE).sum())
    drawn.rare_expected += float(p_NV[inside_N].masked_fill(p_NV[inside_N] >= RARE, 0.0).double().sum())
    return _at(tempered_NV, ids_N)


def _at(logits_NV: Tensor, ids_N: Tensor) -> Tensor:
    return logprobs_from_logits(logits_NV, ids_N, temperature=1.0).logp_N


# -- what it is worth


async def _running_on(rehearsal: Rehearsal) -> CheckResult:
    rollouts = rehearsal.rollouts
    problems = {o.ticket.problem.id: o.ticket.problem for o in rehearsal.outcomes}
    marks = {name: _marks([p for p in problems.values() if p.task == name]) for name in rehearsal.tasks}
    own = [(r, marks[problems[r.problem_id].task]) for r in rollouts]
    seen = [(r, at, marks) for r, marks in own if (at := next_problem(r.text, marks)) is not None]
    words = Counter(next(m for m in marks if r.text[at:].lstrip().startswith(m)) for r, at, marks in seen)
    found = [(r, at) for r, at, _ in seen]
    graded = [(r, at) for r, at in found if r.score is not None and r.score.reward is not None][:REGRADED]
    reward = None
    if graded and rehearsal.grade is not None:
        again = [await rehearsal.grade(problems[r.problem_id], r.text[:at]) for r, at in graded]
        cut = [s.reward for s in again if s.reward is not None]
        as_is = [r.score.reward for r, _ in graded if r.score is not None and r.score.reward is not None]
        reward = (statistics.fmean(as_is), statistics.fmean(cut)) if cut else None
    return sampling.runs_on(
        len(found),
        len(rollouts),
        marks=dict(words),
        reward=reward,
        example=found[0][0].text if found else "",
        learned=rehearsal.learned,
    )


def _marks(problems: Sequence[Problem]) -> tuple[str, ...]:
    """How a completion would open another problem of these."""
    return markers(frame([p.prompt for p in problems if isinstance(p.prompt, str)]).before)


def _worth(rehearsal: Rehearsal) -> Iterator[CheckResult]:
    rollouts, learned = rehearsal.rollouts, rehearsal.learned
    texts = [r.text for r in rollouts]
    cut = sum(r.finish == "length" for r in rollouts)
    limits = sorted({t.max_tokens for t in rehearsal.tasks.values()})
    yield sampling.cut_at_limit(cut, len(rollouts), max_tokens=limits, learned=learned)
    yield sampling.loops(texts, learned=learned)
    costs = [-statistics.fmean(own) for r in rollouts if (own := _own(r))]
    rows = rehearsal.policy.base_model.config.get_text_config().vocab_size
    yield sampling.coherent(costs, vocabulary=rows, learned=learned, examples=texts)
    yield from _lengths(rehearsal)
    scores = [r.score for r in rollouts if r.score is not None]
    if not scores:
        return
    yield sampling.reward_varies(
        [s.reward for s in scores], [s.status for s in scores], learned=learned, rewarded=rehearsal.rewarded
    )
    both = [(s.reward, s.passed) for s in scores if s.reward is not None and s.passed is not None]
    yield sampling.reward_follows_passes(both)
    yield sampling.pass_rate(sum(p for _, p in both), len(both), learned=learned)
    groups = [[r.score.reward for r in o.group.rollouts if r.score is not None and r.score.reward is not None]
              for o in rehearsal.outcomes]  # fmt: skip
    if any(len(g) > 1 for g in groups):
        per_step = rehearsal.flow.problems_per_step if rehearsal.flow is not None else len(groups)
        yield sampling.signal([g for g in groups if g], per_step=per_step, learned=learned)


def _lengths(rehearsal: Rehearsal) -> Iterator[CheckResult]:
    """Of each task's completions, against its own good answers."""
    encode = rehearsal.policy.tokenizer.encode
    for name in rehearsal.tasks:
        rollouts = [r for o in rehearsal.outcomes if o.ticket.problem.task == name for r in o.group.rollouts]
        known = [d for d in rehearsal.demonstrations if d.problem.task == name]
        if rollouts:
            yield sampling.length(
                [r.completion_length for r in rollouts],
                sum(not r.text.strip() for r in rollouts),
                [len(encode(d.completion)) for d in known[:ROWS]],
                learned=rehearsal.learned,
            )
