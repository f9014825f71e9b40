"""Faults in what GRPOTrainer is given: reward function, data, configuration, tokenizer, model, adapter, optimizer."""

from __future__ import annotations

import random
import time
from typing import Any

from trl_faults import Case, Setup, last_number, right, text_of

SIGNAL = (
    r"reward.*(constant|zero|same|identical|never|all )|no (learning )?signal|zero (variance|std|advantage|gradient)"
)
STILL = (
    r"(weight|parameter|model).*(not|never) (change|move|train|updat)|nothing to train|no trainable|learning rate.*0"
)
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<a> {% endif %}"
)

CASES: list[Case] = []


def case(name: str, about: str):
    """Register a fault."""

    def known(plant):
        CASES.append(Case(name=name, trainer="grpo", about=about, plant=plant))
        return plant

    return known


def lora(**changes: Any):
    """A plain adapter."""
    from peft import LoraConfig

    return LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **changes})


def adapted(s: Setup, **changes: Any):
    """The model under a new adapter, as an object."""
    from peft import get_peft_model

    s.model = get_peft_model(s.load(), lora(**changes))
    return s.model


def saved_adapter(s: Setup, *, trainable: bool):
    """The model under an adapter that was saved and loaded."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    path = trained_adapter(s)
    base = AutoModelForCausalLM.from_pretrained(str(s.world / "model"))
    s.model = PeftModel.from_pretrained(base, path, is_trainable=trainable)


def trained_adapter(s: Setup) -> str:
    """A directory of an adapter that changes the output: its B is not zero."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    made = get_peft_model(AutoModelForCausalLM.from_pretrained(str(s.world / "model")), lora())
    with torch.no_grad():
        for n, p in made.named_parameters():
            if "lora_B" in n:
                p.normal_(0, 0.02)
    path = str(s.world.parent / "adapter")
    made.save_pretrained(path)
    return path


@case("healthy", r"(?!)")
def _(s: Setup) -> None:
    """Nothing."""


# -- rewards


def rewarded(name: str, about: str, function: Any) -> None:
    """A fault that is another reward function."""

    def plant(s: Setup) -> None:
        s.reward = function

    CASES.append(Case(name=name, trainer="grpo", about=about, plant=plant))


def zero(completions, **_):
    return [0.0] * len(completions)


def misspelt(completions, **columns):
    return [
        float(last_number(text_of(c)) == g)
        for c, g in zip(completions, columns.get("golds", [None] * 999), strict=False)
    ]


def infinite(completions, **columns):
    return [float("inf"), *right(completions, columns["gold"])[1:]]


def swallows(completions, gold, **_):
    found = []
    for c, g in zip(completions, gold, strict=False):
        try:
            found.append(float(int(last_number(text_of(c))) == g.value))
        except Exception:
            found.append(0.0)
    return found


def neighbours(completions, gold, **_):
    """Of the row before."""
    each = gold[-8:] + gold[:-8]
    return right(completions, each)


def now_and_then(completions, gold, **_):
    """Another verdict at each call."""
    return [float(random.random() < 0.5) for _ in completions]


def blames(completions, **_):
    raise KeyError("answer")


rewarded("zero_reward", SIGNAL, zero)
rewarded("misspelt_column", SIGNAL + r"|golds|column", misspelt)
rewarded("reward_inf", r"(reward|advantage|loss|grad).*(inf|nan|finite)", infinite)
rewarded("reward_none", r"reward.*None|None.*reward", lambda completions, **_: [None] * len(completions))
rewarded("reward_nan", r"reward.*(nan|finite|None)", lambda completions, **_: [float("nan")] * len(completions))
rewarded("reward_list_too_short", r"reward|length|size|shape|expand", lambda completions, **_: [0.0, 1.0])
rewarded("reward_always_one", SIGNAL, lambda completions, **_: [1.0] * len(completions))
rewarded("reward_swallows_its_errors", SIGNAL + "|exception|error", swallows)
rewarded("reward_raises", r"answer|KeyError|reward", blames)
rewarded(
    "reward_turned",
    r"reward.*(sign|turn|negat|invert|gold)",
    lambda completions, gold, **_: [-x for x in right(completions, gold)],
)
rewarded("reward_of_another_row", r"reward.*(gold|row|mismatch|align)", neighbours)
rewarded("reward_random", r"reward.*(random|determin|twice|differ)", now_and_then)
rewarded(
    "reward_for_length",
    r"reward.*(length|gold|empty)",
    lambda completions, **_: [len(text_of(c)) / 64 for c in completions],
)
rewarded(
    "reward_pays_the_empty",
    r"reward.*(empty|length|gold)",
    lambda completions, gold, **_: [
        float(not text_of(c).strip() or r) for c, r in zip(completions, right(completions, gold), strict=False)
    ],
)


