"""Faults of prompts: the model reads something else than the task asks, or what it writes is not trained to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from tokenizers import normalizers

from trueloop.faults import seams
from trueloop.faults.base import Fault
from trueloop.models import Policy
from trueloop.recipes import sampling, wiring
from trueloop.records import Problem, Prompt, Sample
from trueloop.tasks.base import Demonstration, Task
from trueloop.train.batch import Stream


def prompts(change: Callable[[str, Problem], str]) -> Any:
    """Every task asks otherwise."""

    def changed(task: Task) -> None:
        original = task.prompt

        def prompt(problem: Problem, shots: Sequence[Demonstration] = ()) -> Prompt:
            said = original(problem, shots)
            return change(said, problem) if isinstance(said, str) else said

        task.prompt = prompt  # type: ignore[method-assign]

    return seams.task(changed)


def settings(**values: Any) -> Any:
    """Attributes of every task are others."""

    def changed(task: Task) -> None:
        for name, value in values.items():
            setattr(task, name, value)

    return seams.task(changed)


@contextmanager
def encoding(module: Any, name: str, change: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Iterator[None]:
    """What a module makes of a text is changed on the way."""
    original = getattr(module, name)
    with mock.patch.object(module, name, lambda *args: change(original(*args))):
        yield


def masks(change: Callable[[Sample], Sequence[bool]]) -> Any:
    """The rows of a step are trained elsewhere."""

    def changed(streams: Sequence[Stream]) -> list[Stream]:
        return [replace(s, samples=[replace(x, loss_mask=tuple(change(x))) for x in s.samples]) for s in streams]

    return seams.streams(changed)


def _with_ends(*ids: int) -> Any:
    def changed(policy: Policy) -> None:
        policy.end_ids = ids

    return seams.policy(changed)


def _lower_case(policy: Policy) -> None:
    policy.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()


def _turns_end_otherwise(policy: Policy) -> None:
    """The template closes a turn with a token that is no end of the model's."""
    policy.tokenizer.eos_token = "<end>"
    end = policy.tokenizer.convert_tokens_to_ids("<end>")
    assert isinstance(end, int)
    policy.base_model.generation_config.eos_token_id = end
    policy.end_ids = (end,)


def _template_without_words(policy: Policy) -> None:
    template = str(policy.tokenizer.chat_template)
    policy.tokenizer.chat_template = template.replace("message['content']", "message['contents']")


def _begin_with_end(policy: Policy) -> None:
    policy.tokenizer.bos_token = "<end>"


@contextmanager
def _begins_twice() -> Iterator[None]:
    with seams.policy(_begin_with_end), encoding(sampling, "encode_prompt", lambda ids: (1, 1, *ids)):
        yield


