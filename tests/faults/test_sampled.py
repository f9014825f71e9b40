from dataclasses import replace

from trueloop.faults import sampled
from trueloop.records import Completion, Request, Sampling, Score
from trueloop.verify.base import Verifier


def _completion(text="abcd", finish="stop"):
    values = (-1.0,) * len(text)
    return Completion(
        tokens=tuple(map(ord, text)), logprobs=values, policy_logprobs=values, finish=finish,
        stop="<end>" if finish == "stop" else None, version=0, text=text,
    )  # fmt: skip


def _requests(*names):
    return [Request(id=name, prompt=(1,), sampling=Sampling(max_tokens=4)) for name in names]


def test_half_a_completion_says_nothing_of_being_half():
    found = sampled._half(_completion())
    assert (found.tokens, found.finish, found.text) == ((ord("a"), ord("b")), "length", "a")


def test_texts_and_completions_change_places():
    found = {"p/0/0": _completion("aa"), "p/0/1": _completion("bb")}
    requests = _requests("p/0/0", "p/0/1")
    assert [c.text for c in sampled._neighbours_text(requests, found).values()] == ["bb", "aa"]
    assert sampled._neighbours(requests, found)["p/0/0"] is found["p/0/1"]


def test_every_other_problem_is_aborted():
    found = {name: _completion() for name in ("p/0/0", "q/0/0")}
    changed = sampled._every_other_aborted(_requests(*found), found)
    assert {name: c.finish for name, c in changed.items()} == {"p/0/0": "abort", "q/0/0": "stop"}


def test_there_are_two_seeds():
    seeds = {sampled._two_seeds(r).sampling.seed for r in _requests(*"abcdefgh")}
    assert seeds == {0, 1}
    assert replace(_requests("a")[0]).sampling.seed == 0


class Yes(Verifier):
    """Always yes."""

    def __call__(self, target, text, leniency=0.0):
        return Score(status="scored", reward=1.0, passed=True)


def test_verifiers_that_are_wrong():
    assert sampled.Negated(of=Yes())("1", "1").reward == 0.0
    assert sampled.Negated(of=Yes())("1", "1").passed is True
    assert sampled.Unscorable(of=Yes()).quick("1", "1").status == "unscorable"