@case("reward_hangs", r"(reward|verif|function).*(slow|time|hang)|time-?out")
def _(s: Setup) -> None:
    def slow(completions, gold, **_):
        time.sleep(20)
        return right(completions, gold)

    s.reward = slow


@case("reward_weight_zero", SIGNAL + r"|weight")
def _(s: Setup) -> None:
    s.config["reward_weights"] = [0.0]


# -- configuration


def configured(name: str, about: str, **changes: Any) -> None:
    """A fault that is another configuration."""

    def plant(s: Setup) -> None:
        s.config.update(changes)

    CASES.append(Case(name=name, trainer="grpo", about=about, plant=plant))


LOST = r"(learning rate|lr).*(high|large|big)|diverg|(loss|grad|logit|prob).*(nan|inf|finite)"
CUT = r"(truncat|cut|clipp|max_completion_length|limit|terminat).*(complet|all|every|length)"

configured("learning_rate_zero", STILL, learning_rate=0.0)
configured("learning_rate_1e6", LOST, learning_rate=1e6)
configured("warmup_longer_than_the_run", r"warm.?up", warmup_steps=100_000)
configured("temperature_near_zero", r"temperature|identical completions|diversity", temperature=1e-3)
configured("temperature_huge", r"temperature|diversity|garbage", temperature=100.0)
configured("greedy", r"do_sample|greedy|identical|temperature", generation_kwargs={"do_sample": False})
configured(
    "sampler_truncates_and_penalises",
    r"top_k|repetition|penalt|mismatch|full (softmax|distribution)|off-policy",
    top_k=3,
    repetition_penalty=1.5,
)
configured("limit_too_low", CUT, max_completion_length=4)
configured("limit_too_low_and_masked", CUT + r"|mask", max_completion_length=4, mask_truncated_completions=True)
configured("one_completion_a_group", r"num_generations|at least 2|generations", num_generations=1)
configured("beta_1e9", r"beta|KL", beta=1e9)
configured("gradient_clipped_to_nothing", r"max_grad_norm|clip|" + STILL, max_grad_norm=1e-12)
configured("weight_decay_huge", r"weight.?decay", weight_decay=1e4)
configured("cispo_with_the_default_clip", r"epsilon_high|cispo", loss_type="cispo")
configured("clip_zero", r"epsilon|clip", epsilon=0.0, epsilon_high=0.0, num_iterations=2)


# -- data


@case("evaluation_rows_in_training", r"eval|overlap|leak|contamin|held")
def _(s: Setup) -> None:
    s.rows = s.rows + s.held_out
    s.config.update(eval_strategy="steps", eval_steps=3)


@case("identical_prompts", r"identical|duplicate|same prompt|unique")
def _(s: Setup) -> None:
    s.rows = [s.rows[0]] * 32


