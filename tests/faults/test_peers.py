from helpers import tiny_policy
from trueloop.faults.peers import shuffled_vocabulary


def test_another_vocabulary_reads_and_writes_the_same_texts_by_other_ids():
    policy, plain = tiny_policy(), tiny_policy().tokenizer
    before = plain.encode("sum: 12+7", add_special_tokens=False)
    encode, decode = policy.tokenizer.encode, policy.tokenizer.decode
    try:
        shuffled_vocabulary(policy)
        after = policy.tokenizer.encode("sum: 12+7", add_special_tokens=False)
        assert after != before and policy.tokenizer.decode(after) == "sum: 12+7"
    finally:
        policy.tokenizer.encode, policy.tokenizer.decode = encode, decode
