"""When two questions are the same, and when they only look alike."""

from trueloop.preflight.texts import bare, near_pairs, normal, sketches, text_of
from trueloop.records import Message

APPLES = (
    "Janet has 16 apples and eats three of them every single day until there is none of them left over "
    "for her brother, who would like to know how long it takes before he has to go to the market again "
    "and buy some more of them"
)


def test_dressing_is_dropped_and_signs_and_decimals_stay():
    assert normal("  What is  **3.5**?\n") == "what is 3.5"
    assert normal("3-4") != normal("3+4")
    assert normal("1,000") == "1,000"


def test_a_conversation_is_one_text():
    assert text_of((Message(role="system", content="a"), Message(role="user", content="b"))) == "a\nb"


def test_bare_leaves_out_what_all_share_in_whole_words():
    assert bare(["Q: 37+48=?\nA: ", "Q: 31+49=?\nA: "]) == ["37+48", "31+49"]
    assert bare(["same", "same"]) == ["same", "same"]
    assert bare(["Q: 1", "Q: 12"]) == ["1", "12"]


def test_near_pairs_have_the_same_numbers():
    texts = {
        "a": normal(APPLES),
        "b": normal(APPLES.replace("every single day", "every day")),
        "c": normal(APPLES.replace("16", "17")),
    }
    assert near_pairs(sketches(texts)) == [("a", "b")]
    other = {k: texts[k] for k in "bc"}
    assert near_pairs(sketches({"a": texts["a"]}), sketches(other)) == [("a", "b")]


def test_short_texts_are_not_compared():
    assert near_pairs(sketches({"a": "37+48=", "b": "37+48 ="})) == []