FAULTS = (
    Fault(
        id="chat_template_on_base_model",
        mechanism="foreign format",
        what="a base model that carries a chat template is asked with it",
        caught_by=("prompt.chat_template_on_base_model",),
        recorded=("rlvr 31", "rlvr 105"),
        bed="templated",
        plant=lambda: settings(template="chat"),
    ),
    Fault(
        id="raw_text_on_chat_model",
        mechanism="foreign format",
        what="a chat model is asked in raw text",
        caught_by=("prompt.raw_text_on_chat_model",),
        bed="chat",
        plant=lambda: settings(template="none"),
    ),
    Fault(
        id="frame_applied_twice",
        mechanism="template twice",
        what="the data's prompts have the frame already",
        caught_by=("prompt.template_applied_once",),
        recorded=("preference 10",),
        plant=lambda: prompts(lambda said, _: f"Q: {said}\nA: "),
    ),
    Fault(
        id="chat_template_around_a_frame",
        mechanism="template twice",
        what="the chat template is put around text that opens the answer's turn itself",
        caught_by=("prompt.template_applied_once",),
        recorded=("preference 10",),
        bed="chat",
        plant=lambda: prompts(lambda said, _: f"Q: {said}\nA: "),
    ),
    Fault(
        id="other_frame_in_evaluation",
        mechanism="training and evaluation differ",
        what="training asks in `Q: A:`, the guard in `Problem: Solution:`",
        caught_by=("prompt.same_in_evaluation",),
        recorded=("rlvr 34", "preference 11"),
        plant=lambda: prompts(
            lambda said, p: said if p.split == "train" else said.replace("Q:", "Problem:").replace("A:", "Solution:")
        ),
    ),
    Fault(
        id="few_shot_in_training_alone",
        mechanism="training and evaluation differ",
        what="training shows four solved examples, the guard none",
        caught_by=("prompt.same_in_evaluation",),
        recorded=("rlvr 39",),
        overrides=("shots={kind='constant', at=4}",),
    ),
    Fault(
        id="prompt_cut_from_the_left",
        mechanism="prompt changed on the way",
        what="prompts are truncated to their last tokens",
        caught_by=("prompt.as_the_task_says", "prompt.holds_the_problem"),
        recorded=("preference 31",),
        plant=lambda: encoding(sampling, "encode_prompt", lambda ids: ids[-8:]),
    ),
    Fault(
        id="token_before_every_prompt",
        mechanism="prompt changed on the way",
        what="a padding token is put before every prompt",
        caught_by=("prompt.as_the_task_says",),
        plant=lambda: encoding(sampling, "encode_prompt", lambda ids: (0, *ids)),
    ),
    Fault(
        id="prompt_without_the_problem",
        mechanism="problem not shown",
        what="the prompt is the same for every problem",
        caught_by=("prompt.holds_the_problem",),
        recorded=("hacking 4",),
        plant=lambda: prompts(lambda said, _: "Q: What is the sum?\nA: "),
    ),
    Fault(
        id="template_reads_another_key",
        mechanism="problem not shown",
        what="the chat template reads a key that messages do not have",
        caught_by=("prompt.holds_the_problem",),
        bed="chat",
        plant=lambda: seams.policy(_template_without_words),
    ),
    Fault(
        id="supervised_prompt_is_cut",
        mechanism="prompt changed on the way",
        what="supervised rows lose the beginning of their prompt",
        caught_by=("prompt.as_the_task_says", "prompt.holds_the_problem"),
        bed="sft",
        plant=lambda: encoding(wiring, "encode_prompt", lambda ids: ids[-8:]),
    ),
    Fault(
        id="end_token_not_in_demonstrations",
        mechanism="end untrained",
        what="supervised rows have no end token",
        caught_by=("prompt.end_token_is_trained",),
        recorded=("rlvr 25",),
        bed="sft",
        plant=lambda: encoding(wiring, "encode_completion", lambda ids: ids[:-1]),
    ),
    Fault(
        id="answers_are_cut",
        mechanism="answers changed on the way",
        what="supervised answers are cut in their middle and ended there",
        caught_by=("prompt.demonstrations_are_whole",),
        bed="sft",
        plant=lambda: encoding(wiring, "encode_completion", lambda ids: (*ids[: len(ids) // 2], ids[-1])),
    ),
    Fault(
        id="end_token_masked_as_padding",
        mechanism="end untrained",
        what="the loss mask leaves out the end token, which is the padding token too",
        caught_by=("prompt.end_token_is_trained", "prompt.loss_mask_is_the_completion"),
        recorded=("rlvr 4",),
        plant=lambda: masks(lambda s: [on and t != 1 for on, t in zip(s.loss_mask, s.tokens, strict=True)]),
    ),
    Fault(
        id="mask_made_from_ids",
        mechanism="mask is not the completion",
        what="a token of the text counts as padding in the loss mask",
        caught_by=("prompt.loss_mask_is_the_completion",),
        recorded=("rlvr 3",),
        plant=lambda: masks(lambda s: [on and t != s.tokens[-4] for on, t in zip(s.loss_mask, s.tokens, strict=True)]),
    ),
    Fault(
        id="prompt_is_trained",
        mechanism="mask is not the completion",
        what="the prompt is trained beside the completion",
        caught_by=("prompt.loss_mask_is_the_completion",),
        plant=lambda: masks(lambda s: [i > 0 for i in range(len(s.tokens))]),
    ),
    Fault(
        id="mask_shifted_by_one",
        mechanism="mask is not the completion",
        what="the loss mask is shifted by one token",
        caught_by=("prompt.loss_mask_is_the_completion",),
        plant=lambda: masks(lambda s: [*s.loss_mask[1:], False]),
    ),
    Fault(
        id="sampler_does_not_know_the_end",
        mechanism="nothing ends a completion",
        what="generation stops on the padding token instead of the end token",
        caught_by=("prompt.sampler_stops_on_end",),
        recorded=("trl 8",),
        plant=lambda: _with_ends(0),
    ),
    Fault(
        id="turn_ends_with_no_end_token",
        mechanism="nothing ends a completion",
        what="the chat template closes turns with a token that does not end generation",
        caught_by=("prompt.sampler_stops_on_end",),
        recorded=("trl 8",),
        bed="chat",
        plant=lambda: seams.policy(_turns_end_otherwise),
    ),
    Fault(
        id="tokenizer_lowers_case",
        mechanism="lossy tokenizer",
        what="the tokenizer puts everything into lower case",
        caught_by=("prompt.tokens_round_trip",),
        plant=lambda: seams.policy(_lower_case),
    ),
    Fault(
        id="characters_without_tokens",
        mechanism="lossy tokenizer",
        what="the data has a plus sign that the tokenizer does not know",
        caught_by=("prompt.tokens_round_trip",),
        plant=lambda: prompts(lambda said, _: said.replace("+", "\uff0b")),
    ),
    Fault(
        id="beginning_token_twice",
        mechanism="beginning token",
        what="the template and the tokenizer both write a beginning token",
        caught_by=("prompt.begins_once",),
        plant=_begins_twice,
    ),
    Fault(
        id="stop_cuts_good_answers",
        mechanism="stops cut answers",
        what="a stop occurs in the middle of every good answer",
        caught_by=("prompt.stops_spare_answers",),
        recorded=("rlvr 38",),
        plant=lambda: settings(stops=("\n", ". ")),
    ),
    Fault(
        id="stop_is_written_escaped",
        mechanism="stops that never occur",
        what="the stop is a backslash and an n",
        caught_by=("prompt.stops_can_occur",),
        plant=lambda: settings(stops=("\\n",)),
    ),
)
