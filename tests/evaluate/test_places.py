import asyncio
import shutil

import pytest

from trueloop.errors import EngineError, StoreError
from trueloop.evaluate import places
from trueloop.evaluate.answerers import Question
from trueloop.evaluate.places import Place, Serving, find, opened
from trueloop.models import LoRA, Policy
from trueloop.records import CheckResult, Sampling
from trueloop.store.run import Run
from trueloop.tasks.worlds import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model.write_tokenizer(folder / "tokenizer")
    Policy.fresh(tiny_model.model_config(), folder / "tokenizer", 0).save(folder / "model")
    return folder / "model"


def test_a_name_that_is_no_run_is_itself():
    assert find("Qwen/Qwen3-0.6B") == Place(path="Qwen/Qwen3-0.6B")
    with pytest.raises(StoreError, match="no run directory"):
        find("Qwen/Qwen3-0.6B", "best")


def test_a_run_has_checkpoints_by_step_and_by_score(tmp_path):
    with Run.create(tmp_path / "run", recipe="fake", config={}, difference={}, seed=0, data={}) as run:
        with pytest.raises(StoreError, match="it has none yet"):
            find(str(run.path))
        for step, score in ((2, 0.5), (4, 0.9), (6, 0.7)):
            run.checkpoints.save(step, lambda place: (place / "model").mkdir(), score=score)
        steps = {which: find(str(run.path), which).step for which in ("latest", "best", "4")}
        assert steps == {"latest": 6, "best": 4, "4": 4}
        assert find(str(run.path)).path == str(run.checkpoints.all()[-1].path / "model")
        with pytest.raises(StoreError, match="no checkpoint '5'; it has steps 4, 6"):
            find(str(run.path), "5")


def test_what_a_run_was_allowed_to_fail_is_carried_by_its_models(tmp_path):
    with Run.create(tmp_path / "run", recipe="fake", config={}, difference={}, seed=0, data={}) as run:
        run.checkpoints.save(2, lambda place: (place / "model").mkdir())
        assert places.allowances(find(str(run.path)).path) == {}
        run.add_check(CheckResult(id="data.overlap", status="fail", allowed="a rehearsal"), 0)
        run.add_check(CheckResult(id="data.ids", status="fail"), 0)
    assert places.allowances(find(str(tmp_path / "run")).path) == {"data.overlap": "a rehearsal"}
    assert places.allowances("Qwen/Qwen3-0.6B") == {}


def answered(place):
    question = Question(
        id="q/0", prompt="Q: 11+22=?\nA: ", template="none", sampling=Sampling(max_tokens=6, temperature=0.0)
    )

    async def go():
        async with opened(place, Serving(max_rows=4, cache_tokens=512)) as answerer:
            return dict(answerer.model), [answer async for _, answer in answerer.answers([question])]

    return asyncio.run(go())


def test_the_weights_say_who_answered(model, tmp_path):
    shutil.copytree(model, tmp_path / "copy")
    first, (said,) = answered(Place(path=str(model)))
    copy, (again,) = answered(Place(path=str(tmp_path / "copy"), step=7, checkpoint="c"))
    assert first["weights"] == copy["weights"] and first["path"] != copy["path"]
    assert said.text == again.text and said.tokens == 6 and (said.version, again.version) == (0, 7)
    assert (copy["step"], copy["checkpoint"]) == (7, "c")


def test_an_adapter_is_merged_into_its_base(model, tmp_path):
    import torch

    policy = Policy.load(model, adapter=LoRA(rank=2, alpha=4))
    with torch.no_grad():
        for name, parameter in policy.trainable().items():
            parameter.normal_(generator=torch.Generator().manual_seed(len(name)))
    policy.save(tmp_path / "adapter")
    policy.export_merged(tmp_path / "merged")
    base, adapter, merged = (answered(Place(path=str(p))) for p in (model, tmp_path / "adapter", tmp_path / "merged"))
    assert adapter[1] == merged[1] and adapter[0]["weights"] != base[0]["weights"]


def test_lost_answers_of_a_server_are_explained(monkeypatch):
    class Down:
        """Has nothing to say."""

        def __init__(self, url, model, **options):
            self.options = options

        async def __aenter__(self):
            return self

        async def __aexit__(self, *error):
            pass

    monkeypatch.setattr(places, "Remote", Down)

    async def go(failures):
        async with places.remote("http://x/v1", "m", api_key=None, concurrency=2) as answerer:
            answerer.failures.update(failures)
            raise EngineError("9 of 10 were lost")

    with pytest.raises(EngineError, match=r"9 of 10 were lost\n.*most frequent failure, 8 times: 502"):
        asyncio.run(go({"401": 1, "502": 8}))
    with pytest.raises(EngineError, match=r"^9 of 10 were lost$"):
        asyncio.run(go({}))
