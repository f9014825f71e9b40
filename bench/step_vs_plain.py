"""One GRPO step of trueloop against a plain loop around transformers (peer/plain_loop.py), in one thread.

    python bench/step_vs_plain.py [--quick] [--cache runs/bench]

plain     its micro-batch is the fastest of four that are tried; "no flat groups" leaves out groups whose rewards agree
trueloop  LocalEngine and Trainer as the recipes use them; moving the weights to the engine is part of the sampling

Both: float32, no gradient checkpointing, clipped ratio, mean over the step's tokens, gradients clipped at norm 1, fused
AdamW.  Every step starts from the same weights, on the same prompts; the loops take turns.  Before anything is timed,
both compute the gradient of the same rollouts, which must agree; afterwards, that they did comparable work is checked.

The arithmetic case begins with the warm start of the preset `arithmetic`, made once and kept in the cache.  The others
have random weights, forced lengths, and every second completion of a group called right.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import transformers
from engine_vs_generate import SMALL, tokenizer
from peer.plain_loop import PlainLoop, Rows, Tokens
from transformers import AutoModelForCausalLM

from trueloop import config
from trueloop.chat import encode_prompt
from trueloop.formulas.reduce import token_mean
from trueloop.models import Policy
from trueloop.recipes import rlvr, sft, wiring
from trueloop.recipes.policy import Clip, PolicyLoss, give_advantages, to_sample
from trueloop.records import Group, Problem, Request, Sampling, Score, derive_seed, to_rollout
from trueloop.store.run import Run
from trueloop.tasks.base import Task
from trueloop.tasks.worlds.arithmetic import Arithmetic
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

LR, CLIP, GROUP = 1e-4, 0.2, 8
COLUMNS = (
    *("case", "loop", "sampling, CPU s", "training, CPU s", "step, CPU s (range)", "step, wall s"),
    *("times trueloop's CPU s", "tokens", "reward", "flat groups"),
)

Asked = Sequence[tuple[Problem, Tokens]]


@dataclass(frozen=True)
class Case:
    """A policy, and each step's problems with their prompts.

    lengths  of a step's completions, forced; None: they end where the task says
    graded   rewards are the task's, 1 for a right sum in any format
    """

    name: str
    policy: Policy
    task: Task
    steps: Sequence[Asked]
    lengths: Tokens | None = None
    graded: bool = False

    def score(self, problem: Problem, k: int, text: str) -> Score:
        """Of a group's k-th completion."""
        return (
            self.task.grade(problem, text, leniency=1.0) if self.graded else Score(status="scored", reward=float(k % 2))
        )


class Ours:
    """trueloop's engine and trainer."""

    def __init__(self, case: Case) -> None:
        self.case, self.model = case, case.policy.base_model
        self.engine = wiring.open_engine(wiring.Engine(), case.policy)
        self.trainer = Trainer(case.policy, Optim(lr=LR, max_grad_norm=1.0), Batching())

    def sample(self, asked: Asked) -> list[Group]:
        """Scored completions by the policy's present weights."""
        return asyncio.run(self._sample(list(enumerate(asked))))

    async def _sample(self, asked: list[tuple[int, tuple[Problem, Tokens]]]) -> list[Group]:
        await self.engine.load_weights(self.case.policy.engine_weights(), self.trainer.version)
        requests = [
            Request(id=f"{q}/{k}", prompt=tuple(prompt), sampling=self._sampling(q, k))
            for q, (_, prompt) in asked
            for k in range(GROUP)
        ]
        done = {name: completion async for name, completion in self.engine.generate(requests)}
        groups = []
        for q, (problem, prompt) in asked:
            rollouts = [to_rollout(problem, k, tuple(prompt), done[f"{q}/{k}"]) for k in range(GROUP)]
            scored = [replace(r, score=self.case.score(problem, k, r.text)) for k, r in enumerate(rollouts)]
            groups.append(Group(problem=problem, rollouts=tuple(scored)))
        return groups

    def _sampling(self, q: int, k: int) -> Sampling:
        seed = derive_seed(self.trainer.steps, q, k)
        if self.case.lengths is None:
            return replace(self.case.task.sampling(), seed=seed)
        return Sampling(max_tokens=self.case.lengths[q * GROUP + k], seed=seed)

    def stream(self, groups: Sequence[Group]) -> Stream:
        """The step's samples with their advantages."""
        rated = [
            to_sample(rollout, advantage)
            for group in give_advantages(groups, "grpo")
            for rollout, advantage in zip(group.rollouts, group.advantages or (), strict=True)
        ]
        return Stream(name="policy", samples=rated, loss=PolicyLoss(Clip(low=CLIP, high=CLIP)), reduction=token_mean)

    def train(self, groups: Sequence[Group]) -> None:
        """One optimizer step."""
        self.trainer.step([self.stream(groups)])


