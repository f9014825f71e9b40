from helpers import tiny_policy
from trueloop.chat import describe, encode_prompt
from trueloop.faults import dialects
from trueloop.models import Policy
from trueloop.recipes import wiring
from trueloop.tasks.worlds.arithmetic import Arithmetic


def test_an_answer_goes_on_with_the_next_problem():
    task = Arithmetic(highest=12).build()
    rows = list(task.demonstrations("train"))[:2]
    first, second = dialects.and_another(rows)
    assert first.completion == f"{rows[0].completion}\n{rows[1].problem.prompt}{rows[1].completion}"
    assert second.completion.endswith(rows[0].completion)


def test_a_chat_question_has_no_labels():
    task = Arithmetic(highest=12).build()
    dialects.ask_in_chat(task)
    problem = task.problems("train")[0]
    assert task.template == "chat"
    assert f"Q: {task.prompt(problem)}\nA: " == problem.prompt


def test_the_templated_model_is_the_model_with_a_template_that_ends_in_no_end(tmp_path):
    policy = wiring.build_policy(wiring.Tiny(), None, seed=0)
    (tmp_path / "arithmetic").mkdir()
    policy.save(tmp_path / "arithmetic")
    found = Policy.load(dialects.templated_model(tmp_path / "arithmetic"))
    facts = describe(found.tokenizer, found.end_ids)
    assert (facts.kind, facts.turn_end) == ("base", dialects.CLOSES)
    text = found.tokenizer.decode(list(encode_prompt(found.tokenizer, "1+1=?", "chat")))
    assert text == "<|turn|>user\n1+1=?<|close|>\n<|turn|>assistant\n"
    assert len(found.base_model.get_input_embeddings().weight) == len(policy.tokenizer) + 2


def test_nothing_is_made_of_a_model_that_is_not_there(tmp_path):
    for make in (dialects.templated_model, dialects.chat_model, dialects.rambling_model):
        assert not make(tmp_path / "none").exists()
    assert tiny_policy().end_ids == (1,)
