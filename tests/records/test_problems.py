from hypothesis import given
from hypothesis import strategies as st

from trueloop.records import Message, Problem, content_hash, derive_seed

PROBLEM = Problem.create(prompt="1+1=", target="2", task="sums", split="train")


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
