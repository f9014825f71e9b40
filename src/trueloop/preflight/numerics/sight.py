"""The distributions that the policy gives at the tokens of a few real rows, and what another scorer would say of them.

N tokens looked at, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import Tensor

from trueloop.checks.numerics.cause import FLOAT32, gap
from trueloop.engines.sampling import truncate
from trueloop.models import Policy
from trueloop.models.lora import adapter_off
from trueloop.models.samples import sample_logprobs
from trueloop.records import Sample

LOGITS = 2**24
"""Most logits kept at once."""
TOKENS = 4096
"""Most tokens looked at."""
TEMPERATURES = tuple(2.0 ** (k / 4) for k in range(-16, 17))
TOP_K = (1, 2, 3, 5, 8, 10, 16, 20, 32, 40, 50, 64, 100)
TOP_P = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
MIN_P = (0.01, 0.02, 0.05, 0.1, 0.2)
PENALTIES = (1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 1.8, 2.0, 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A few rows, cut where too many tokens would be looked at.

    samples    the rows as they are scored; only trained tokens count
    logits_NV  of the policy's own forward, at temperature 1, at every trained token in turn
    ids_N      these tokens
    """

    policy: Policy
    samples: Sequence[Sample]
    temperature: float
    logits_NV: Tensor
    ids_N: Tensor

    @classmethod
    def of(cls, policy: Policy, samples: Sequence[Sample], temperature: float) -> Sight:
        """Look at the first tokens of each of the rows."""
        vocabulary = policy.base_model.config.get_text_config().vocab_size
        budget = max(16, min(TOKENS, LOGITS // vocabulary))
        depth = max(16, budget // max(len(samples), 1))
        rows = [cut(sample, depth) for sample in samples][: max(1, budget // depth)]
        ids = [t for s in rows for t, on in zip(s.tokens, s.loss_mask, strict=True) if on]
        logits_NV = own_logits(policy, rows)
        return cls(
            policy=policy,
            samples=rows,
            temperature=temperature,
            logits_NV=logits_NV,
            ids_N=torch.tensor(ids, device=logits_NV.device),
        )

    def scored(self, logits_NV: Tensor) -> list[float]:
        """Log-probabilities of the tokens under these logits."""
        return picked(logits_NV.log_softmax(-1), self.ids_N)

    def plain(self) -> list[float]:
        """Log-probabilities of the tokens at the temperature."""
        return self.scored(self.logits_NV / self.temperature)

    def of_rows(self, values: Sequence[Sequence[float]]) -> list[float]:
        """Of values per row and token: those of the tokens that are looked at, in turn."""
        rows = zip(values, self.samples, strict=False)
        return [v for own, s in rows for v, on in zip(own, s.loss_mask, strict=False) if on]

    def noise(self) -> tuple[float, float, float]:
        """Mean, largest and root mean square of what bfloat16 changes in the log-probabilities."""
        rough = sample_logprobs(
            self.policy.model, self.samples, temperature=self.temperature, compute_dtype=torch.bfloat16
        )
        found = gap(self.of_rows(rough), self.plain())
        return found.mean, found.high, found.rms

    def limits(self, types: Sequence[str]) -> tuple[float, float]:
        """Of the mean and the largest difference, where the two sides compute in these types."""
        if all(t == "float32" for t in types):
            return FLOAT32
        mean, high, _ = self.noise()
        return max(4 * mean, FLOAT32[0]), max(6 * high, FLOAT32[1])

    def penalised(self, penalty: float) -> Tensor:
        """The logits with a repetition penalty on every token that came before."""
        seen_NV = seen_before(self.samples, self.logits_NV.shape[1], self.logits_NV.device)
        z_NV = self.logits_NV
        return torch.where(seen_NV, torch.where(z_NV > 0, z_NV / penalty, z_NV * penalty), z_NV)

    def candidates(self, claimed: Sequence[float]) -> dict[str, list[float]]:
        """Hypotheses in words -> what a scorer would say under each; settings are fitted to `claimed`."""
        z_NV, t = self.logits_NV, self.temperature
        own_NV = z_NV / t
        found = {
            "scored at temperature {:.3g} instead of " + f"{t:.3g}": (lambda x: z_NV / x, TEMPERATURES),
            "renormalised over the top {:.0f}": (lambda k: cut_off(own_NV, top_k=round(k)), TOP_K),
            "renormalised over the nucleus of {:.3g}": (lambda p: cut_off(own_NV, top_p=p), TOP_P),
            "renormalised above {:.3g} of the likeliest": (lambda p: min_p(own_NV, p), MIN_P),
            "scored with a repetition penalty of {:.3g}": (lambda r: self.penalised(r) / t, PENALTIES),
        }
        fitted = dict(self._fitted(words, make, grid, claimed) for words, (make, grid) in found.items())
        return fitted | self._moved() | self._other_prompts() | self._other_weights() | self._rounded()

    def _fitted(
        self, words: str, make: Callable[[float], Tensor], grid: Sequence[float], claimed: Sequence[float]
    ) -> tuple[str, list[float]]:
        """The setting that leaves least, searched around the best of the grid where it is not a whole number."""

        def left(setting: float) -> float:
            rms = gap(claimed, self.scored(make(setting))).rms
            return rms if math.isfinite(rms) else math.inf

        best = min(grid, key=left)
        if "top" not in words:
            k = grid.index(best)
            low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
            for _ in range(12):
                a, b = low + (high - low) / 3, high - (high - low) / 3
                low, high = (low, b) if left(a) < left(b) else (a, high)
            best = min(best, (low + high) / 2, key=left)
        return words.format(best), self.scored(make(best))

    def _moved(self) -> dict[str, list[float]]:
        """Values of other tokens or rows."""
        rows = self._by_row(self.plain())
        found = {
            f"shifted by {d:+d} token{'s' if abs(d) > 1 else ''}": [v for row in rows for v in _rolled(row, d)]
            for d in (-1, 1, -2, 2)
        }
        for d in (1, -1):
            found["those of another completion"] = [
                v for k, row in enumerate(rows) for v in _stretched(rows[(k + d) % len(rows)], len(row))
            ]
        return found | {"summed over the tokens so far": [v for row in rows for v in _summed(row)]}

    def _other_prompts(self) -> dict[str, list[float]]:
        """The same completions after another prompt."""
        changed: dict[str, Callable[[tuple[int, ...]], tuple[int, ...]]] = {
            "after a prompt without its first token": lambda p: p[1:],
            "after a prompt without its last token": lambda p: p[:-1],
            "after a prompt whose first token is there twice": lambda p: p[:1] + p,
            "after one token of the prompt": lambda p: p[-1:],
        }
        found = {}
        for words, change in changed.items():
            samples = [other_prompt(s, change) for s in self.samples]
            if all(s is not None for s in samples):
                scored = sample_logprobs(
                    self.policy.model, [s for s in samples if s is not None], temperature=self.temperature
                )
                found[words] = [
                    v
                    for row, s in zip(scored, samples, strict=True)
                    if s is not None
                    for v, on in zip(row, s.loss_mask, strict=True)
                    if on
                ]
        return found

    def _other_weights(self) -> dict[str, list[float]]:
        """The base without its adapter."""
        model = self.policy.model
        if not isinstance(model, PeftModel):
            return {}
        with adapter_off(model):
            scored = sample_logprobs(model, self.samples, temperature=self.temperature)
        return {"scored without the adapter": self.of_rows(scored)}

    def _rounded(self) -> dict[str, list[float]]:
        plain = torch.tensor(self.plain())
        return {
            "rounded to bfloat16": plain.bfloat16().float().tolist(),
            "rounded to float16": plain.half().float().tolist(),
        }

    def _by_row(self, values: Sequence[float]) -> list[list[float]]:
        left = iter(values)
        return [[next(left) for on in s.loss_mask if on] for s in self.samples]


def cut(sample: Sample, depth: int) -> Sample:
    """The row up to its `depth`-th trained token, bare of all but tokens, mask and weights."""
    trained = [t for t, on in enumerate(sample.loss_mask) if on]
    stop = trained[depth - 1] + 1 if len(trained) > depth else len(sample.tokens)
    return Sample(
        id=sample.id, tokens=sample.tokens[:stop], loss_mask=sample.loss_mask[:stop], weights=sample.weights[:stop]
    )


def other_prompt(sample: Sample, change: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Sample | None:
    """The row with another prompt; None if that leaves none."""
    first = sample.loss_mask.index(True)
    prompt = change(sample.tokens[:first])
    if not prompt:
        return None
    mask = (False,) * len(prompt) + sample.loss_mask[first:]
    return Sample(id=sample.id, tokens=prompt + sample.tokens[first:], loss_mask=mask, weights=(0.0,) * len(mask))


@torch.no_grad()
def own_logits(policy: Policy, samples: Sequence[Sample]) -> Tensor:
    """Logits [N, V] in float32 at every trained token of the rows, by the model's own forward over padded rows."""
    model, parts = policy.base_model, []
    vocabulary = model.config.get_text_config().vocab_size
    for some in _chunks(samples, 2**26 // vocabulary):
        longest = max(len(s.tokens) for s in some)
        ids_BT = torch.tensor([[*s.tokens, *[0] * (longest - len(s.tokens))] for s in some], device=model.device)
        mask_BT = torch.tensor([[1] * len(s.tokens) + [0] * (longest - len(s.tokens)) for s in some])
        logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT.to(model.device), use_cache=False).logits
        for b, s in enumerate(some):
            before = [t - 1 for t, on in enumerate(s.loss_mask) if on]
            parts.append(logits_BTV[b, before].float())
    return torch.cat(parts)


def seen_before(samples: Sequence[Sample], vocabulary: int, device: torch.device) -> Tensor:
    """[N, V]: which ids stand before each trained token of its row, prompt included."""
    rows = []
    for s in samples:
        first = torch.full((vocabulary,), len(s.tokens))
        for t, token in reversed(list(enumerate(s.tokens))):
            first[token] = t
        rows += [first < t for t, on in enumerate(s.loss_mask) if on]
    return torch.stack(rows).to(device)


def cut_off(logits_NV: Tensor, *, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """`truncate` with one setting for all rows."""
    n = len(logits_NV)
    return truncate(
        logits_NV,
        torch.full((n,), top_k, device=logits_NV.device),
        torch.full((n,), top_p, dtype=torch.float64, device=logits_NV.device),
    )


def min_p(logits_NV: Tensor, share: float) -> Tensor:
    """-inf where the probability is below `share` of the likeliest token's."""
    return logits_NV.masked_fill(logits_NV < logits_NV.amax(-1, keepdim=True) + math.log(share), -torch.inf)


def picked(logp_NV: Tensor, ids_N: Tensor) -> list[float]:
    """The values at the ids."""
    return [float(v) for v in logp_NV.gather(-1, ids_N[:, None])[:, 0].tolist()]


def spread(items: Mapping[str, Sequence[Sample]], most: int) -> list[Sample]:
    """Up to `most` rows in turn from every group, each sequence of tokens once."""
    found: dict[tuple[int, ...], Sample] = {}
    longest = max(map(len, items.values()), default=0)
    for k in range(longest):
        for own in items.values():
            if k < len(own) and any(own[k].loss_mask) and len(found) < most:
                found.setdefault(own[k].tokens, own[k])
    return list(found.values())


def _chunks(samples: Sequence[Sample], most: int) -> Iterator[list[Sample]]:
    some: list[Sample] = []
    for sample in samples:
        if some and (len(some) + 1) * max(len(s.tokens) for s in [*some, sample]) > most:
            yield some
            some = []
        some.append(sample)
    if some:
        yield some


def _rolled(row: Sequence[float], d: int) -> list[float]:
    n = len(row)
    return [row[(t - d) % n] for t in range(n)]


def _stretched(row: Sequence[float], n: int) -> list[float]:
    return [row[min(t, len(row) - 1)] for t in range(n)]


def _summed(row: Sequence[float]) -> list[float]:
    return [math.fsum(row[: t + 1]) for t in range(len(row))]
