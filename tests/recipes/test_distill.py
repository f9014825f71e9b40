"""Distillation end to end on a few sums, and what a teacher says against forwards made by hand."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest import approx

from trueloop.chat import encode_prompt
from trueloop.config import load
from trueloop.errors import ConfigError, DataError, ModelError
from trueloop.models import Policy
from trueloop.recipes import distill, sampling, wiring
from trueloop.records import Completion, Group, Problem, Rollout, Sample, Score, to_rollout
from trueloop.store.run import Run, contents
from trueloop.store.trace import read_rollouts
from trueloop.tasks.worlds import tiny_model
from trueloop.train.batch import Batching
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

HINT = "H: {target}\n{prompt}"
VOCABULARY = len(tiny_model.VOCABULARY)
SMALL = [
    'tasks.parts=[{task={kind="arithmetic", lowest=1, highest=9, held_out=0.1, max_tokens=8}}]',
    "warm_start.rows_per_step=4",
    "warm_start.loop.steps=1",
    "warm_start.loop.checkpoint_every=1",
    "flow.problems_per_step=2",
    'flow.samples={kind="fixed", n=2}',
    "loop.steps=3",
    "loop.checkpoint_every=1",
    'guard={every=3, metric="strict", problems=3}',
    "k=80",
]
DEMONSTRATIONS = "demonstrations={rows_per_step=3, coefficient=0.5, target=%s}"


def config_of(*overrides: str) -> distill.Config:
    return load(distill.Config, "distill/arithmetic", [*SMALL, *overrides]).config


def run(out: Path, *overrides: str, resume: bool = False) -> Run:
    resolved = load(distill.Config, "distill/arithmetic", [*SMALL, *overrides])
    assert distill.run(resolved.config, resolved, out, resume).ok
    return Run.open(out)


def tiny(seed: int = 0, *, sharp: float = 1.0) -> Policy:
    """A tiny model; `sharp` multiplies its logits."""
    policy = wiring.build_policy(wiring.Tiny(), None, seed)
    with torch.no_grad():
        policy.base_model.get_output_embeddings().weight.mul_(sharp)
    return policy


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher on disk with opinions."""
    path = tmp_path_factory.mktemp("teacher")
    tiny(5, sharp=8.0).save(path)
    return path


VARIANTS: dict[str, tuple[list[str], set[str]]] = {
    "as it was": ([], set()),
    "as it is": (["teacher.kind=present"], set()),
    "another model, no hint": (['teacher={kind="model", path="OTHER"}', 'hint.template="{prompt}"'], set()),
    "forward kl": (['divergence={kind="forward_kl"}'], set()),
    "jsd": (['divergence={kind="jsd", beta=0.9, support="truncated"}', "reduction.kind=sequence_mean"], set()),
    "every token": ([f"k={VOCABULARY}"], set()),
    "solution and verdict": (['hint.template="{solution} {why} {prompt}"'], set()),
    "taught demonstrations": ([DEMONSTRATIONS % '"teacher"'], {"demonstrations/divergence", "second/data/epochs"}),
    "text of demonstrations": ([DEMONSTRATIONS % '"text"'], {"sft_mix/nll", "second/data/epochs"}),
    "only what is wrong": (["below=1.0"], set()),
    "lora": (['adapter={kind="lora", rank=2, alpha=4}'], set()),
    "ahead": (["flow.max_staleness=2", "flow.sync_every=2"], {"flow/lag_max"}),
    "hinted few shots": (["shots.at=1"], set()),
    "two processes": (["processes=2"], set()),
}


SLOW = {"two processes"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in VARIANTS])
def test_every_variant_runs(tmp_path: Path, other: Path, name: str) -> None:
    overrides, metrics = VARIANTS[name]
    rows = run(tmp_path / "run", *(o.replace("OTHER", str(other)) for o in overrides)).metrics()
    assert len(rows) == 3
    assert all(metrics | {"distill/divergence", "reward/mean"} <= row.keys() for row in rows)
    assert all(0 < row["distill/divergence"] < 20 for row in rows)
    full = f"k={VOCABULARY}" in overrides
    assert all((row["distill/teacher_mass"] == approx(1.0, abs=1e-5)) == full for row in rows)


