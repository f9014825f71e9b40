"""A verifier asked in another process."""

import asyncio

from trueloop.records import Problem
from trueloop.verify.elsewhere import Elsewhere
from trueloop.verify.numbers import Numbers
from trueloop.verify.pool import VerifierPool


def test_the_verdict_is_the_verifiers_and_nothing_is_answered_here():
    right = Numbers(declared="hash", others=())
    verifier = Elsewhere(verifier=right)
    problem = Problem.create(prompt="2+2", target="4", task="t", split="train")
    pool = VerifierPool({"t": verifier}, max_error_share=1.0)
    try:
        assert asyncio.run(pool.score(problem, "#### 4")) == right("4", "#### 4")
        assert pool.report()["t"]["quick"] == 0
    finally:
        pool.close()
    assert verifier.depends() == {"verifier": right.id}
