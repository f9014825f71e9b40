"""Prompts as the model reads them: what the task says, what the sampler is given, and what of it is trained."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import cast

from trueloop.chat import (
    Template,
    Tokenizer,
    describe,
    encode_completion,
    encode_prompt,
    has_chat_template,
    template_hash,
)
from trueloop.checks import prompt as checks
from trueloop.checks import prompt_tokens as tokens
from trueloop.checks.prompt import Asked, Fit, Format
from trueloop.checks.prompt_tokens import Spelled, TrainedRow
from trueloop.checks.scaffold import Frame, frame
from trueloop.errors import DataError
from trueloop.models import Policy
from trueloop.preflight.rehearsal import Rehearsal
from trueloop.records import CheckResult, Message, Problem, Prompt, Request, Rollout, Sample
from trueloop.tasks.base import Demonstration, Task

READ = 32
"""Problems of a split whose prompts are looked at."""

COMPARED, WORDS = 8, 48
"""Problems that are asked in a second format, and tokens of each answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """How the guard asks: the split, and the limits and stops of its completions."""

    split: str
    stops: tuple[str, ...]
    max_tokens: int
    shots: int = 0


def formats(
    task: Task, split: str, policy: Policy, *, shots: int = 0, guard: Evaluated | None = None
) -> Iterator[CheckResult]:
    """What can be asked of prompts, answers and stops before anything is sampled."""
    tokenizer = cast(Tokenizer, policy.tokenizer)
    problems = _some(task.problems(split))
    answers = _answers(task, split, problems)
    prompts = [task.prompt(p, task.few_shot(shots, exclude=p.id)) for p in problems]
    if guard is not None:
        own = _format(
            task, problems, tokenizer, Evaluated(split=split, stops=task.stops, max_tokens=task.max_tokens, shots=shots)
        )
        yield checks.same_in_evaluation(own, _format(task, _some(task.problems(guard.split)), tokenizer, guard))
    texts = [("prompt", _text(p)) for p in prompts] + [("answer", a) for a in answers.values()]
    yield tokens.tokens_round_trip([_spelled(tokenizer, kind, text) for kind, text in texts])
    yield tokens.stops_spare_answers(list(answers.values()), task.stops)
    if task.stops:
        yield tokens.stops_can_occur([_spelled(tokenizer, "stop", s) for s in task.stops])
    joined = [(p, answers[q.id]) for q, p in zip(problems, prompts, strict=True) if q.id in answers]
    if joined:
        moved = [_moves(tokenizer, p, a, task.template) for p, a in joined]
        yield tokens.ends_where_answers_begin(moved, example=repr(_text(prompts[0])[-12:]))


async def prompting(rehearsal: Rehearsal) -> AsyncIterator[CheckResult]:
    """What can be asked of a first batch: what was read, in which format, and what is trained of it."""
    tokenizer, tasks = cast(Tokenizer, rehearsal.policy.tokenizer), rehearsal.tasks
    prompts = _prompts(rehearsal)
    taught = _taught(rehearsal, tokenizer)
    read = [(p, prompts[p.id], _prompt_ids(r)) for p, r in _firsts(rehearsal)]
    read += [(d.problem, tasks[d.problem.task].prompt(d.problem), list(before)) for d, before, _ in taught]
    around = {name: frame([_content(p.prompt) for p, _, _ in read if p.task == name]) for name in tasks}
    asked = [_asked(tokenizer, p, said, ids, around[p.task], tasks[p.task].template) for p, said, ids in read]
    yield checks.holds_the_problem(asked)
    yield checks.as_the_task_says(asked)
    yield checks.template_applied_once(asked, shots=rehearsal.shots)
    for template in _templates(rehearsal):
        token, expected = _beginning(tokenizer, template)
        counts = [_beginnings(tokenizer, ids) for p, _, ids in read if tasks[p.task].template == template]
        yield tokens.begins_once(counts, token=token, expected=expected)
        if (result := await _fit(rehearsal, template, tokenizer, prompts)) is not None:
            yield result
    if taught:
        yield tokens.demonstrations_are_whole([_answered(tokenizer, *row) for row in taught])
    trained = _trained(rehearsal, tokenizer)
    yield tokens.loss_mask_is_the_completion(trained)
    facts = describe(tokenizer, rehearsal.policy.end_ids)
    yield tokens.end_token_is_trained(trained, end_is_pad=bool(facts.end_is_pad))
    for template, stops in dict.fromkeys((t.template, t.stops) for t in tasks.values()):
        yield _ending(rehearsal, template, stops, tokenizer)