class Died(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize(("teacher", "step"), [("start", 1), ("start", 2), ("present", 2)])
def test_a_run_that_died_goes_on_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher: str, step: int
) -> None:
    settings = [f"teacher.kind={teacher}", DEMONSTRATIONS % '"teacher"', "optim.lr=0.01"]
    run(tmp_path / "whole", *settings)
    save = Run.write_step

    def write_step(self: Run, row: dict[str, Any], rollouts: Any) -> None:
        save(self, row, rollouts)
        if row["step"] == step and self.info.recipe == "distill":
            raise Died

    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr(Run, "write_step", write_step)
        run(tmp_path / "died", *settings)
    run(tmp_path / "died", *settings, resume=True)
    assert contents(tmp_path / "whole") == contents(tmp_path / "died")


def test_the_divergence_from_a_fixed_teacher_falls(tmp_path: Path, other: Path) -> None:
    settings = [f'teacher={{kind="model", path="{other}"}}', f"k={VOCABULARY}", "optim.lr=2e-3", "guard.every=99"]
    rows = run(tmp_path / "run", *settings, "loop.steps=12", "flow.problems_per_step=4").metrics()
    values = [row["distill/divergence"] for row in rows]
    assert sum(values[-3:]) < 0.8 * sum(values[:3])
    assert values[0] == max(values)


# -- one step by hand


def group_of(policy: Policy, problem: Problem, *texts: str, rewards: Sequence[float] = ()) -> Group:
    prompt = encode_prompt(wiring.tokenizer_of(policy), problem.prompt, "none")
    rollouts: list[Rollout] = []
    for k, text in enumerate(texts):
        tokens = (*policy.tokenizer.encode(text, add_special_tokens=False), policy.end_ids[0])
        drawn = (-1.0,) * len(tokens)
        completion = Completion(
            tokens=tokens, logprobs=drawn, policy_logprobs=drawn, finish="stop", stop="<end>", version=0, text=text
        )
        reward = rewards[k] if rewards else 0.0
        score = Score(status="scored", reward=reward, passed=reward > 0, why=f"no {k}", audit={"hack": 1.0})
        rollouts.append(replace(to_rollout(problem, k, prompt, completion), score=score))
    return Group(problem=problem, rollouts=tuple(rollouts))


def parts_of(config: distill.Config, policy: Policy, teacher: Policy | None = None) -> distill.Parts:
    asking = sampling.Asking(config, policy)
    return distill.Parts(
        config=config,
        asking=asking,
        teacher=teacher or policy,
        speaking=distill.speaking(config, policy),
        solutions=distill.solutions(config, asking),
    )


def first_problems(parts: distill.Parts, n: int) -> list[Problem]:
    return list(parts.asking.first.problems("train"))[:n]


def by_hand(policy: Policy, text: str, tokens: Sequence[int], temperature: float) -> torch.Tensor:
    """log softmax(logits / T) before each of `tokens`, which follow `text`; [tokens, V], in float64."""
    prompt = policy.tokenizer.encode(text, add_special_tokens=False)
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0].double()
    return (logits / temperature).log_softmax(-1)[len(prompt) - 1 : -1]


def completion_of(sample: Sample) -> list[int]:
    return [t for t, trained in zip(sample.tokens, sample.loss_mask, strict=True) if trained]


