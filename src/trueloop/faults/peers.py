"""Faults that other trainers were given and no theme has: rewards of odd values, extreme settings, broken models."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from trueloop.faults import pair_seams, rows, seams
from trueloop.faults.base import Fault
from trueloop.models import Policy


def _rewarded(id: str, name: str, what: str, *caught_by: str, **more: Any) -> Fault:
    def plant() -> AbstractContextManager[None]:
        return rows.rewarded_by(name)

    return Fault(id=id, mechanism="own reward", what=what, caught_by=caught_by, plant=plant, bed="own", **more)


def _of_others(file: str, found: list[rows.Row]) -> list[rows.Row]:
    """Each row has the answer of the one seven rows on."""
    answers = [row["answer"] for row in found]
    return [{**row, "answer": a} for row, a in zip(found, answers[7:] + answers[:7], strict=True)]


def shuffled_vocabulary(policy: Policy) -> None:
    """The tokenizer of another model: the same texts, other ids."""
    tokenizer = policy.tokenizer
    order = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    others = order.copy()
    random.Random(0).shuffle(others)
    to = dict(zip(order, others, strict=True))
    back = {b: a for a, b in to.items()}
    encode, decode = tokenizer.encode, tokenizer.decode
    tokenizer.encode = lambda *args, **kw: [to.get(i, i) for i in encode(*args, **kw)]

    def decoded(ids: Any, *args: Any, **kw: Any) -> Any:
        return decode([back.get(int(i), int(i)) for i in ids], *args, **kw)

    tokenizer.decode = decoded  # type: ignore[method-assign, assignment]


ERRORS = ("task.verifier_errors", "task.rows_scorable", "task.completions_judged")

FAULTS = (
    _rewarded("reward_is_none", "nothing", "every reward is None", *ERRORS, recorded=("trl 11a",)),
    _rewarded("reward_is_nan", "not_a_number", "every reward is not a number", *ERRORS, recorded=("trl 11b",)),
    _rewarded("reward_is_infinite", "infinite", "some rewards are infinite", *ERRORS, recorded=("trl 10",)),
    _rewarded(
        "reward_list_too_short", "too_few", "a reward is missing for the last row", *ERRORS, recorded=("trl 15a",)
    ),
    _rewarded("reward_pays_silence", "pays_silence", "an empty completion is paid", "task.junk_scores"),
    _rewarded("reward_turned", "turned", "a right answer costs", "task.gold_scores", "task.reward_separates"),
    Fault(
        id="answers_of_other_rows",
        mechanism="columns",
        what="the column of answers was sorted, that of questions was not",
        caught_by=("task.gold_scores", "data.demonstrations_right"),
        bed="own",
        plant=lambda: rows.changed(_of_others),
    ),
    Fault(
        id="learning_rate_zero",
        mechanism="learning rate",
        what="the learning rate is 0",
        refused=r"optim\.lr",
        recorded=("trl 5",),
        overrides=("optim.lr=0",),
    ),
    Fault(
        id="greedy_rollouts",
        mechanism="sampling",
        what="rollouts are drawn without chance, all alike",
        refused=r"draw\.temperature",
        overrides=("draw.temperature=0",),
    ),
    Fault(
        id="temperature_of_a_hundred",
        mechanism="sampling",
        what="rollouts are noise",
        caught_by=("sampling.coherent", "sampling.cut_at_limit"),
        overrides=("draw.temperature=100",),
    ),
    Fault(
        id="weight_decay_takes_all",
        mechanism="optimizer",
        what="weight decay takes the weights to 0",
        caught_by=("liveness.step_is_sane", "liveness.reward_rises"),
        overrides=("optim.weight_decay=10000",),
    ),
    Fault(
        id="kl_of_a_billion",
        mechanism="KL penalty",
        what="the KL penalty is all that is left of the loss",
        caught_by=("numerics.gradient_size", "liveness.reward_rises"),
        overrides=("kl={coefficient=1e9, where='loss', estimator='k3'}",),
    ),
    Fault(
        id="template_missing",
        mechanism="template",
        what="conversations for a tokenizer that has no chat template",
        refused="template",
        bed="own",
        recorded=("trl 15b",),
        plant=lambda: seams.task(_as_chat),
    ),
    Fault(
        id="tokenizer_of_another_model",
        mechanism="tokenizer",
        what="the same texts have other ids than the model knows them by",
        caught_by=("sampling.coherent", "sampling.reward_varies"),
        plant=lambda: seams.policy(shuffled_vocabulary),
    ),
    Fault(
        id="adapter_scaled_to_nothing",
        mechanism="adapter",
        what="alpha is 0",
        caught_by=("liveness.tensors_moved", "liveness.reward_rises", "liveness.step_is_sane"),
        bed="lora",
        plant=lambda: seams.policy(pair_seams.unscaled),
    ),
    Fault(
        id="adapter_second_factor_frozen",
        mechanism="adapter",
        what="B is 0 and not trained",
        caught_by=("liveness.tensors_moved", "liveness.reward_rises", "liveness.trained_tensors"),
        bed="lora",
        plant=lambda: seams.policy(partial(pair_seams.freeze, part="lora_B")),
    ),
    Fault(
        id="model_with_a_nan",
        mechanism="numbers",
        what="a weight is nan",
        caught_by=("weights.finite",),
        plant=lambda: seams.policy(pair_seams.nan),
    ),
)


def _as_chat(task: Any) -> None:
    task.template = "chat"
