from __future__ import annotations

import math
from dataclasses import replace

from trueloop.checks.numerics import credit
from trueloop.checks.numerics.credit import Credited, Row

GROUP = Credited(id="g", rewards=[0.0, 1.0, 1.0, 0.0], advantages=[-1.0, 1.0, 1.0, -1.0])
KNOWN = replace(GROUP, formula=[-1.0, 1.0, 1.0, -1.0])
FLAT = Credited(id="flat", rewards=[1.0, 1.0], advantages=[0.0, 0.0], formula=[0.0, 0.0])
ROW = Row(id="r", found=1, wanted=True, written=3, trained=3, weights=[0.5] * 3, expected=[0.5] * 3)


def test_advantages_are_centred_ordered_and_bounded() -> None:
    assert credit.advantages([GROUP, FLAT]).status == "pass"
    assert "sign" in credit.advantages([replace(GROUP, advantages=[1.0, -1.0, -1.0, 1.0])]).advice
    assert credit.advantages([replace(GROUP, advantages=[0.0, 1.0, 1.0, 0.0])]).status == "warn"
    assert credit.advantages([replace(GROUP, advantages=[-1e6, 1e6, 1e6, -1e6])]).status == "fail"
    assert credit.advantages([replace(FLAT, advantages=[-1.0, 1.0], formula=None)]).status == "fail"
    assert credit.advantages([replace(GROUP, advantages=[math.nan] * 4)]).status == "fail"
    assert credit.advantages([]).status == "unknown"


def test_penalties_may_have_a_say() -> None:
    shorter = Credited(id="shorter", rewards=[1.0, 1.0], advantages=[1.0, -1.0])
    assert credit.advantages([GROUP], penalised=[shorter]).status == "pass"
    assert credit.advantages([GROUP], penalised=[replace(shorter, advantages=[math.nan, 0.0])]).status == "fail"
    turned = replace(GROUP, advantages=[1.0, -1.0, -1.0, 1.0])
    assert credit.advantages([turned], penalised=[shorter]).status == "fail"
    assert "shorter has [1, -1] for rewards [1, 1]" in credit.advantages([shorter]).evidence


def test_a_known_estimator_is_held_to_its_formula() -> None:
    assert credit.advantages([KNOWN, FLAT]).status == "pass"
    off = credit.advantages([replace(KNOWN, advantages=[-0.1, 0.1, 0.1, -0.1])])
    assert off.status == "fail" and "0.1 times the expected" in off.evidence
    assert "sign turned" in credit.advantages([replace(KNOWN, advantages=[1.0, -1.0, -1.0, 1.0])]).evidence


def test_each_credited_rollout_is_trained_once_and_whole() -> None:
    assert credit.rows_are_rollouts(
        [ROW, replace(ROW, found=0, wanted=False, trained=0, weights=[], expected=[])]
    ).status == ("pass")
    wrong = {
        "have no row": replace(ROW, found=0, trained=0, weights=[], expected=[]),
        "have several rows": replace(ROW, found=2),
        "have other tokens": replace(ROW, same_tokens=False),
        "train tokens of the prompt": replace(ROW, prompt_trained=2),
        "do not train the last token": replace(ROW, last_trained=False),
        "train another number": replace(ROW, trained=2),
        "have other weights": replace(ROW, weights=[0.5, 0.5, 0.1]),
    }
    for words, row in wrong.items():
        found = credit.rows_are_rollouts([ROW, row])
        assert found.status == "fail" and words in found.evidence
    assert credit.rows_are_rollouts([]).status == "unknown"


def test_a_reduction_counts_the_whole_step() -> None:
    assert credit.reduction([2, 4], [1 / 6, 1 / 6], [1 / 12, 1 / 12]).status == "pass"
    assert credit.reduction([2, 4], [1.0, 1.0], [1.0, 1.0]).status == "warn"
    assert credit.reduction([2, 4], [1.0, 1.0], [0.5, 0.5]).status == "warn"
    assert credit.reduction([2, 4], [math.nan, 1.0], [0.5, 0.5]).status == "fail"
    assert credit.reduction([2, 4], [1 / 6, 1 / 6], [1 / 12, 1 / 12], coefficient=0.0).status == "fail"
    assert credit.reduction([0], [0.0], [0.0]).status == "unknown"
