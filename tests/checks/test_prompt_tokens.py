from trueloop.checks import prompt_tokens as tokens
from trueloop.checks.prompt_tokens import Spelled, TrainedRow


def _row(**changes):
    fields = {"id": "a", "prompt": 0, "missed": 0, "ends": True, "end_trained": True}
    return TrainedRow(**{**fields, **changes})


def _same(text):
    return Spelled(kind="prompt", before=text, after=text, unknown=0)


def test_the_mask_is_the_completion():
    check = tokens.loss_mask_is_the_completion
    assert check([_row(), _row()]).status == "pass"
    assert check([_row(), _row(prompt=3)]).status == "fail"
    assert check([_row(missed=1)]).status == "fail"
    assert check([]).status == "unknown"


def test_the_end_token_is_trained():
    check = tokens.end_token_is_trained
    assert check([_row(), _row(ends=None, end_trained=None)], end_is_pad=True).status == "pass"
    found = check([_row(end_trained=False)], end_is_pad=True)
    assert found.status == "fail"
    assert "padding and end" in found.evidence
    assert check([_row(ends=False, end_trained=None)], end_is_pad=False).status == "fail"
    assert check([_row(ends=None, end_trained=None)], end_is_pad=False).status == "unknown"


def test_the_sampler_stops_on_what_ends():
    check = tokens.sampler_stops_on_end
    assert check(["<end>"], [("the tokenizer's end", "<end>")]).status == "pass"
    assert check(["<pad>"], [("the tokenizer's end", "<end>")]).status == "fail"
    assert check(["<pad>"], [("the template's end of turn", "<|im_end|>")], ["<|im_end|>"]).status == "pass"
    assert check([], []).status == "fail"


def test_demonstrations_are_trained_as_written():
    check = tokens.demonstrations_are_whole
    assert check([("a b", "a b")]).status == "pass"
    assert check([("a b", "a b"), ("a b", "a ")]).status == "fail"
    assert check([]).status == "unknown"


def test_texts_come_back():
    check = tokens.tokens_round_trip
    whole = [_same(f"text {i}") for i in range(40)]
    lost = Spelled(kind="answer", before="3＋4", after="3<unk>4", unknown=1)
    assert check(whole).status == "pass"
    assert check([*whole, lost]).status == "warn"
    assert check([lost] * 40).status == "fail"
    assert check([*whole, Spelled(kind="answer", before="a .", after="a.", unknown=0)]).status == "warn"
    assert check([]).status == "unknown"


def test_prompts_begin_once():
    check = tokens.begins_once
    assert check([1, 1], token="<s>", expected=True).status == "pass"
    assert check([1, 2], token="<s>", expected=True).status == "fail"
    assert check([1, 0], token="<s>", expected=True).status == "fail"
    assert check([0, 0], token="<s>", expected=False).status == "pass"
    assert check([0], token=None, expected=False).status == "pass"
    assert check([], token="<s>", expected=True).status == "unknown"


def test_stops_spare_good_answers():
    check = tokens.stops_spare_answers
    answers = [f"7+8=15. The answer is {i}." for i in range(40)]
    assert check(answers, ["\n"]).status == "pass"
    assert check(answers, [". "]).status == "fail"
    assert check([*answers, "one\n\ntwo"], ["\n\n"]).status == "warn"
    assert check([f"{a}\n" for a in answers], ["\n"]).status == "pass"
    assert check([], ["\n"]).status == "unknown"


def test_stops_that_never_occur_warn():
    check = tokens.stops_can_occur
    assert check([_same("\n"), _same("Q:")]).status == "pass"
    assert check([_same("\\n")]).status == "warn"
    assert check([Spelled(kind="stop", before="＋", after="<unk>", unknown=1)]).status == "warn"


def test_a_seam_that_moves_tokens_warns():
    check = tokens.ends_where_answers_begin
    assert check([False] * 20).status == "pass"
    assert check([True] * 20, example="'A: '").status == "warn"
    assert check([]).status == "unknown"
