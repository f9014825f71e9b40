import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from trueloop.errors import DataError
from trueloop.records import (
    Completion,
    Group,
    Message,
    Metric,
    Problem,
    Sample,
    Sampling,
    Score,
    Teacher,
    content_hash,
    derive_seed,
    to_rollout,
)

PROBLEM = Problem.create(prompt="1+1=", target="2", task="sums", split="train")


def completion(**changes: object) -> Completion:
    fields = {
        "tokens": (7, 1),
        "logprobs": (-0.5, -0.25),
        "scores": (-0.75, -0.25),
        "finish": "stop",
        "stop": "<eos>",
        "version": 3,
        "text": "2",
    }
    return Completion(**(fields | changes))  # type: ignore[arg-type]


def test_an_id_is_the_content_and_not_the_place() -> None:
    again = Problem.create(prompt="1+1=", target="2", task="sums", split="test", tags={"row": 9})
    messages = Problem.create(prompt=(Message(role="user", content="1+1="),), target="2", task="sums", split="train")
    assert again.id == PROBLEM.id
    assert len({PROBLEM.id, messages.id, Problem.create(prompt="1+1=", target="3", task="sums", split="train").id}) == 3


def test_hashes_and_seeds_are_the_same_on_every_machine() -> None:
    assert content_hash({"b": 1, "a": [1, "é"]}) == content_hash({"a": [1, "é"], "b": 1}) == "7f24864ea0895e7e"
    assert derive_seed(0, "p", 1, 2) == derive_seed(0, "p", 1, 2)


@given(st.integers(0, 2**31), st.text(max_size=5), st.integers(0, 5), st.integers(0, 5))
def test_seeds_are_63_bits_and_differ_by_every_part(run: int, problem: str, epoch: int, k: int) -> None:
    seed = derive_seed(run, problem, epoch, k)
    assert 0 <= seed < 2**63
    others = {derive_seed(run + 1, problem, epoch, k), derive_seed(run, problem, epoch + 1, k)}
    others |= {derive_seed(run, problem, epoch, k + 1), derive_seed(run, problem + "x", epoch, k)}
    assert seed not in others
    assert len(others) == 4


def test_a_rollout_knows_who_wrote_each_token_the_end_token_included() -> None:
    rollout = to_rollout(PROBLEM, 4, (3, 5, 3), completion(), epoch=2)
    assert rollout.id == f"{PROBLEM.id}/2/4"
    assert rollout.tokens == (3, 5, 3, 7, 1)
    assert rollout.loss_mask == (False, False, False, True, True)
    assert rollout.logprobs == (0.0, 0.0, 0.0, -0.5, -0.25)
    assert rollout.scores == (0.0, 0.0, 0.0, -0.75, -0.25)
    assert rollout.completion_length == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logprobs": (-0.5,)}, "must have one length, got 2, 1, 2"),
        ({"stop": None}, "finish 'stop' does not go with stop None"),
        ({"finish": "length"}, "finish 'length' does not go with stop '<eos>'"),
    ],
)
def test_a_completion_that_contradicts_itself_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        completion(**changes)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "scored"},
        {"status": "error", "reward": 0.0},
        {"status": "unscorable", "reward": 1.0},
        {"status": "scored", "reward": float("nan")},
        {"status": "scored", "reward": float("inf")},
    ],
)
def test_a_score_has_a_finite_reward_if_and_only_if_it_is_scored(fields: dict[str, object]) -> None:
    with pytest.raises(DataError, match="score:"):
        Score(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields", [{"max_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}]
)
def test_sampling_that_cannot_be_is_refused_by_name(fields: dict[str, float]) -> None:
    with pytest.raises(DataError, match=f"sampling.{next(iter(fields))}"):
        Sampling(**({"max_tokens": 4} | fields))  # type: ignore[arg-type]


def test_a_sample_needs_one_entry_per_token_and_a_context() -> None:
    good = {"id": "a", "tokens": (1, 2), "loss_mask": (False, True), "weights": (0.0, 1.0)}
    assert Sample(**good).trained_tokens == 1  # type: ignore[arg-type]
    for bad, message in (
        ({"weights": (1.0,)}, "weights must have one entry per token, got 1 for 2 tokens"),
        ({"ref_logprobs": (0.0,) * 3}, "ref_logprobs must have one entry per token"),
        ({"loss_mask": (True, True)}, "the first token cannot be trained"),
        ({"teacher": Teacher(ids=((1,), (2,)), logprobs=((0.0,), (0.0,)))}, "2 teacher rows for 1 trained tokens"),
    ):
        with pytest.raises(DataError, match=message):
            Sample(**(good | bad))  # type: ignore[arg-type]


def test_a_group_has_one_advantage_per_rollout_and_no_guessed_rewards() -> None:
    rollout = to_rollout(PROBLEM, 0, (3,), completion())
    with pytest.raises(DataError, match="2 advantages for 1 rollouts"):
        Group(problem=PROBLEM, rollouts=(rollout,), advantages=(1.0, 2.0))
    with pytest.raises(DataError, match=rollout.id):
        Group(problem=PROBLEM, rollouts=(rollout,)).rewards()


values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20)


@given(values, values)
def test_metrics_merge_exactly(a: list[float], b: list[float]) -> None:
    first, second, whole = Metric.of(a), Metric.of(b), Metric.of(a + b)
    assert first is not None and second is not None and whole is not None
    merged = first.merge(second)
    assert merged.mean == approx(whole.mean, abs=1e-6)
    assert (merged.count, merged.low, merged.high) == (whole.count, whole.low, whole.high)


def test_the_mean_of_nothing_was_not_computed() -> None:
    assert Metric.of([]) is None