# -- texts


def _some(problems: Sequence[Problem]) -> list[Problem]:
    """A few problems from all over a split."""
    return list(problems[:: max(1, len(problems) // READ)][:READ])


def _text(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(f"{m.role}: {m.content}" for m in prompt)


def _content(prompt: Prompt) -> str:
    """The problem's own words: the text, or the last message."""
    return (prompt if isinstance(prompt, str) else prompt[-1].content).strip()


def _answers(task: Task, split: str, problems: Sequence[Problem]) -> dict[str, str]:
    """Known good answers by problem id: demonstrations, else targets that are texts."""
    ids = {p.id for p in problems}
    found = {d.problem.id: d.completion for d in task.demonstrations(split) if d.problem.id in ids}
    return found or {p.id: p.target for p in problems if isinstance(p.target, str) and p.target}


def _format(task: Task, problems: Sequence[Problem], tokenizer: Tokenizer, how: Evaluated) -> Format:
    prompts = tuple(_text(task.prompt(p)) for p in problems)
    around = frame(prompts)
    return Format(
        template=task.template,
        template_hash=template_hash(tokenizer, task.template),
        stops=how.stops,
        max_tokens=how.max_tokens,
        shots=how.shots,
        before=around.before,
        after=around.after,
        prompts=prompts,
    )


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def _spelled(tokenizer: Tokenizer, kind: str, text: str) -> Spelled:
    ids = _encode(tokenizer, text)
    unknown = getattr(tokenizer, "unk_token_id", None)
    lost = sum(i == unknown for i in ids) if unknown is not None and unknown != tokenizer.eos_token_id else 0
    return Spelled(kind=kind, before=text, after=str(tokenizer.decode(ids)), unknown=lost)


def _moves(tokenizer: Tokenizer, prompt: Prompt, answer: str, template: Template) -> bool:
    """Whether the tokens of a prompt are others once the answer follows."""
    text = _rendered(tokenizer, prompt, template)
    apart = _encode(tokenizer, text)
    return _encode(tokenizer, text + answer)[: len(apart)] != apart


def _rendered(tokenizer: Tokenizer, prompt: Prompt, template: Template) -> str:
    """A prompt as text, made here and not where the run makes it, so that the two can be compared."""
    if template == "none":
        return _text(prompt)
    turns = (Message(role="user", content=prompt),) if isinstance(prompt, str) else prompt
    messages = [{"role": m.role, "content": m.content} for m in turns]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _beginnings(tokenizer: Tokenizer, ids: Sequence[int]) -> int:
    """Beginning tokens at the start."""
    return next((k for k, i in enumerate(ids) if i != tokenizer.bos_token_id), len(ids))


def _beginning(tokenizer: Tokenizer, template: Template) -> tuple[str | None, bool]:
    """The beginning token, and whether tokenizer or template write it by themselves."""
    if tokenizer.bos_token_id is None:
        return None, False
    token = str(tokenizer.decode([tokenizer.bos_token_id]))
    written = template == "chat" and _rendered(tokenizer, "?", "chat").startswith(token)
    return token, written or (template == "none" and describe(tokenizer).adds_bos)


# -- what was read


def _templates(rehearsal: Rehearsal) -> list[Template]:
    """Those of the run's tasks."""
    return list(dict.fromkeys(t.template for t in rehearsal.tasks.values()))


def _prompts(rehearsal: Rehearsal) -> dict[str, Prompt]:
    """What the task says, by problem id."""
    problems = [o.ticket.problem for o in rehearsal.outcomes]
    say = rehearsal.prompt or (lambda p: rehearsal.tasks[p.task].prompt(p))
    return {p.id: say(p) for p in problems}


def _firsts(rehearsal: Rehearsal) -> list[tuple[Problem, Rollout]]:
    """The first rollout of each problem."""
    return [(o.ticket.problem, o.group.rollouts[0]) for o in rehearsal.outcomes if o.group.rollouts]


def _prompt_ids(rollout: Rollout | Sample) -> list[int]:
    """The tokens before the first that is trained."""
    mask = rollout.loss_mask
    return list(rollout.tokens[: mask.index(True) if True in mask else len(mask)])


def _asked(
    tokenizer: Tokenizer, problem: Problem, prompt: Prompt, ids: list[int], around: Frame, template: Template
) -> Asked:
    said = _encode(tokenizer, _rendered(tokenizer, prompt, template))
    shown, said = (list(x[_beginnings(tokenizer, x) :]) for x in (ids, said))
    whole = _content(problem.prompt)
    return Asked(
        shown=str(tokenizer.decode(shown)),
        said=str(tokenizer.decode(said)),
        content=whole.removeprefix(around.before.strip()).removesuffix(around.after.strip()).strip() or whole,
        message=_content(prompt),
        template=template,
    )


# -- in which format


async def _fit(
    rehearsal: Rehearsal, template: Template, tokenizer: Tokenizer, prompts: Mapping[str, Prompt]
) -> CheckResult | None:
    """How the model does with the problems that are asked in this format, and with the same in the other one; None
    where there is no other."""
    if not has_chat_template(tokenizer) or not rehearsal.outcomes:
        return None
    tasks = rehearsal.tasks
    problems = [(p, r) for p, r in _firsts(rehearsal) if tasks[p.task].template == template][:COMPARED]
    other: Template = "none" if template == "chat" else "chat"
    try:
        second = [
            encode_prompt(tokenizer, _text(prompts[p.id]) if other == "none" else prompts[p.id], other)
            for p, _ in problems
        ]
    except DataError:
        return None
    first = [tuple(_prompt_ids(r)) for _, r in problems]
    good = {d.problem.id: d.completion for d in rehearsal.demonstrations}
    answers = {k: _encode(tokenizer, good[p.id]) for k, (p, _) in enumerate(problems) if p.id in good}
    drawing = [tasks[p.task].sampling() for p, _ in problems]
    limits = [min(WORDS, how.max_tokens) for how in drawing]
    groups = {o.ticket.problem.id: o.group.rollouts for o in rehearsal.outcomes}
    own = [
        [_cost(r, limit) for r in groups[p.id] if r.completion_length]
        for (p, _), limit in zip(problems, limits, strict=True)
    ]
    used = Fit(reference=await _costs(rehearsal, first, answers), own=tuple(fmean(costs) for costs in own if costs))
    stops = [how.stop for how in drawing]
    drawn = await _written(rehearsal, second, limits, stops) if rehearsal.learned else ()
    against = Fit(reference=await _costs(rehearsal, second, answers), own=drawn)
    if template == "chat":
        return checks.chat_template_on_base_model(used, against, learned=rehearsal.learned)
    return checks.raw_text_on_chat_model(used, against, learned=rehearsal.learned)


def _cost(rollout: Rollout, limit: int) -> float:
    """Nats per token of the first tokens of a completion, under the policy that wrote them."""
    return -fmean([x for x, on in zip(rollout.policy_logprobs, rollout.loss_mask, strict=True) if on][:limit])


async def _costs(
    rehearsal: Rehearsal, prompts: Sequence[tuple[int, ...]], answers: Mapping[int, Sequence[int]]
) -> tuple[float, ...]:
    """Nats per token of the known good answers after these prompts."""
    rows = [(prompts[k], tuple(a)) for k, a in answers.items() if a]
    if not rows:
        return ()
    found = await rehearsal.engine.logprobs([p + a for p, a in rows])
    return tuple(-sum(logp[len(p) :]) / len(a) for (p, a), logp in zip(rows, found, strict=True))


async def _written(
    rehearsal: Rehearsal, prompts: Sequence[tuple[int, ...]], limits: Sequence[int], stops: Sequence[tuple[str, ...]]
) -> tuple[float, ...]:
    """Nats per token of what the model writes after each prompt, twice, up to its limit and stops."""
    requests = [
        Request(
            id=f"{k}/{n}",
            prompt=ids,
            sampling=replace(rehearsal.sampling, max_tokens=limits[k], stop=stops[k], seed=2 * k + n),
        )
        for k, ids in enumerate(prompts)
        for n in range(2)
    ]
    found: dict[int, list[float]] = {}
    async for name, c in rehearsal.engine.generate(requests):
        if c.tokens:
            found.setdefault(int(name.split("/")[0]), []).append(-fmean(c.policy_logprobs))
    return tuple(fmean(sorted(found[k])) for k in sorted(found))


# -- what is trained


def _samples(rehearsal: Rehearsal) -> Iterator[Sample]:
    """The rows of a step, pairs left out."""
    for stream in [*rehearsal.streams, *rehearsal.beside]:
        yield from (s for s in stream.samples if isinstance(s, Sample))


def _taught(rehearsal: Rehearsal, tokenizer: Tokenizer) -> list[tuple[Demonstration, tuple[int, ...], tuple[int, ...]]]:
    """The demonstrations of a step with the tokens of prompt and answer, by the length that the answer should have."""
    known = {d.problem.id: d for d in rehearsal.demonstrations}
    rows = []
    for sample in _samples(rehearsal):
        if (d := known.get(sample.id)) is not None:
            first = len(sample.tokens) - _answer_length(tokenizer, d, rehearsal.policy.end_ids)
            rows.append((d, sample.tokens[:first], sample.tokens[first:]))
    return rows


def _answered(
    tokenizer: Tokenizer, demonstration: Demonstration, before: Sequence[int], after: Sequence[int]
) -> tuple[str, str]:
    said = _encode(tokenizer, demonstration.completion)
    return str(tokenizer.decode(said)), str(tokenizer.decode(list(after)[: len(said)]))


def _trained(rehearsal: Rehearsal, tokenizer: Tokenizer) -> list[TrainedRow]:
    """Each row of the step beside what it should be, by its id: a rollout, or a demonstration."""
    rollouts = {r.id: r for r in rehearsal.rollouts}
    taught = {d.problem.id: d for d in rehearsal.demonstrations}
    ends = rehearsal.policy.end_ids
    rows = []
    for sample in _samples(rehearsal):
        if sample.id in rollouts:
            rows.append(_row(sample, rollouts[sample.id].completion_length, rollouts[sample.id], ends))
        elif sample.id in taught:
            rows.append(_row(sample, _answer_length(tokenizer, taught[sample.id], ends), None, ends))
    return rows


def _answer_length(tokenizer: Tokenizer, demonstration: Demonstration, ends: Sequence[int]) -> int:
    """Tokens of a demonstration's answer, one end token included."""
    return len(encode_completion(tokenizer, demonstration.completion, ends[0])) if ends else 0


def _row(sample: Sample, answer: int, rollout: Rollout | None, ends: Sequence[int]) -> TrainedRow:
    """answer: how many tokens at the end of the sample the model or the demonstration wrote."""
    n = len(sample.tokens)
    first = n - answer
    trained = [
        on and (w != 0 or not any(sample.weights)) for on, w in zip(sample.loss_mask, sample.weights, strict=True)
    ]
    by_token = sample.tokens[-1] in ends
    finished_so = rollout is None or (rollout.finish == "stop" and by_token)
    return TrainedRow(
        id=sample.id,
        prompt=sum(sample.loss_mask[:first]),
        missed=answer - sum(sample.loss_mask[first:]),
        ends=by_token if finished_so else None,
        end_trained=trained[-1] if by_token and finished_so else None,
    )


def _ending(rehearsal: Rehearsal, template: Template, stops: Sequence[str], tokenizer: Tokenizer) -> CheckResult:
    """What the sampler stops on, against what has to stop it in a task of this template and these stop strings."""
    stops_on = getattr(rehearsal.engine, "end_ids", rehearsal.policy.end_ids)
    facts = describe(tokenizer, stops_on)
    must = []
    if tokenizer.eos_token_id is not None:
        must.append(("the tokenizer's end", str(tokenizer.decode([tokenizer.eos_token_id]))))
    if template == "chat" and facts.turn_end is not None:
        must.append(("the template's end of turn", facts.turn_end))
    taught = {d.problem.id for d in rehearsal.demonstrations}
    last = {s.tokens[-1] for s in _samples(rehearsal) if s.id in taught and s.loss_mask[-1]}
    must += [("the demonstrations' end", str(tokenizer.decode([i]))) for i in sorted(last)]
    return tokens.sampler_stops_on_end([str(tokenizer.decode([i])) for i in stops_on], must, stops)
