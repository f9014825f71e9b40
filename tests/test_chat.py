import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from trueloop.chat import describe, encode_completion, encode_prompt, has_chat_template, template_hash
from trueloop.errors import DataError
from trueloop.records import Message

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<pad>", "<s>", "<end>", "<|im_start|>", "<|im_end|>"]


def build(*, template=CHATML, eos="<|im_end|>", bos=None, adds_bos=False, pad="<pad>"):
    vocabulary = {t: i for i, t in enumerate([*SPECIAL, "\n", *(chr(c) for c in range(32, 127))])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    if adds_bos:
        inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=eos, pad_token=pad, bos_token=bos, chat_template=template
    )


def test_raw_text_is_encoded_as_it_stands():
    tokenizer = build()
    ids = encode_prompt(tokenizer, "Q: 1+2=?\nA: ", "none")
    assert len(ids) == 12 and tokenizer.decode(ids) == "Q: 1+2=?\nA: "


def test_a_beginning_token_comes_from_the_tokenizer_and_once():
    adds, has = build(bos="<s>", adds_bos=True), build(bos="<s>")
    assert adds.decode(encode_prompt(adds, "hi", "none")) == "<s>hi"
    assert adds.decode(encode_prompt(adds, "<s>hi", "none")) == "<s>hi"
    assert has.decode(encode_prompt(has, "hi", "none")) == "hi"


def test_the_template_is_applied_once_and_opens_the_assistants_turn():
    tokenizer = build(bos="<s>", adds_bos=True)
    shown = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(encode_prompt(tokenizer, "hi", "chat")) == shown
    turns = (Message(role="system", content="be brief"), Message(role="user", content="hi"))
    ids = encode_prompt(tokenizer, turns, "chat")
    assert tokenizer.decode(ids) == "<|im_start|>system\nbe brief<|im_end|>\n" + shown
    assert ids[0] == SPECIAL.index("<|im_start|>")


@pytest.mark.parametrize(
    "text",
    ["<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "the end is <|im_end|> now"],
)
def test_a_prompt_that_is_templated_already_is_refused(text):
    with pytest.raises(DataError, match=r"message 0 \(user\) already contains '<\|im_(start|end)\|>'"):
        encode_prompt(build(), text, "chat")


def test_a_template_of_plain_text_markers_is_recognised_too():
    tokenizer = build(template="{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}")
    with pytest.raises(DataError, match=r"already contains '\[INST\]'"):
        encode_prompt(tokenizer, "[INST] hi [/INST]", "chat")


def test_messages_need_a_template_and_a_template_needs_a_tokenizer_that_has_it():
    turns = (Message(role="user", content="hi"),)
    with pytest.raises(DataError, match="1 messages with template 'none'"):
        encode_prompt(build(), turns, "none")
    with pytest.raises(DataError, match="no chat template"):
        encode_prompt(build(template=None), turns, "chat")
    with pytest.raises(DataError, match="no chat template"):
        template_hash(build(template=None), "chat")


@pytest.mark.parametrize("turns", [(), (Message(role="user", content="a"), Message(role="assistant", content="b"))])
def test_a_conversation_that_leaves_nothing_to_answer_is_refused(turns):
    with pytest.raises(DataError, match="ends with"):
        encode_prompt(build(), turns, "chat")


def test_an_empty_prompt_needs_a_beginning_token():
    with pytest.raises(DataError, match="empty"):
        encode_prompt(build(), "", "none")
    assert encode_prompt(build(bos="<s>", adds_bos=True), "", "none") == (1,)


def test_a_completion_ends_with_the_end_token_exactly_once():
    tokenizer = build(bos="<s>", adds_bos=True)
    end = SPECIAL.index("<|im_end|>")
    ids = encode_completion(tokenizer, "85.", end)
    assert tokenizer.decode(ids) == "85.<|im_end|>"
    assert encode_completion(tokenizer, "85.<|im_end|>", end) == ids
    assert encode_completion(tokenizer, "", end) == (end,)


def test_the_hash_tells_formats_apart_and_nothing_else():
    base, adds = build(), build(bos="<s>", adds_bos=True)
    assert template_hash(base, "none") == template_hash(build(template=None), "none")
    assert template_hash(base, "none") != template_hash(adds, "none")
    assert template_hash(base, "chat") == template_hash(build(), "chat")
    assert template_hash(base, "chat") != template_hash(build(template=CHATML + " "), "chat")
    assert template_hash(base, "chat") != template_hash(base, "none")


def test_a_base_model_with_its_siblings_template_is_still_a_base_model():
    chat, inherited, bare = build(), build(eos="<end>"), build(template=None, eos="<end>")
    assert [has_chat_template(t) for t in (chat, inherited, bare)] == [True, True, False]
    assert [describe(t).kind for t in (chat, inherited, bare)] == ["chat", "base", "base"]
    assert [describe(t).turn_end for t in (chat, inherited, bare)] == ["<|im_end|>", "<|im_end|>", None]
    assert describe(inherited, end_ids=(SPECIAL.index("<|im_end|>"),)).kind == "chat"


def test_facts_about_padding_and_beginning():
    assert describe(build()).end_is_pad is False
    assert describe(build(eos="<end>", pad="<end>")).end_is_pad is True
    assert describe(build(pad=None)).end_is_pad is None
    assert [describe(t).adds_bos for t in (build(bos="<s>"), build(bos="<s>", adds_bos=True))] == [False, True]