def test_the_teacher_speaks_of_the_same_tokens_under_its_own_prompt() -> None:
    config = config_of('hint.template="{target} {why}: {solution}; {prompt}"', "k=5", "temperature=0.7")
    policy = tiny(1, sharp=8.0)
    parts = parts_of(config, policy)
    groups = [group_of(policy, p, "7", "3+4=7. Seven", "") for p in first_problems(parts, 2)]
    (stream,) = parts.streams(parts.credit(groups), 1)
    answers = {d.problem.id: d.completion for d in parts.asking.first.demonstrations("train")}
    rollouts = [(g.problem, k, r) for g in groups for k, r in enumerate(g.rollouts)]
    assert [s.id for s in stream.samples] == [r.id for _, _, r in rollouts]
    for sample, (problem, k, rollout) in zip(stream.samples, rollouts, strict=True):
        assert (sample.tokens, sample.loss_mask) == (rollout.tokens, rollout.loss_mask)
        assert sample.weights == tuple(map(float, rollout.loss_mask))
        told = f"{problem.target} no {k}: {answers[problem.id]}; {problem.prompt}"
        expected = by_hand(policy, told, completion_of(sample), 0.7).topk(5)
        assert sample.teacher is not None
        assert [list(row) for row in sample.teacher.ids] == expected.indices.tolist()
        assert torch.tensor(sample.teacher.logprobs).double() == approx(expected.values, abs=1e-5)
    assert stream.temperature == 0.7


@pytest.mark.parametrize("kind", ["start", "present"])
def test_a_teacher_that_is_the_student_is_as_it_was_or_as_it_is(kind: str) -> None:
    policy = tiny(1)
    parts = parts_of(config_of(f"teacher.kind={kind}", "k=3"), policy)
    groups = parts.credit([group_of(policy, first_problems(parts, 1)[0], "7")])

    def said() -> torch.Tensor:
        teacher = parts.streams(groups, 1)[0].samples[0].teacher
        assert teacher is not None
        return torch.tensor(teacher.logprobs)

    before = said()
    with torch.no_grad():
        policy.base_model.get_output_embeddings().weight.mul_(6.0)
    trained = policy.fingerprint()
    assert torch.equal(said(), before) == (kind == "start")
    assert policy.fingerprint() == trained


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl"])
def test_a_steps_loss_is_the_exact_divergence_where_every_token_is_listed(kind: str) -> None:
    student, teacher = tiny(1, sharp=4.0), tiny(2, sharp=4.0)
    settings = ['teacher={kind="model", path="elsewhere"}', 'hint.template="{prompt}"', f'divergence={{kind="{kind}"}}']
    config = config_of(*settings, f"k={VOCABULARY}", "temperature=0.7")
    parts = parts_of(config, student, teacher)
    problem = first_problems(parts, 1)[0]
    streams = parts.streams(parts.credit([group_of(student, problem, "7", "3+4=7")]), 1)
    total, tokens = 0.0, 0
    for sample in streams[0].samples:
        said = by_hand(teacher, str(problem.prompt), completion_of(sample), 0.7)
        own = by_hand(student, str(problem.prompt), completion_of(sample), 0.7)
        p, q = (said, own) if kind == "forward_kl" else (own, said)
        total += (p.exp() * (p - q)).sum().item()
        tokens += len(said)
    report = Trainer(student, Optim(lr=1e-3, max_grad_norm=1.0), Batching()).step(streams)
    assert report.loss == approx(total / tokens, rel=1e-4)
    assert report.denominator == {"distill": tokens}


def test_rewards_and_audit_choose_nothing_unless_asked() -> None:
    policy = tiny(1)
    parts = parts_of(config_of(), policy)
    problem = first_problems(parts, 1)[0]
    right, wrong = (group_of(policy, problem, "7", "8", rewards=r) for r in ([1.0, 1.0], [0.0, 0.0]))
    assert parts.streams(parts.credit([right]), 1)[0].samples == parts.streams(parts.credit([wrong]), 1)[0].samples


def test_below_leaves_out_what_is_right_and_a_step_of_right_answers_changes_nothing() -> None:
    policy = tiny(1)
    parts = parts_of(config_of("below=1.0"), policy)
    problem = first_problems(parts, 1)[0]
    mixed = parts.credit([group_of(policy, problem, "7", "8", "9", rewards=[1.0, 0.0, 0.5])])
    assert mixed[0].advantages == (0.0, 1.0, 1.0)
    assert [s.id[-1] for s in parts.streams(mixed, 1)[0].samples] == ["1", "2"]

    right = parts.streams(parts.credit([group_of(policy, problem, "7", "7", rewards=[1.0, 1.0])]), 1)
    before = policy.fingerprint()
    report = Trainer(policy, Optim(lr=0.1, max_grad_norm=1.0), Batching()).step(right)
    assert (report.loss, report.grad_norm, policy.fingerprint()) == (0.0, 0.0, before)


