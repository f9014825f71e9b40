"""Checks of verdicts: planted measurements fail, healthy ones pass, too few are unknown."""

from trueloop.checks import task as checks
from trueloop.checks.task import GOLD, Graded
from trueloop.records import Score


def scored(reward, passed=None, **parts):
    return Score(status="scored", reward=reward, passed=reward >= 1 if passed is None else passed, parts=parts)


def graded(kind, rewards, start=0):
    return [
        Graded(problem=f"p{start + k}", kind=kind, text=f"{kind} {k}", score=scored(r)) for k, r in enumerate(rewards)
    ]


GOLDS = graded(GOLD, [1.0] * 64)
NONE = graded(GOLD, [0.0] * 64)


def test_right_answers_must_all_score():
    assert checks.gold_scores(GOLDS).status == "pass"
    assert checks.gold_scores(NONE).status == "fail"
    assert checks.gold_scores(graded(GOLD, [1.0] * 63 + [0.0])).status == "warn"
    assert checks.gold_scores(graded(GOLD, [0.0, 0.0])).status == "fail"
    assert checks.gold_scores([]).status == "unknown"


def test_a_right_answer_that_passes_and_earns_nothing_is_lost():
    golds = [Graded(problem="p", kind=GOLD, text="x", score=scored(0.0, passed=True))] * 64
    assert checks.gold_scores(golds).status == "fail"


def test_each_kind_of_wrong_answer_is_looked_at_alone():
    healthy = [*GOLDS, *graded("negated", [0.0] * 64), *graded("one more", [0.0] * 64)]
    assert checks.wrong_scores(healthy).status == "pass"
    one_kind = [*GOLDS, *graded("negated", [1.0] * 64), *graded("one more", [0.0] * 64)]
    result = checks.wrong_scores(one_kind)
    assert (result.status, result.value) == ("fail", {"negated": 1.0, "one more": 0.0})
    assert checks.wrong_scores(GOLDS).status == "unknown"


def test_an_empty_text_may_never_score_and_others_hardly_ever():
    assert checks.junk_scores([*GOLDS, *graded("empty", [0.0] * 64), *graded("refusal", [0.0] * 64)]).status == "pass"
    assert checks.junk_scores([*GOLDS, *graded("empty", [0.0] * 63 + [1.0])]).status == "fail"
    assert checks.junk_scores([*GOLDS, *graded("refusal", [1.0] * 40 + [0.0] * 24)]).status == "fail"
    assert checks.junk_scores(graded("refusal", [1.0] * 20 + [0.0] * 44)).status != "fail"
    assert checks.junk_scores(GOLDS).status == "unknown"


def test_rewards_must_separate_right_from_wrong():
    wrong = graded("another row's", [0.0] * 64)
    assert checks.reward_separates([*GOLDS, *wrong]).status == "pass"
    assert checks.reward_separates([*graded(GOLD, [0.5] * 64), *graded("refusal", [0.5] * 64)]).status == "fail"
    assert checks.reward_separates([*GOLDS, *graded("refusal", [0.8] * 64)]).status == "warn"
    assert checks.reward_separates([*GOLDS, *graded("refusal", [-1.0] * 64)]).status == "pass"
    assert checks.reward_separates(GOLDS).status == "unknown"


def test_length_neither_pays_nor_hides_the_answer():
    same = [*GOLDS, *graded("after reasoning", [1.0] * 64)]
    assert checks.length_pays(same, reasons=True).status == "pass"
    assert checks.length_pays([*GOLDS, *graded("after reasoning", [1.2] * 64)], reasons=False).status == "fail"
    unread = [*GOLDS, *graded("after reasoning", [0.0] * 64)]
    assert checks.length_pays(unread, reasons=True).status == "fail"
    assert checks.length_pays(unread, reasons=False).status == "pass"
    assert checks.length_pays([*NONE, *graded("after reasoning", [0.0] * 64)], reasons=True).status == "unknown"


def test_verdicts_must_repeat_here_and_elsewhere():
    alike, other = (GOLDS[0], scored(1.0)), (GOLDS[0], scored(0.0))
    assert checks.verdicts_repeat([alike], [alike], []).status == "pass"
    assert checks.verdicts_repeat([other], [alike], []).status == "fail"
    assert checks.verdicts_repeat([alike], [other], []).status == "fail"
    assert checks.verdicts_repeat([alike], [], ["p0"]).status == "fail"
    assert checks.verdicts_repeat([(GOLDS[0], scored(1.0, strict=1.0))], [], []).status == "fail"
    assert checks.verdicts_repeat([], [], []).status == "unknown"


def test_errors_are_counted_and_a_kind_that_always_raises_is_a_fail():
    error = Score(status="error", why="Traceback\nValueError: no")
    bad = [Graded(problem="p", kind="refusal", text="x", score=error)]
    assert checks.verifier_errors(GOLDS, 0, 0.01).status == "pass"
    result = checks.verifier_errors([*GOLDS, *bad], 0, 0.01)
    assert result.status == "fail"
    assert "ValueError: no" in result.evidence
    mixed = [*GOLDS * 4, *graded("refusal", [0.0] * 9), *bad]
    assert checks.verifier_errors(mixed, 0, 0.01).status == "warn"
    assert checks.verifier_errors([], 0, 0.01).status == "unknown"


def test_rows_that_cannot_be_judged_are_named():
    assert checks.rows_scorable({}, 64).status == "pass"
    assert checks.rows_scorable({"p1": "no number"}, 64).status == "warn"
    result = checks.rows_scorable({f"p{k}": "no number" for k in range(30)}, 64)
    assert result.status == "fail"
    assert "no number" in result.evidence
    assert checks.rows_scorable({}, 0).status == "unknown"


def test_one_canary_is_enough():
    assert checks.canaries([], 30).status == "pass"
    assert checks.canaries(["os._exit at load"], 30).status == "fail"
    assert checks.canaries([], 0).status == "unknown"


def test_readings_warn_where_the_paid_one_is_hardly_sampled():
    assert checks.readings_agree({"strict": 20, "lenient": 30}, 20, 64).status == "pass"
    assert checks.readings_agree({"strict": 1, "lenient": 40}, 1, 64).status == "warn"
    assert checks.readings_agree({"strict": 1, "lenient": 4}, 1, 8).status == "unknown"


def test_completions_are_judged_alike_twice():
    right, wrong = scored(1.0), scored(0.0)
    assert checks.completions_judged([right, wrong] * 20, [(right, right)], 0.01).status == "pass"
    assert checks.completions_judged([right, wrong] * 20, [(right, wrong)], 0.01).status == "fail"
    error = Score(status="error", why="KeyError")
    assert checks.completions_judged([error] * 20 + [right] * 20, [], 0.01).status == "fail"
    assert checks.completions_judged([error] + [right] * 200, [], 0.01).status == "warn"
    assert checks.completions_judged([], [], 0.01).status == "unknown"


def test_more_may_be_paid_than_any_reading_finds_right():
    assert checks.readings_agree({"strict": 2, "lenient": 4}, 60, 64).status == "pass"
