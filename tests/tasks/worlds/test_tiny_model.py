import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from trueloop.chat import describe, encode_completion, encode_prompt
from trueloop.tasks.worlds.arithmetic import Arithmetic
from trueloop.tasks.worlds.tiny_model import ALPHABET, END, PAD, VOCABULARY, model_config, write_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(directory)
    assert sorted(p.name for p in directory.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    return AutoTokenizer.from_pretrained(directory)


def test_end_and_padding_are_different_tokens_and_nothing_is_added(tokenizer):
    facts = describe(tokenizer)
    assert (facts.kind, facts.adds_bos, facts.end_is_pad) == ("base", False, False)
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == (END, PAD, None)
    assert len(tokenizer) == len(VOCABULARY) == model_config()["vocab_size"] == 99


def test_any_text_of_the_alphabet_survives(tokenizer):
    @settings(deadline=None)
    @given(st.text(alphabet=ALPHABET, max_size=80).filter(lambda t: "<" not in t))
    def survives(text):
        ids = tokenizer.encode(text)
        assert len(ids) == len(text) and tokenizer.decode(ids) == text

    survives()


def test_a_saved_tokenizer_is_the_same_tokenizer(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = " Q: 1+2=?\nA:  3 ."
    assert again.encode(text) == tokenizer.encode(text) and again.decode(again.encode(text)) == text
    assert (again.eos_token_id, again.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)


def test_the_worlds_texts_have_no_unknown_characters_and_end_once(tokenizer):
    task = Arithmetic(highest=40).build()
    for d in task.demonstrations("train")[:200]:
        prompt = encode_prompt(tokenizer, task.prompt(d.problem, task.few_shot(1, d.problem.id)), "none")
        completion = encode_completion(tokenizer, d.completion, tokenizer.eos_token_id)
        assert tokenizer.unk_token_id not in prompt + completion
        assert completion.count(tokenizer.eos_token_id) == 1 and completion[-1] == tokenizer.eos_token_id
        assert len(completion) <= task.max_tokens


def test_the_model_config_is_a_small_untied_qwen3():
    fields = model_config()
    config = AutoConfig.for_model(**fields)
    model = AutoModelForCausalLM.from_config(config)
    assert model.config.model_type == "qwen3" and not model.config.tie_word_embeddings
    assert model.lm_head.weight is not model.model.embed_tokens.weight
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(0.81e6, rel=0.02)
