"""The greedy probe: a few fixed problems that the sampler answers among the rollouts of a step, to be compared.

The probe is no rollout: nobody trains on it, scores it or counts it.  It travels in the requests of the step's first
wave, so it costs a few rows of a batch that is decoded anyway, and what is in the batch depends on the step alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trueloop.checks import served
from trueloop.records import CheckResult, Completion, Json, Problem, Request, Sample, Sampling
from trueloop.train.step import Trainer

TOKENS = 128
"""Most tokens of an answer: enough to compare, little to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer to a probe: log-probabilities at temperature 1, from the sampler and from the trainer."""

    id: str
    text: str
    tokens: tuple[int, ...]
    sampler: tuple[float, ...]
    trainer: tuple[float, ...]
    version: int

    def row(self) -> dict[str, Json]:
        """As it is stored."""
        return {
            "id": self.id,
            "text": self.text,
            "version": self.version,
            "tokens": list(self.tokens),
            "sampler": list(self.sampler),
            "trainer": list(self.trainer),
        }


class Probe:
    """Asks `problems` at every `every`-th step from the first.

    dtype  the less exact of the types that trainer and sampler compute in
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        every: int,
        encode: Callable[[Problem], tuple[int, ...]],
        sampling: Callable[[Problem], Sampling],
        dtype: str,
    ) -> None:
        self.every, self.dtype = every, dtype
        self._requests = {
            f"probe/{problem.id}": Request(
                id=f"probe/{problem.id}", prompt=encode(problem), sampling=_greedy(sampling(problem))
            )
            for problem in problems
        }
        self._asked: int | None = None
        self._answered: dict[str, Completion] = {}

    def requests(self, step: int) -> list[Request]:
        """What to ask in this step's sampling: all once where the step is due, else nothing."""
        if (step - 1) % self.every or self._asked == step:
            return []
        self._asked, self._answered = step, {}
        return list(self._requests.values())

    def take(self, request_id: str, completion: Completion) -> bool:
        """Keep an answer to a probe; whether it was one."""
        if request_id not in self._requests:
            return False
        if completion.finish in ("stop", "length") and completion.tokens:
            self._answered[request_id] = completion
        return True

    def measure(self, trainer: Trainer) -> list[Answer]:
        """The answers that came since it was last called, with what the trainer says of them now."""
        answered, self._answered = self._answered, {}
        samples = [self._sample(id, completion) for id, completion in answered.items()]
        said = trainer.logprobs(samples)
        return [
            Answer(
                id=id.removeprefix("probe/"),
                text=completion.text,
                tokens=completion.tokens,
                sampler=completion.logprobs,
                trainer=column[-len(completion.tokens) :],
                version=completion.version,
            )
            for (id, completion), column in sorted(zip(answered.items(), said, strict=True))
        ]

    def _sample(self, id: str, completion: Completion) -> Sample:
        prompt, n = self._requests[id].prompt, len(completion.tokens)
        mask = (False,) * len(prompt) + (True,) * n
        weights = tuple(map(float, mask))
        return Sample(id=id, tokens=prompt + completion.tokens, loss_mask=mask, weights=weights)


def compared(
    answers: Sequence[Answer], before: Sequence[Mapping[str, Json]], *, version: int, dtype: str
) -> list[CheckResult]:
    """What the answers tell against the trainer at `version`, and against the rows of the probe before."""
    fresh = [a for a in answers if a.version == version]
    gaps = [(abs(s - t), a.text) for a in fresh for s, t in zip(a.sampler, a.trainer, strict=True)]
    worst = max(gaps, default=(0.0, ""))[1]
    results = [served.probe_gap(gaps=[gap for gap, _ in gaps], dtype=dtype, text=worst)]
    if before:
        results.append(_followed(answers, {row["id"]: row for row in before}, dtype))
    return results


def _followed(answers: Sequence[Answer], before: Mapping[str, Mapping[str, Json]], dtype: str) -> CheckResult:
    trainer, sampler = [], []
    for answer in (a for a in answers if a.id in before):
        row = before[answer.id]
        same = _common(answer.tokens, row["tokens"])
        trainer += [abs(a - b) for a, b in zip(answer.trainer[:same], row["trainer"], strict=False)]
        sampler += [abs(a - b) for a, b in zip(answer.sampler[:same], row["sampler"], strict=False)]
    versions = [row["version"] for row in before.values()]
    return served.probe_follows(
        trainer=max(trainer, default=None),
        sampler=max(sampler, default=None),
        versions=(max(versions), min((a.version for a in answers), default=max(versions))),
        dtype=dtype,
    )


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _greedy(sampling: Sampling) -> Sampling:
    return Sampling(max_tokens=min(sampling.max_tokens, TOKENS), temperature=0.0, stop=sampling.stop)