def plain_loop(case: Case) -> PlainLoop:
    """The plain loop on a copy of the policy, in transformers' own attention."""
    base, tokens = case.policy.base_model, case.policy.tokenizer
    settings = {"dtype": torch.float32, "attn_implementation": "sdpa"}
    model = AutoModelForCausalLM.from_config(copy.deepcopy(base.config), **settings).eval()
    model.load_state_dict(base.state_dict())
    return PlainLoop(
        model=model,
        tokenizer=tokens,
        score=lambda problem, k, text: case.score(problem, k, text.rstrip("\n")).reward or 0.0,
        group=GROUP,
        ends=[*case.policy.end_ids, *map(tokens.convert_tokens_to_ids, case.task.stops)],
        max_tokens=case.task.max_tokens,
        lengths=case.lengths,
        lr=LR,
        clip=CLIP,
        size=len(case.steps[0]) * GROUP,
    )


def tuned(plain: PlainLoop, rows: Rows) -> int:
    """The micro-batch that is the fastest on these rows, of four."""
    seconds = {}
    for plain.size in [max(1, plain.size // n) for n in (2, 8, 16, 32)]:
        seconds[plain.size] = timed(partial(plain.backward, rows))[1][0]
    return min(seconds, key=lambda size: seconds[size])


@dataclass(frozen=True)
class Step:
    """(CPU, wall) seconds of both halves, and what was done."""

    sampling: tuple[float, float]
    training: tuple[float, float]
    tokens: int
    reward: float
    flat: float

    def total(self, clock: int) -> float:
        """CPU (0) or wall (1) seconds of the whole."""
        return self.sampling[clock] + self.training[clock]


def timed(run: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """What it returns; its (CPU, wall) seconds, those of the engine's thread included."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = run()
    return found, (time.process_time() - cpu, time.perf_counter() - wall)


def take(loop: PlainLoop | Ours, asked: Asked) -> Step:
    """A step, measured."""
    drawn, sampling = timed(partial(loop.sample, asked))
    _, training = timed(partial(loop.train, drawn))
    rows = drawn if isinstance(drawn, Rows) else as_rows(drawn)
    flat = float((rows.reward_B.view(-1, GROUP).std(1) == 0).float().mean())
    return Step(sampling, training, int(rows.mask_BC.sum()), float(rows.reward_B.mean()), flat)


def as_rows(groups: Sequence[Group]) -> Rows:
    """trueloop's rollouts as the plain loop sees them."""
    rollouts = [(r, r.loss_mask.index(True)) for group in groups for r in group.rollouts]
    rewards = [reward for group in groups for reward in group.rewards()]
    return Rows.of([r.tokens[:n] for r, n in rollouts], [r.tokens[n:] for r, n in rollouts], rewards)


def require_same_gradient(plain: PlainLoop, ours: Ours, groups: Sequence[Group]) -> float:
    """The relative difference of both gradients of the same rollouts, which must be below 1e-4."""
    plain.backward(as_rows(groups))
    mine = ours.trainer.backward([ours.stream(groups)])
    theirs = {name: p.grad.double() for name, p in plain.model.named_parameters()}
    assert mine.keys() == theirs.keys()
    gap = sum(float((g - mine[name]).square().sum()) for name, g in theirs.items()) ** 0.5
    gap /= sum(float(g.square().sum()) for g in theirs.values()) ** 0.5
    assert gap < 1e-4, f"the gradients of the same rollouts differ by {gap:.1e} of their norm"
    return gap


def require_comparable(case: Case, found: Sequence[Step], ours: Sequence[Step]) -> None:
    """About as many tokens (if forced, exactly), and mean rewards within 4 standard errors of independent rollouts."""
    n = len(ours) * len(case.steps[0]) * GROUP
    tokens = sum(s.tokens for s in found) / sum(s.tokens for s in ours)
    reward = statistics.mean(s.reward for s in found) - statistics.mean(s.reward for s in ours)
    assert abs(tokens - 1) <= (0.05 + 1 / n if case.lengths is None else 0), (
        f"{case.name}: {tokens:.3f} times the tokens"
    )
    assert abs(reward) < 4 * (0.5 / n) ** 0.5, f"{case.name}: mean rewards differ by {reward:.3f}"


def compare(case: Case) -> str:
    """Check, then time every step in every loop.  Prints the case's rows of the table; returns a note."""
    ours, plain, dropping = Ours(case), plain_loop(case), plain_loop(case)
    gap = require_same_gradient(plain, ours, ours.sample(case.steps[0]))
    plain.size = dropping.size = tuned(plain, plain.sample(case.steps[0]))
    dropping.drop = True
    loops = {"plain": plain, "plain, no flat groups": dropping, "trueloop": ours}
    if not case.graded:
        del loops["plain, no flat groups"]
    start = copy.deepcopy(plain.model.state_dict())
    steps: dict[str, list[Step]] = {name: [] for name in loops}
    for asked in case.steps:
        for name, loop in loops.items():
            loop.model.load_state_dict(start)
            steps[name].append(take(loop, asked))
    asyncio.run(ours.engine.close())
    for name, found in steps.items():
        print(line(case, name, found, steps["trueloop"]), flush=True)
        require_comparable(case, found, steps["trueloop"])
    return f"{case.name}: {len(case.steps)} steps; gradients agree to {gap:.0e}; plain ran {plain.size} rows at once"


def line(case: Case, name: str, steps: Sequence[Step], ours: Sequence[Step]) -> str:
    """A row of the table: medians over the steps; tokens, rewards and flat groups are means."""
    cpu, wall = [s.total(0) for s in steps], [s.total(1) for s in steps]
    ratios = sorted(s.total(0) / o.total(0) for s, o in zip(steps, ours, strict=True))
    return cells(
        case.name,
        name,
        f"{statistics.median(s.sampling[0] for s in steps):.2f}",
        f"{statistics.median(s.training[0] for s in steps):.2f}",
        f"{statistics.median(cpu):.2f} ({min(cpu):.2f}-{max(cpu):.2f})",
        f"{statistics.median(wall):.2f}",
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})" if name != "trueloop" else "1",
        f"{statistics.mean(s.tokens for s in steps):.0f}",
        f"{statistics.mean(s.reward for s in steps):.2f}" if case.graded else "given",
        f"{statistics.mean(s.flat for s in steps):.0%}",
    )


def cells(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def arithmetic(folder: Path, repeats: int) -> Case:
    """The world's model after the preset's warm start, which is made in `folder` unless it is there."""
    resolved = config.load(rlvr.Config, "arithmetic", ["loop.steps=1"])
    outcome = rlvr.run(resolved.config, resolved, folder, resume=(folder / "run.json").is_file())
    model = sft.last_model(Run.open(folder / "warm_start"))
    assert outcome.ok and model is not None, outcome.summary
    return asked_of("0.8M, arithmetic, 16x8", Policy.load(model), Arithmetic().build(), (repeats, 16), graded=True)


def asked_of(name: str, policy: Policy, task: Task, shape: tuple[int, int], *, graded: bool) -> Case:
    """A case of a task's problems; `shape` is (steps, problems of a step)."""
    count, size = shape
    problems = task.first("train", count * size)
    each = [(p, encode_prompt(wiring.tokenizer_of(policy), task.prompt(p), task.template)) for p in problems]
    return Case(name, policy, task, [each[i * size : (i + 1) * size] for i in range(count)], graded=graded)


def forced(name: str, lengths: Tokens, repeats: int, *, model: dict[str, Any] = SMALL) -> Case:
    """Random weights, random prompts of 96 tokens, and completions of these lengths."""
    heads = {"num_attention_heads": 6, "num_key_value_heads": 3, "tie_word_embeddings": True}
    shape = {"model_type": "qwen3", **model, **heads, "max_position_embeddings": 512}
    policy = Policy.fresh(shape, tokenizer(model["vocab_size"]), seed=0)
    task = Arithmetic().build()
    problem = task.first("train", 1)[0]
    prompts = torch.randint(1, model["vocab_size"], (repeats, len(lengths) // GROUP, 96)).tolist()
    return Case(name, policy, task, [[(problem, prompt) for prompt in step] for step in prompts], lengths)


def long_tailed(count: int) -> list[int]:
    """Even quantiles of a lognormal with median 37, at most 160 (32 of them: mean 47), shuffled."""
    lengths = torch.distributions.Normal(3.61, 0.75).icdf((torch.arange(count) + 0.5) / count).exp().clamp(1, 160)
    return lengths[torch.randperm(count)].int().tolist()


def quick() -> list[Case]:
    """Cases that show only that the script works."""
    policy, task = wiring.build_policy(wiring.Tiny(), None, seed=0), Arithmetic(max_tokens=8).build()
    model = SMALL | {"num_hidden_layers": 1, "vocab_size": 100}
    few = forced("1 layer, 1x8, long-tailed", [3, 1, 4, 1, 5, 2, 6, 2], 2, model=model)
    return [asked_of("0.8M, 2x8", policy, task, (2, 2), graded=False), few]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path("runs/bench"), help="where the warm start is kept")
    parser.add_argument("--quick", action="store_true", help="small cases, which show only that the script works")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cases = quick() if arguments.quick else [
        arithmetic(arguments.cache, 12),
        forced("16M, 4x8, prompt 96, all 64", [64] * 32, 3),
        forced("16M, 4x8, prompt 96, long-tailed", long_tailed(32), 3),
    ]  # fmt: skip
    before = os.getloadavg()[0]
    print(cells(*COLUMNS), cells(*["---"] * len(COLUMNS)), sep="\n")
    notes = [compare(case) for case in cases]
    print(f"\ntorch {torch.__version__}, transformers {transformers.__version__}, one thread;", end=" ")
    print(f"load {before:.1f} at the start, {os.getloadavg()[0]:.1f} at the end", *notes, sep="\n")


if __name__ == "__main__":
    main()
