"""Policies of the arithmetic world that were taught otherwise: in a chat template, or to go on to another problem."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from trueloop.formulas.reduce import token_mean
from trueloop.models import Policy
from trueloop.recipes import wiring
from trueloop.recipes.losses import Supervised
from trueloop.records import Problem, Prompt
from trueloop.store.artefacts import atomic_dir
from trueloop.tasks.base import Demonstration, Task
from trueloop.tasks.worlds.arithmetic import Arithmetic
from trueloop.train.batch import Batching, Stream
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

OPENS, CLOSES = "<|turn|>", "<|close|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}" + OPENS + "{{ message['role'] }}\n{{ message['content'] }}" + CLOSES + "\n"
    "{% endfor %}{% if add_generation_prompt %}" + OPENS + "assistant\n{% endif %}"
)
ROWS = 32


def templated_model(model: Path) -> Path:
    """The policy of `beds.warm_model` with a chat template that it was never trained on, as many base models have."""
    return _made(model, "templated", lambda: _with_template(Policy.load(model)))


def chat_model(model: Path) -> Path:
    """The same, trained on the template until it speaks it; its turns close with its end token.  Seconds on a core."""

    def make() -> Policy:
        policy = Policy.load(templated_model(model))
        policy.tokenizer.eos_token = CLOSES
        closes = policy.tokenizer.convert_tokens_to_ids(CLOSES)
        policy.base_model.generation_config.eos_token_id = closes
        policy.base_model.config.eos_token_id = closes
        policy = Policy(policy.model, policy.tokenizer, base=None)
        return _taught(policy, "chat", lambda rows: list(rows), steps=80)

    return _made(model, "chat", make)


def rambling_model(model: Path) -> Path:
    """The same, trained to pose and answer a second problem after the first, as texts do that base models have read."""
    return _made(model, "rambling", lambda: _taught(Policy.load(model), "none", and_another, steps=80))


def and_another(rows: Sequence[Demonstration]) -> list[Demonstration]:
    """Each answer goes on with the next problem and its answer."""
    following = [*rows[1:], rows[0]]
    return [
        replace(row, completion=f"{row.completion}\n{after.problem.prompt}{after.completion}")
        for row, after in zip(rows, following, strict=True)
    ]


def ask_in_chat(task: Task) -> None:
    """The question alone in the chat template, without the labels that raw text needs."""
    original = task.prompt

    def prompt(problem: Problem, shots: Sequence[Demonstration] = ()) -> Prompt:
        said = original(problem, shots)
        return said.removeprefix("Q: ").removesuffix("\nA: ") if isinstance(said, str) else said

    task.prompt = prompt  # type: ignore[method-assign]
    task.template = "chat"


def _with_template(policy: Policy) -> Policy:
    tokenizer = policy.tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": [OPENS, CLOSES]})
    tokenizer.chat_template = CHAT_TEMPLATE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        policy.base_model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return Policy(policy.model, tokenizer, base=None)


def _taught(
    policy: Policy, template: str, change: Callable[[Sequence[Demonstration]], list[Demonstration]], *, steps: int
) -> Policy:
    """The policy after `steps` supervised steps on the demonstrations of the world, changed."""
    task: Task = Arithmetic().build()
    if template == "chat":
        ask_in_chat(task)
    draw = random.Random(0)
    rows = list(task.demonstrations("train"))
    trainer = Trainer(policy, Optim(lr=1e-3, max_grad_norm=1.0), Batching())
    for _ in range(steps):
        samples = wiring.supervised(task, change(draw.sample(rows, ROWS)), policy)
        trainer.step([Stream(name="sft", samples=samples, loss=Supervised(), reduction=token_mean)])
    return policy


def _made(model: Path, name: str, make: Callable[[], Policy]) -> Path:
    """The directory `name` beside `model`, which is made once; nothing is made of a model that is not there."""
    place = model.parent / name
    if model.exists() and not place.exists():
        with atomic_dir(place, what="a policy to plant faults into") as partial:
            make().save(partial)
    return place
