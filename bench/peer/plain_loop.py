"""The GRPO loop that one writes around transformers in an afternoon, with its settings at their best.

Completions come from `generate`, with left padding and num_return_sequences.  The gradient comes from a padded forward
with an attention mask, of which only the completions' logits are kept, log_softmax and gather.  There is one optimizer
step per batch of rollouts, so the detached log-probabilities are the old ones and no second forward is needed.

B rows, Q prompts with G completions each, P columns of prompts, C of completions, S = P + C, V vocabulary, J rows of a
micro-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteria

Tokens = Sequence[int]


@dataclass(frozen=True)
class Rows:
    """Rollouts: prompts padded on the left, then completions padded on the right."""

    ids_BS: Tensor
    attend_BS: Tensor
    mask_BC: Tensor
    reward_B: Tensor

    @classmethod
    def of(cls, prompts: Sequence[Tokens], completions: Sequence[Tokens], rewards: Sequence[float]) -> Rows:
        """Rollouts of these tokens."""
        (ids_BP, attend_BP), (ids_BC, mask_BC) = padded(prompts, "left"), padded(completions, "right")
        return cls(torch.cat([ids_BP, ids_BC], 1), torch.cat([attend_BP, mask_BC], 1), mask_BC, torch.tensor(rewards))


def padded(rows: Sequence[Tokens], side: str) -> tuple[Tensor, Tensor]:
    """Ids, and 1 where there is one."""
    ids = [torch.tensor(row) for row in rows]
    return pad_sequence(ids, True, 0, side), pad_sequence([torch.ones_like(row) for row in ids], True, 0, side)


class Lengths(StoppingCriteria):
    """Ends each row of `generate` at its own length."""

    def __init__(self, total_B: Tensor) -> None:
        self.total_B = total_B

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Which rows are done."""
        return input_ids.shape[1] >= self.total_B


@dataclass
class PlainLoop:
    """Samples and trains `model`.

    score    (problem, number in its group, text) -> reward
    ends     ids that end a completion
    lengths  of a step's completions, forced; None: until an end, or max_tokens
    size     rows of a micro-batch
    drop     leaves out the rows of groups whose rewards agree
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    score: Callable[[Any, int, str], float]
    group: int
    ends: list[int]
    max_tokens: int
    lengths: Tokens | None
    lr: float
    clip: float
    size: int
    drop: bool = False

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.lr, weight_decay=0.0, fused=True)

    def sample(self, asked: Sequence[tuple[Any, Tokens]]) -> Rows:
        """Scored completions of (problem, prompt)."""
        ids_QP, attend_QP = padded([prompt for _, prompt in asked], "left")
        longest, stopping = self.max_tokens, {"eos_token_id": self.ends}
        if self.lengths is not None:
            total_B = ids_QP.shape[1] + torch.tensor(self.lengths)
            longest, stopping = max(self.lengths), {"stopping_criteria": [Lengths(total_B)]}
        knobs = {"do_sample": True, "top_k": 0, "top_p": 1.0, "max_new_tokens": longest}
        with torch.inference_mode():
            drawn_BS = self.model.generate(
                ids_QP,
                attention_mask=attend_QP,
                num_return_sequences=self.group,
                pad_token_id=0,
                **knobs,
                **stopping,
            )
        written = [self._cut(i, row) for i, row in enumerate(drawn_BS[:, ids_QP.shape[1] :].tolist())]
        texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        each = [one for one in asked for _ in range(self.group)]
        rewards = [self.score(each[i][0], i % self.group, text) for i, text in enumerate(texts)]
        return Rows.of([prompt for _, prompt in each], written, rewards)

    def _cut(self, i: int, row: list[int]) -> list[int]:
        """A row up to its end, the end token included."""
        if self.lengths is not None:
            return row[: self.lengths[i]]
        return row[: next((t + 1 for t, token in enumerate(row) if token in self.ends), len(row))]

    def train(self, rows: Rows) -> None:
        """One optimizer step."""
        self.backward(rows)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0, foreach=True)
        self.optimizer.step()

    def backward(self, rows: Rows) -> None:
        """The gradient of the loss: the mean over all tokens of the step."""
        reward_QG = rows.reward_B.view(-1, self.group)
        std_Q1 = reward_QG.std(1, correction=0, keepdim=True).clamp_min(1e-6)
        advantage_B = ((reward_QG - reward_QG.mean(1, keepdim=True)) / std_Q1).flatten()
        kept = advantage_B.nonzero()[:, 0] if self.drop else torch.arange(len(advantage_B))
        self.optimizer.zero_grad(set_to_none=True)
        for part in kept.split(self.size) if len(kept) else ():
            self._loss(rows, part, advantage_B[part, None]).div(rows.mask_BC.sum()).backward()

    def _loss(self, rows: Rows, part: Tensor, advantage_J1: Tensor) -> Tensor:
        """The clipped loss of some rows, summed; columns that none of them has are cut off."""
        P, C = rows.ids_BS.shape[1] - rows.mask_BC.shape[1], int(rows.mask_BC[part].sum(1).max())
        ids_JS, attend_JS = rows.ids_BS[part, : P + C], rows.attend_BS[part, : P + C]
        placed = {"attention_mask": attend_JS, "position_ids": (attend_JS.cumsum(1) - 1).clamp_min(0)}
        logits_JCV = self.model(ids_JS, **placed, use_cache=False, logits_to_keep=C + 1).logits[:, :-1]
        logp_JC = logits_JCV.log_softmax(-1).gather(-1, ids_JS[:, P:, None])[..., 0]
        ratio_JC = (logp_JC - logp_JC.detach()).exp()
        clipped_JC = ratio_JC.clamp(1 - self.clip, 1 + self.clip)
        gain_JC = torch.minimum(ratio_JC * advantage_J1, clipped_JC * advantage_J1)
        return -(gain_JC * rows.mask_BC[part, :C]).sum()