# -- what does not fit


def test_a_group_that_the_teacher_cannot_read_is_filtered_with_its_reason(tmp_path: Path) -> None:
    short = tiny(3, sharp=4.0)
    short.base_model.config.max_position_embeddings = 26
    short.save(tmp_path / "teacher")
    settings = [f'teacher={{kind="model", path="{tmp_path / "teacher"}"}}', 'hint.template="12345{target}{prompt}"']
    done = run(tmp_path / "run", *settings)
    fates: dict[str, set[str]] = {}
    longest: dict[str, int] = {}
    for row in read_rollouts(tmp_path / "run"):
        told = f"12345{eval(row['prompt'][3:6])}{row['prompt']}"
        group = f"{row['problem_id']}/{row['epoch']}"
        fates.setdefault(group, set()).add(row["fate"])
        longest[group] = max(longest.get(group, 0), len(told) + row["completion_length"])
    assert all(fates[g] == {"used" if longest[g] <= 26 else "filtered:teacher_too_long"} for g in fates)
    assert max(longest.values()) > 26
    assert len(done.metrics()) == 3


def test_demonstrations_that_the_teacher_cannot_read_are_left_out_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy, teacher = tiny(1), tiny(2)
    config = config_of(DEMONSTRATIONS % '"teacher"')
    parts = parts_of(config, policy, teacher)
    demonstrations = parts.asking.first.demonstrations("train")
    lengths = [len(f"H: {d.problem.target}\n{d.problem.prompt}{d.completion}") + 1 for d in demonstrations]
    teacher.base_model.config.max_position_embeddings = limit = sorted(lengths)[len(lengths) // 2]
    kept = sum(length <= limit for length in lengths)
    assert 0 < kept < len(lengths)
    with caplog.at_level(logging.WARNING):
        feed = parts.beside()
    assert len(feed.items) == kept  # type: ignore[union-attr]
    assert f"{len(lengths) - kept} of {len(lengths)} demonstrations exceed" in caplog.text
    teacher.base_model.config.max_position_embeddings = 5
    with pytest.raises(DataError, match=f"all {len(lengths)} demonstrations of arithmetic exceed .* 5 tokens"):
        parts.beside()


def test_a_teacher_with_other_tokens_is_refused(tmp_path: Path) -> None:
    teacher = tiny(2)
    teacher.tokenizer.add_tokens(["zebra"])
    teacher.base_model.resize_token_embeddings(VOCABULARY + 1, mean_resizing=False)
    teacher.save(tmp_path / "teacher")
    with pytest.raises(ModelError, match="'zebra' has id"):
        run(tmp_path / "run", f'teacher={{kind="model", path="{tmp_path / "teacher"}"}}')


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (['hint.template="{target}"'], "does not show the problem"),
        (['hint.template="{prompt}{gold}"'], "no field of a hint"),
        (['hint.template="{prompt}{why}"', DEMONSTRATIONS % '"teacher"'], "demonstrations do not have"),
        (["teacher={kind='model'}"], "teacher.path"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(overrides: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        config_of(*overrides)


def test_the_student_without_a_hint_is_no_teacher() -> None:
    plain = config_of().model_dump() | {"hint": None}
    with pytest.raises(ValueError, match="is the student itself"):
        distill.Config.model_validate(plain)
    assert distill.Config.model_validate(plain | {"teacher": {"kind": "model", "path": "x"}}).hint is None


def test_the_plan_names_teacher_and_warm_start() -> None:
    words = distill.plan(load(distill.Config, "distill/arithmetic").config)
    for part in ("Distillation on arithmetic", "the student before the first step with a hint", "warm start: SFT on"):
        assert part in words
