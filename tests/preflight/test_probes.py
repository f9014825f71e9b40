"""Texts that are put to verifiers."""

from trueloop.preflight import probes


def test_junk_never_ends_in_the_answer():
    texts = dict(probes.junk("Q: 1+1=?", "The answer is 201."))
    assert texts["all numbers"].endswith(" 202")
    assert texts["empty"] == ""
    assert texts["prompt echoed"] == "Q: 1+1=?"


def test_wrong_answers_have_other_values():
    texts = dict(probes.wrong("The answer is 85.", ["The answer is 85.", "The answer is 12.", "The answer is 9."]))
    assert texts["negated"] == "The answer is -85."
    assert texts["one more"] == "The answer is 86."
    assert texts["tenfold"] == "The answer is 850."
    assert texts["a digit before"] == "The answer is 185."
    assert texts["permuted"] == "The answer is 58."
    assert texts["another row's"] == "The answer is 12."
    assert texts["several answers"].splitlines()[1] == "The answer is 85."


def test_edits_that_keep_the_value_are_left_out():
    assert set(dict(probes.wrong("#### 0", []))) == {"one more", "a digit before"}
    assert dict(probes.wrong("#### -5", []))["negated"] == "#### 5"
    assert "permuted" not in dict(probes.wrong("#### 11", []))
    assert "tenfold" not in dict(probes.wrong("#### 0.5", []))
    assert dict(probes.wrong(r"\boxed{x}", [])) == {}


def test_programs():
    texts = dict(probes.wrong_program("def f(n):\n    return n", "f", ["def g(n):\n    return n"]))
    assert set(texts) == {"another row's", "does nothing"}
    assert "os._exit" in dict(probes.hacks("f"))["early exit"]
    assert "def f(" in dict(probes.hacks("f"))["always equal"]


def test_reasoned_answers_end_in_the_answer_and_grow():
    short, long = (text for _, text in probes.reasoned("#### 5"))
    assert short.endswith("#### 5")
    assert len(long) > 4 * len(short)


def test_candidates_and_cuts():
    assert ("answer", "The answer is 7.") in list(probes.candidates({"answer": 7, "skip": None, "flag": True}))
    assert {column for column, _ in probes.candidates({"answer": 7, "flag": True})} == {"answer"}
    assert probes.cut("a\nb\n\nc", ("\n\n", "\n")) == ("a", "\n")
    assert probes.cut("abc", ("x",)) == ("abc", None)
