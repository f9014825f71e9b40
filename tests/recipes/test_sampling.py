"""What sampling recipes share, without any recipe: the warm start that hands over, and how problems are asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trueloop.config import Resolved, plain
from trueloop.loop.loop import Ending
from trueloop.models import Policy
from trueloop.preflight.gate import Gate
from trueloop.recipes import sampling, sft, wiring
from trueloop.store.run import Run
from trueloop.train.step import Trainer

HINT = {"template": "<{target}>{prompt}", "share": 1.0}
LOOP = {"steps": 2, "checkpoint_every": 1}


def config(**changes: Any) -> sampling.Common:
    task = {"kind": "arithmetic", "lowest": 1, "highest": 9, "held_out": 0.1, "max_tokens": 6}
    settings = {
        "seed": 3,
        "model": {"kind": "tiny"},
        "optim": {"lr": 1e-3},
        "loop": LOOP,
        "tasks": {"kind": "weighted", "parts": [{"task": task}]},
        "flow": {"problems_per_step": 2, "samples": {"kind": "fixed", "n": 2}},
    }
    return sampling.Common.model_validate_json(json.dumps(settings | changes))


WARM = {"rows_per_step": 4, "optim": {"lr": 1e-2}, "loop": LOOP, "hint": HINT}


def run(settings: sampling.Common, out: Path, *, resume: bool = False) -> tuple[wiring.Outcome, list[str]]:
    """A recipe that trains nothing: how it ended, and the fingerprint of every policy that it was given."""
    seen: list[str] = []

    async def train(config: sampling.Common, policy: Policy, store: Run, rehearsing: sampling.Rehearsing) -> Ending:
        if not rehearsing.only:
            seen.append(policy.fingerprint())
        return Ending(step=0, outcome="completed", why="nothing to do")

    resolved = Resolved(recipe="none", config=settings, presets=(), difference={}, raw=plain(settings))
    return sampling.run("none", settings, resolved, out, resume, train, gate=Gate(), data={"more": "abc"}), seen


def test_what_is_trained_starts_where_the_warm_start_ended(tmp_path: Path) -> None:
    fresh = wiring.build_policy(wiring.Tiny(), None, 3).fingerprint()
    assert run(config(), tmp_path / "cold")[1] == [fresh]
    outcome, seen = run(config(warm_start=WARM), tmp_path / "warm")
    found = Run.open(tmp_path / "warm/warm_start")
    model = sft.last_model(found)
    assert model is not None
    assert seen == [Policy.load(model).fingerprint()] != [fresh]
    assert "nothing to do" in outcome.summary
    assert Run.open(tmp_path / "warm").info.data["more"] == "abc"


def test_the_warm_start_is_a_run_of_its_own_with_the_shared_settings_and_its_own_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    step = Trainer.step

    def spy(self: Trainer, streams: Any) -> Any:
        texts.extend(str(self.policy.tokenizer.decode(list(s.tokens))) for stream in streams for s in stream.samples)
        return step(self, streams)

    monkeypatch.setattr(Trainer, "step", spy)
    run(config(warm_start=WARM), tmp_path / "run")
    info = Run.open(tmp_path / "run/warm_start").info
    assert (info.recipe, info.seed) == ("sft", 3)
    assert info.config["hint"] == HINT
    texts = texts[-2 * 4 :]  # before them come those of the steps that are tried and taken back
    for text in texts:
        hint, question = text[1:].split(">", 1)
        a, b = question.removeprefix("Q: ").split("=")[0].split("+")
        assert int(hint) == int(a) + int(b)


def test_an_interrupted_warm_start_ends_the_run_as_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> tuple[Ending, None]:
        return Ending(step=1, outcome="interrupted", why="stopped by a signal", signal=15), None

    with monkeypatch.context() as patched:
        patched.setattr(sft, "train", interrupted)
        outcome, seen = run(config(warm_start=WARM), tmp_path / "run")
    assert (outcome.signal, seen) == (15, [])
    assert Run.open(tmp_path / "run").status()["state"] == "interrupted"
    assert len(run(config(warm_start=WARM), tmp_path / "run", resume=True)[1]) == 1


def test_shots_follow_their_schedule_and_never_show_the_problem_itself() -> None:
    settings = config(shots={"kind": "piecewise", "points": [[0, 0], [1, 3]]})
    asking = sampling.Asking(settings, wiring.build_policy(settings.model, None, 0))
    for problem in asking.first.problems("train")[:12]:
        assert asking.prompt(problem, 1) == problem.prompt
        shown = str(asking.prompt(problem, 2))
        assert shown.endswith(str(problem.prompt))
        assert (shown.count("Q: "), shown.count(str(problem.prompt))) == (4, 1)


def test_demonstrations_mixed_in_are_a_stream_of_their_own() -> None:
    settings = config()
    asking = sampling.Asking(settings, wiring.build_policy(settings.model, None, 0))
    feed = asking.sft_mix(sampling.SftMix(rows_per_step=3, coefficient=0.25))
    assert feed is not None
    assert asking.sft_mix(None) is None
    (stream,) = feed.streams(feed.items[:3], 1)
    assert (stream.name, stream.coefficient, len(stream.samples)) == ("sft_mix", 0.25, 3)
    assert len(feed.items) == len(asking.first.demonstrations("train"))


def test_a_plan_counts_the_most_tokens_that_can_be_sampled() -> None:
    lines, tokens = sampling.plan(config(warm_start=WARM), "Nothing")
    assert tokens == 2 * 2 * 2 * 6
    assert lines[0].startswith("Nothing on arithmetic")
    assert lines[1].startswith("warm start: SFT on")
