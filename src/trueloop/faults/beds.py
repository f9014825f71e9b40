"""The healthy runs that faults are planted into: small and quick, of embedded worlds, with a policy that has signal."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from trueloop.config import Source, read, resolve
from trueloop.errors import ConfigError
from trueloop.faults import dialects, pairs_bed, rows, seams
from trueloop.faults.base import Bed
from trueloop.preflight.gate import Gate
from trueloop.recipes import distill, rlvr, sampling, sft
from trueloop.store.artefacts import atomic_dir

SMALL = (
    "flow.problems_per_step=8",
    "flow.samples={kind='fixed', n=8}",
    "guard.problems=20",
    "loop.checkpoint_every=5",
    "optim.schedule={kind='constant'}",
)
WARM = ("warm_start.guard={every=10, metric='lenient', problems=100, stop={kind='target', value=0.45}}",)


def warm_model(folder: Path) -> Path:
    """The policy of the arithmetic world after its warm start: right in about half of its answers, in several formats.

    Made once and kept in `folder`.  A minute on one core.
    """
    model = folder / "arithmetic"
    if not model.exists():
        resolved = resolve(rlvr.Config, read("arithmetic"), WARM)
        assert resolved.config.warm_start is not None
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            config = sampling.warm_config(resolved.config)
            _, run = sft.train_alone(config, Path(work) / "run", title="warm start", gate=Gate())
            best = sft.best_model(run)
            assert best is not None
            with atomic_dir(model, what="the warm-started policy") as partial:
                for file in best.iterdir():
                    (partial / file.name).write_bytes(file.read_bytes())
    return model


def beds(model: Path) -> Mapping[str, Bed]:
    """The beds by name, for the warm-started policy of `warm_model`."""
    made = [make(model) for make in BEDS]
    return {bed.name: bed for bed in made}


def _rlvr(model: Path) -> Bed:
    return Bed(name="rlvr", recipe=rlvr, source=_without_warm_start("arithmetic", model), overrides=SMALL)


def _lora(model: Path) -> Bed:
    adapter = "adapter={kind='lora', rank=4, alpha=8}"
    return Bed(name="lora", recipe=rlvr, source=_without_warm_start("arithmetic", model), overrides=(*SMALL, adapter))


def _sft(model: Path) -> Bed:
    return Bed(name="sft", recipe=sft, source=read("sft/arithmetic"), overrides=("guard.problems=20",))


def _distill(model: Path) -> Bed:
    return Bed(name="distill", recipe=distill, source=_without_warm_start("distill/arithmetic", model), overrides=SMALL)


def _pairs(model: Path) -> Bed:
    return Bed(name="pairs", recipe=pairs_bed, source=_paired(model))


def _pairs_lora(model: Path) -> Bed:
    adapter = "adapter={kind='lora', rank=4, alpha=8}"
    return Bed(name="pairs_lora", recipe=pairs_bed, source=_paired(model), overrides=(adapter,))


def _own(model: Path) -> Bed:
    folder = model.parent / "own"
    verifier = f"{{kind='function', function='{folder}/rewards.py:right', style='trl'}}"
    limits = 'completion="completion", stops=["\\n"], max_tokens=64'
    task = f"{{kind='own', path='{folder}', {limits}, verifier={verifier}}}"
    return Bed(
        name="own",
        recipe=rlvr,
        source=_without_warm_start("arithmetic", model),
        overrides=(*SMALL, f"tasks.parts=[{{task={task}}}]", "guard.split='test'"),
        around=partial(_made, lambda _: rows.write_own(folder), model),
    )


def _programs(model: Path) -> Bed:
    """Its random policy writes no programs: a warm start is to come, so that what it samples says nothing."""
    folder = model.parent / "programs"
    task = f"{{kind='mbpp', path='{folder}', max_tokens=192}}"
    return Bed(
        name="programs",
        recipe=rlvr,
        source=read("arithmetic"),
        overrides=(
            f"tasks.parts=[{{task={task}}}]",
            "flow.problems_per_step=8",
            "flow.samples={kind='fixed', n=4}",
            "warm_start.rows_per_step=8",
            "warm_start.loop={steps=40, checkpoint_every=20}",
            "guard={every=20, metric='strict', split='test', problems=14}",
            "warm_start.guard={every=10, metric='strict', split='test', problems=14}",
        ),
        around=partial(_made, lambda _: rows.write_programs(folder), model),
    )


def _templated(model: Path) -> Bed:
    source = _without_warm_start("arithmetic", model.parent / "templated")
    return Bed(
        name="templated",
        recipe=rlvr,
        source=source,
        overrides=SMALL,
        around=partial(_made, dialects.templated_model, model),
    )


def _chat(model: Path) -> Bed:
    source = _without_warm_start("arithmetic", model.parent / "chat")
    return Bed(name="chat", recipe=rlvr, source=source, overrides=SMALL, around=partial(_in_chat, model))


def _rambling(model: Path) -> Bed:
    source = _without_warm_start("arithmetic", model.parent / "rambling")
    return Bed(
        name="rambling",
        recipe=rlvr,
        source=source,
        overrides=SMALL,
        around=partial(_made, dialects.rambling_model, model),
    )


@contextmanager
def _made(make: Callable[[Path], object], model: Path) -> Iterator[None]:
    make(model)
    yield


@contextmanager
def _in_chat(model: Path) -> Iterator[None]:
    """The chat model is there, and every task asks it with its template, the question without the frame of raw text."""
    dialects.chat_model(model)
    with seams.task(dialects.ask_in_chat):
        yield


BEDS: tuple[Callable[[Path], Bed], ...] = (
    _rlvr,
    _lora,
    _sft,
    _distill,
    _pairs,
    _pairs_lora,
    _templated,
    _chat,
    _rambling,
    _own,
    _programs,
)


def _paired(model: Path) -> Source:
    """The settings of a preference run, which has no preset yet."""
    settings = {
        "seed": 0,
        "model": {"kind": "pretrained", "path": str(model)},
        "optim": {"lr": 1e-4, "max_grad_norm": 1.0},
        "loop": {"steps": 50, "checkpoint_every": 10},
    }
    return Source(recipe="pairs", presets=("bed.toml",), layers=(settings,))


def _without_warm_start(preset: str, model: Path) -> Source:
    """A preset that starts from a trained policy instead of training one first."""
    source = read(preset)
    if source.recipe is None:
        raise ConfigError(f"{preset}: no recipe")
    start = {"model": {"kind": "pretrained", "path": str(model)}}
    layers = tuple({k: v for k, v in layer.items() if k not in ("warm_start", "model")} for layer in source.layers)
    return Source(recipe=source.recipe, presets=("bed.toml", *source.presets), layers=(start, *layers))
