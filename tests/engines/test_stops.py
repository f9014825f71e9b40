import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from helpers import char_tokenizer
from trueloop.engines.stops import StopFinder

CORPUS = [
    "Question: où est 日本? Answer: là-bas.\n\nQuestion: 🙂🙃?\nAnswer: naïve café 🙂.\n",
    "the cat, the hat. ",
] * 20


def byte_level() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


def metaspace() -> PreTrainedTokenizerFast:
    """Words carry the space before them, and decoding strips the first one."""
    words = ["▁the", "▁cat", "▁", "the", "s", ".", "▁Q", ":", "<unk>"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def by_brute_force(tokenizer, tokens, stops):
    """(how many tokens, stop, text): decode everything after every token."""
    for count in range(1, len(tokens) + 1):
        text = tokenizer.decode(tokens[:count])
        found = [(text.index(stop), i) for i, stop in enumerate(stops) if stop in text]
        if found:
            start, i = min(found)
            return count, stops[i], text[:start]
    return None


def incrementally(tokenizer, tokens, stops):
    finder = StopFinder(tokenizer)
    for count in range(1, len(tokens) + 1):
        if hit := finder.find(tokens[:count], stops):
            return count, *hit
    return None


BYTE_STOPS = [("\n\n",), ("🙂",), ("本?",), ("Question:", "\n"), ("e c", "he ca"), (" ",), ("é 🙂.",), ("ï", "à-b")]
META_STOPS = [("the cat",), (" ",), ("cat ",), ("s.",), ("Q:", "the"), (" Q",)]


@pytest.mark.parametrize("stops", BYTE_STOPS)
def test_byte_level_stops_are_found_on_the_token_that_completes_them(stops):
    tokenizer, rng = byte_level(), random.Random(str(stops))
    text_tokens = tokenizer.encode(CORPUS[0])
    hits = 0
    for _ in range(150):
        tokens = [rng.randrange(len(tokenizer)) for _ in range(rng.randrange(12))] + text_tokens
        rng.shuffle(tokens) if rng.random() < 0.3 else None
        want = by_brute_force(tokenizer, tokens, stops)
        assert incrementally(tokenizer, tokens, stops) == want
        hits += want is not None
    assert hits > 50


@pytest.mark.parametrize("stops", META_STOPS)
def test_stops_where_decoding_strips_the_leading_space(stops):
    tokenizer, rng, hits = metaspace(), random.Random(str(stops)), 0
    for _ in range(300):
        tokens = [rng.randrange(8) for _ in range(rng.randrange(1, 40))]
        want = by_brute_force(tokenizer, tokens, stops)
        assert incrementally(tokenizer, tokens, stops) == want
        hits += want is not None
    assert hits > 50


def test_a_character_split_over_tokens_stops_on_its_last_byte():
    tokenizer = byte_level()
    table = {char: i for char, i in tokenizer.get_vocab().items() if len(char) == 1}
    names = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str("x日")[0][0]][0]
    tokens = [table[char] for char in names]
    assert len(tokens) == 4
    finder = StopFinder(tokenizer)
    assert [finder.find(tokens[:n], ("日",)) for n in (1, 2, 3, 4)] == [None, None, None, ("日", "x")]


def test_the_stop_that_begins_first_wins_then_the_first_listed():
    tokenizer = char_tokenizer()
    tokens = tokenizer.encode("abc")
    assert StopFinder(tokenizer).find(tokens, ("c", "bc", "abc")) == ("abc", "")
    assert StopFinder(tokenizer).find(tokens, ("bc", "b")) == ("bc", "a")


def test_special_tokens_stay_visible():
    tokenizer = char_tokenizer()
    assert StopFinder(tokenizer).text([tokenizer.encode("a")[0], 1]) == "a<eos>"
    assert StopFinder(tokenizer).text([]) == ""