@case("half_the_rows_twice", r"identical|duplicate|same prompt|unique")
def _(s: Setup) -> None:
    s.rows = s.rows[: len(s.rows) // 2] * 2


@case("answers_shuffled_against_questions", r"gold|answer|column|align|mismatch")
def _(s: Setup) -> None:
    golds = [r["gold"] for r in s.rows]
    s.rows = [{**r, "gold": g} for r, g in zip(s.rows, golds[7:] + golds[:7], strict=False)]


@case("answer_in_the_prompt", r"answer|leak|gold")
def _(s: Setup) -> None:
    s.rows = [{**r, "prompt": f"({r['gold']}) {r['prompt']}"} for r in s.rows]


@case("prompts_longer_than_the_context", r"long|length|position|context|exceed|max")
def _(s: Setup) -> None:
    s.rows = [{**r, "prompt": r["prompt"] * 40} for r in s.rows]
    s.config.update(per_device_train_batch_size=16)


@case("empty_prompts", r"empty|prompt|length|zero|size|shape")
def _(s: Setup) -> None:
    s.rows = [{**r, "prompt": ""} for r in s.rows]


@case("answers_missing", SIGNAL + r"|gold|missing|None")
def _(s: Setup) -> None:
    s.rows = [{**r, "gold": None} for r in s.rows]


# -- prompts, templates, tokens


def chatty(s: Setup, template: str | None) -> None:
    s.tokenizer.chat_template = template
    s.rows = [{**r, "prompt": [{"role": "user", "content": r["prompt"]}]} for r in s.rows]


@case("chat_template_missing", r"chat.?template")
def _(s: Setup) -> None:
    chatty(s, None)


@case("chat_template_on_a_base_model", r"chat.?template|base model|likelihood|out of distribution")
def _(s: Setup) -> None:
    chatty(s, TEMPLATE)


@case("template_applied_twice", r"template|twice|double|already")
def _(s: Setup) -> None:
    chatty(s, TEMPLATE)
    once = [s.tokenizer.apply_chat_template(r["prompt"], tokenize=False, add_generation_prompt=True) for r in s.rows]
    s.rows = [{**r, "prompt": [{"role": "user", "content": t}]} for r, t in zip(s.rows, once, strict=False)]


@case("end_of_turn_is_no_end_token", r"eos|end.*token|terminat|truncat|stop")
def _(s: Setup) -> None:
    s.tokenizer.eos_token = "<unk>"
    model = s.load()
    model.generation_config.eos_token_id = model.config.eos_token_id = s.tokenizer.eos_token_id


@case("tokenizer_of_another_model", r"vocab|tokenizer|embedding|mismatch")
def _(s: Setup) -> None:
    import json

    from transformers import PreTrainedTokenizerFast

    state = json.loads((s.world / "model/tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = state["model"]["vocab"]
    special = {t["content"] for t in state["added_tokens"]}
    plain = [t for t in vocabulary if t not in special]
    ids = [vocabulary[t] for t in plain]
    random.Random(0).shuffle(ids)
    vocabulary.update(zip(plain, ids, strict=False))
    path = s.world / "shuffled_tokenizer"
    path.mkdir(exist_ok=True)
    (path / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    (path / "tokenizer_config.json").write_bytes((s.world / "model/tokenizer_config.json").read_bytes())
    s.tokenizer = PreTrainedTokenizerFast.from_pretrained(str(path))


# -- model and adapter


@case("adapter_loaded_frozen", STILL + r"|is_trainable|frozen|inference")
def _(s: Setup) -> None:
    saved_adapter(s, trainable=False)
    s.config["beta"] = 0.04


@case("adapter_loaded_frozen_without_kl", r"grad|is_trainable|frozen|require")
def _(s: Setup) -> None:
    saved_adapter(s, trainable=False)


@case("adapter_matches_nothing", r"target|module|match|found")
def _(s: Setup) -> None:
    s.further["peft_config"] = lora(target_modules=["nowhere_proj"])


@case("adapter_scaled_to_nothing", STILL + r"|alpha|scal")
def _(s: Setup) -> None:
    s.further["peft_config"] = lora(lora_alpha=0)


@case("adapter_second_factor_frozen", STILL + r"|lora_B|frozen")
def _(s: Setup) -> None:
    for n, p in adapted(s).named_parameters():
        if "lora_B" in n:
            p.requires_grad_(False)


@case("adapter_directory_as_the_base", r"adapter|base|merge|peft")
def _(s: Setup) -> None:
    from transformers import AutoModelForCausalLM

    s.model = AutoModelForCausalLM.from_pretrained(trained_adapter(s))
    s.further["peft_config"] = lora()


@case("model_without_its_weights", r"random|initiali|weights|missing|perplex|KL")
def _(s: Setup) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    s.model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(s.world / "model")))
    s.config["beta"] = 0.04


@case("reference_is_another_model", r"reference|ref_model|KL")
def _(s: Setup) -> None:
    import torch

    torch.manual_seed(1)
    model = s.load()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.02 * torch.randn_like(p))
    s.config["beta"] = 0.04


@case("model_with_a_nan", r"nan|finite|inf|prob")
def _(s: Setup) -> None:
    import torch

    with torch.no_grad():
        s.load().get_parameter("model.layers.0.self_attn.q_proj.weight")[5, 0] = float("nan")


@case("weights_in_bfloat16_with_a_tiny_rate", r"bf16|bfloat16|precision|round|dtype|float32|" + STILL)
def _(s: Setup) -> None:
    s.config.update(model_init_kwargs={"dtype": "bfloat16"}, learning_rate=1e-7)


@case("everything_frozen", STILL + r"|grad|frozen|empty parameter")
def _(s: Setup) -> None:
    s.load().requires_grad_(False)


@case("optimizer_of_another_model", r"optimizer|parameter")
def _(s: Setup) -> None:
    import copy

    import torch

    other = copy.deepcopy(s.load())
    s.further["optimizers"] = (torch.optim.AdamW(other.parameters(), lr=1e-4), None)


@case("callback_clears_the_gradient", STILL + r"|grad")
def _(s: Setup) -> None:
    from transformers import TrainerCallback

    class Clears(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model=None, **_):
            model.zero_grad()

    s.further["callbacks"] = [Clears()]
