from dataclasses import replace

import pytest
from pytest import approx

from pair_toys import pairing as make
from trueloop.faults.pairs_bed import Preference
from trueloop.preflight.pair_steps import first_step, margins, optimum, tabular


@pytest.fixture
def pairing():
    return make()


def by_id(results):
    return {r.id: r for r in results}


def loud(results):
    return {r.id for r in results if r.status in ("warn", "fail")}


@pytest.mark.parametrize("gaps", [True, False])
def test_the_loss_ends_at_the_closed_form(gaps):
    found = tabular(Preference(w=(0.6, 0.4), beta=0.2), ["short"], gaps=gaps)
    assert (found["labels"], found["short"]) == approx((3.0, 2.0), abs=0.02)


def test_margins_arrive_by_name_and_not_by_place():
    found = tabular(Preference(w=(0.5, 0.3, 0.2), beta=0.1), ["zest", "brevity"], gaps=True)
    assert found == approx({"labels": 5.0, "zest": 2.0, "brevity": 3.0}, abs=0.05)


def test_a_healthy_run_passes_and_stays_as_it_was(pairing):
    before = pairing.policy.fingerprint(), pairing.trainer.version, pairing.trainer.steps
    found = by_id([*margins(pairing), *optimum(pairing), *first_step(pairing)])
    assert not loud(found.values())
    assert found["pair_step.loss_at_start"].value == approx(found["pair_step.loss_at_start"].limit, abs=1e-4)
    assert before == (pairing.policy.fingerprint(), pairing.trainer.version, pairing.trainer.steps)


def test_a_turned_weight_is_seen_in_the_numbers(pairing):
    assert "margins.weights" in loud(margins(replace(pairing, w=(0.01, 0.99))))
    turned = [replace(r, margins={n: -m for n, m in r.margins.items()}) for r in pairing.rows]
    assert "margins.match_objectives" in loud(margins(replace(pairing, rows=turned)))
    assert not list(optimum(replace(pairing, w=(0.0, 1.0))))


def test_another_start_is_seen(pairing):
    def moved(sample):
        return replace(sample, ref_logprobs=tuple(0.9 * x for x in sample.ref_logprobs))

    rows = [replace(r, chosen=moved(r.chosen), rejected=moved(r.rejected)) for r in pairing.rows]
    assert "reference.is_the_start" in loud(first_step(replace(pairing, rows=rows)))
