"""Faults in what DPOTrainer is given: pairs, configuration, reference, model, adapter, optimizer."""

from __future__ import annotations

import random
from typing import Any

from trl_faults import Case, Setup
from trl_grpo import LOST, STILL, adapted, lora, trained_adapter

CASES: list[Case] = []


def case(name: str, about: str):
    """Register a fault."""

    def known(plant):
        CASES.append(Case(name=f"pairs_{name}", trainer="dpo", about=about, plant=plant))
        return plant

    return known


def configured(name: str, about: str, **changes: Any) -> None:
    """A fault that is another configuration."""

    @case(name, about)
    def _(s: Setup) -> None:
        s.config.update(changes)


def each(name: str, about: str, change) -> None:
    """A fault in every pair."""

    @case(name, about)
    def _(s: Setup) -> None:
        s.rows = [change(dict(r)) for r in s.rows]


@case("healthy", r"(?!)")
def _(s: Setup) -> None:
    """Nothing."""


def turned(r):
    return {**r, "chosen": r["rejected"], "rejected": r["chosen"]}


LABELS = r"label|chosen|rejected|prefer|swap"
each("labels_swapped", LABELS, turned)
each("answers_identical", r"identical|same|equal|chosen", lambda r: {**r, "rejected": r["chosen"]})
each("answers_empty", r"empty|zero|length|completion", lambda r: {**r, "chosen": "", "rejected": ""})
each("chosen_empty", r"empty|zero|length|completion", lambda r: {**r, "chosen": ""})
each("prompt_templated_twice", r"template|twice|prompt", lambda r: {**r, "prompt": f"Q: {r['prompt']}\nA: "})
each(
    "chosen_always_longer", r"length|longer|verbos", lambda r: {**r, "chosen": r["chosen"] + " So that is the answer."}
)
each(
    "prompts_differ_in_a_pair",
    r"prompt|prefix|differ",
    lambda r: {"chosen": r["prompt"] + r["chosen"], "rejected": "Q: 1+1=?\nA: " + r["rejected"]},
)
each("one_prompt_for_all", r"prompt|unique|identical|duplicate", lambda r: {**r, "prompt": "Q: 37+48=?\nA: "})


@case("labels_random", LABELS + r"|noise|accura")
def _(s: Setup) -> None:
    draw = random.Random(0)
    s.rows = [turned(r) if draw.random() < 0.5 else r for r in s.rows]


@case("both_orders", r"duplicate|contradict|both|label")
def _(s: Setup) -> None:
    half = s.rows[: len(s.rows) // 2]
    s.rows = [x for r in half for x in (r, turned(r))]


@case("one_pair_many_times", r"duplicate|identical|unique|same")
def _(s: Setup) -> None:
    s.rows = [s.rows[0]] * len(s.rows)


@case("evaluation_pairs_in_training", r"eval|overlap|leak|contamin")
def _(s: Setup) -> None:
    s.rows = s.rows + s.held_out
    s.config.update(eval_strategy="steps", eval_steps=3)


@case("no_end_token", r"eos|end.*token")
def _(s: Setup) -> None:
    s.tokenizer.eos_token = None


configured("beta_zero", r"beta", beta=0.0)
configured("beta_1e9", r"beta|saturat", beta=1e9)
configured("beta_negative", r"beta", beta=-0.1)
configured("learning_rate_zero", STILL, learning_rate=0.0)
configured("learning_rate_1e6", LOST, learning_rate=1e6)
configured("warmup_longer_than_the_run", r"warm.?up", warmup_steps=100_000)
configured("answers_cut_off", r"truncat|max_length|long|cut", max_length=20)
configured("flag_that_nothing_reads", r"smooth", label_smoothing=0.1)


@case("reference_is_another_model", r"reference|ref_model|log ?ratio|KL|differ")
def _(s: Setup) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    other = AutoModelForCausalLM.from_pretrained(str(s.world / "model"))
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.02 * torch.randn_like(p))
    s.further["ref_model"] = other


@case("reference_is_the_policy", r"ref_model|same object")
def _(s: Setup) -> None:
    s.further["ref_model"] = s.load()


@case("adapter_directory_as_the_base", r"adapter|base|merge|peft")
def _(s: Setup) -> None:
    from transformers import AutoModelForCausalLM

    s.model = AutoModelForCausalLM.from_pretrained(trained_adapter(s))
    s.further["peft_config"] = lora()


@case("adapter_loaded_frozen", STILL + r"|grad|is_trainable|frozen|require")
def _(s: Setup) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(str(s.world / "model"))
    s.model = PeftModel.from_pretrained(base, trained_adapter(s), is_trainable=False)


@case("adapter_second_factor_frozen", STILL + r"|lora_B|frozen")
def _(s: Setup) -> None:
    for n, p in adapted(s).named_parameters():
        if "lora_B" in n:
            p.requires_grad_(False)


@case("adapter_scaled_to_nothing", STILL + r"|alpha|scal")
def _(s: Setup) -> None:
    s.further["peft_config"] = lora(lora_alpha=0)


@case("model_with_a_nan", r"nan|finite|inf")
def _(s: Setup) -> None:
    import torch

    with torch.no_grad():
        s.load().get_parameter("model.layers.0.self_attn.q_proj.weight")[5, 0] = float("nan")


@case("weights_in_bfloat16_with_a_tiny_rate", r"bf16|bfloat16|precision|round|dtype|float32|" + STILL)
def _(s: Setup) -> None:
    s.config.update(model_init_kwargs={"dtype": "bfloat16"}, learning_rate=1e-7)


@case("optimizer_of_another_model", r"optimizer|parameter")
def _(s: Setup) -> None:
    import copy

    import torch

    other = copy.deepcopy(s.load())
    s.further["optimizers"] = (torch.optim.AdamW(other.parameters(), lr=1e-4), None)
