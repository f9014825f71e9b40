from dataclasses import replace

import pytest

from trueloop.preflight.pairs import Objective, by_verifier, pair_id, texts, tokens


@pytest.fixture
def pairing():
    from pair_toys import pairing

    return pairing()


def loud(results):
    return {r.id for r in results if r.status in ("warn", "fail")}


def test_an_objective_s_direction_gives_the_sign():
    short = Objective(name="short", measure=len, direction="minimize", unit=2.0)
    assert short.margin("ab", "abcd") == 1.0
    assert replace(short, direction="maximize").margin("ab", "abcd") == -1.0


def test_a_pair_s_id_is_its_texts(pairing):
    one, other = pairing.given[:2]
    assert pair_id(one) == pair_id(replace(one, margins={"x": 1.0})) != pair_id(other)
    assert pair_id(one) != pair_id(replace(one, chosen=one.rejected, rejected=one.chosen))


def test_the_verifier_prefers_the_right_answer(pairing):
    judge, pair = by_verifier(pairing.task), pairing.given[0]
    assert judge(pair) == 1.0
    assert judge(replace(pair, chosen=pair.rejected, rejected=pair.chosen)) == -1.0
    assert judge(replace(pair, rejected=pair.chosen)) == 0.0


def test_healthy_pairs_pass(pairing):
    assert not loud([*texts(pairing), *tokens(pairing)])


def test_what_is_done_to_texts_is_seen(pairing):
    turned = [replace(p, chosen=p.rejected, rejected=p.chosen) for p in pairing.given]
    assert loud(texts(replace(pairing, given=turned))) == {"preferences.labels"}
    assert loud(texts(replace(pairing, held_out=pairing.given, split="train"))) == {
        *("preferences.held_out_overlap", "preferences.splits")
    }
    nobody = [r.id for r in texts(replace(pairing, judge=None))]
    assert "preferences.labels" not in nobody


def test_what_is_done_to_rows_is_seen(pairing):
    def rows(change):
        return loud(tokens(replace(pairing, rows=change(list(pairing.rows)))))

    def short(sample):
        kept = len(sample.tokens) - 1
        fields = ("tokens", "loss_mask", "weights", "ref_logprobs")
        return replace(sample, **{f: getattr(sample, f)[:kept] for f in fields})

    assert rows(lambda found: found[:-10]) == {"preferences.pairs_lost"}
    assert rows(lambda found: [replace(r, chosen=short(r.chosen)) for r in found]) == {"preferences.end_token"}
    cut = rows(lambda found: [replace(r, chosen=short(short(r.chosen))) for r in found])
    assert "preferences.answers_cut" in cut
    assert rows(lambda found: [replace(r, rejected=r.chosen) for r in found]) == {
        *("preferences.same_tokens", "preferences.answer_tokens")
    }
    moved = rows(lambda found: [replace(r, rejected=found[k - 1].rejected) for k, r in enumerate(found)])
    assert "preferences.prompt_tokens" in moved
