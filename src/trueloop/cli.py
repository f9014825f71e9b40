"""The command line.  Nothing heavy is imported before a command needs it, so that help is immediate."""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from trueloop import __version__
from trueloop.errors import ConfigError, EngineError, StoreError, TrueloopError
from trueloop.recipes import RECIPES

if TYPE_CHECKING:
    from trueloop.config import Resolved, Source

_SET = "change one key: --set optim.lr=1e-5, --set 'loss={kind=\"cispo\", max_ratio=2.0}'"

_FILE_ERRORS = {
    errno.ENOSPC: "the disk is full; free some space, or choose another place",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose another place",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: "permission denied; choose another place, or change its permissions",
    errno.EPERM: "permission denied; choose another place, or change its permissions",
    errno.ENOENT: "no such file or directory",
    errno.ENOTDIR: "a file stands where a directory was expected",
    errno.EISDIR: "a directory stands where a file was expected",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 for a failure, 2 for a bad configuration, 130 for Ctrl-C."""
    sys.excepthook = _report_bug
    try:
        code = _command(argv)
        sys.stdout.flush()
    except TrueloopError as error:
        return _fail(str(error), 2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return _fail("interrupted", 130)
    except BrokenPipeError:
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        _drop_output()
        if error.errno not in _FILE_ERRORS:
            raise
        return _fail(f"{error.filename or error}: {_FILE_ERRORS[error.errno]}", 1)
    return code


def _command(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    code: int = arguments.command(arguments)
    return code


def _drop_output() -> None:
    """Leave nothing to write that would fail a second time when the interpreter ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trueloop", description="Post-training for language models.")
    parser.add_argument("--version", action="version", version=f"trueloop {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run a preset or a .toml file")
    _add_config(run)
    _add_run_options(run)
    run.add_argument("--resume", action="store_true", help="go on where the run directory stopped")
    run.set_defaults(command=_run)

    resume = commands.add_parser("resume", help="go on where a run stopped, with the configuration that it has")
    resume.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    _add_overrides(resume, "change one key of loop: --set loop.steps=200")
    resume.set_defaults(command=_resume, seed=None, dry_run=False, resume=True)

    demo = commands.add_parser("demo", help="train a small model on arithmetic, on a CPU, from nothing")
    _add_run_options(demo)
    demo.set_defaults(command=_demo, config="arithmetic", out=Path("runs/demo"))

    presets = commands.add_parser("presets", help="list the presets")
    presets.set_defaults(command=_presets)

    show = commands.add_parser("show", help="print a whole configuration, as a file that can be run")
    _add_config(show)
    _add_overrides(show)
    _add_seed(show)
    show.set_defaults(command=_show)

    keys = commands.add_parser("keys", help="list every key of a recipe: type, default, meaning")
    keys.add_argument("recipe", metavar="RECIPE", choices=RECIPES, help=", ".join(RECIPES))
    keys.set_defaults(command=_keys)

    sample = commands.add_parser("sample", help="sample from a model or a run")
    sample.set_defaults(command=_sample)
    _add_sample_options(sample)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", metavar="CONFIG", help="a preset's name (trueloop presets lists them) or a .toml file"
    )


def _add_overrides(parser: argparse.ArgumentParser, example: str = _SET) -> None:
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[], help=example)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, metavar="N", help="the same as --set seed=N")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    _add_overrides(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run directory (runs/NAME)")
    _add_seed(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the plan and write nothing")


def _add_sample_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model, adapter or run directory, or a Hub id")
    parser.add_argument("prompts", metavar="PROMPT", nargs="+")
    parser.add_argument("--n", type=int, default=1, help="completions per prompt (1)")
    parser.add_argument("--max-tokens", type=int, default=128, metavar="N", help="(128)")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="0 is greedy (1)")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="(1: off)")
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="(0: off)")
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="a stop string; may be repeated")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(0)")
    parser.add_argument("--chat", action="store_true", help="put the prompt through the model's chat template")


def _run(arguments: argparse.Namespace) -> int:
    from trueloop.config import run_name

    recipe, resolved = _resolve(arguments)
    if arguments.dry_run:
        print(_heading(resolved), recipe.plan(resolved.config), sep="\n")
        return 0
    out = arguments.out or Path("runs") / run_name(arguments.config)
    outcome = recipe.run(resolved.config, resolved, out, arguments.resume)
    print(outcome.summary)
    if outcome.signal is not None:
        return 128 + int(outcome.signal)
    return 0 if outcome.ok else 1


def _resume(arguments: argparse.Namespace) -> int:
    """A run with the configuration in its own directory."""
    from trueloop.store.run import Run

    arguments.out = Run.open(arguments.run).path
    arguments.config = str(arguments.out / "config.toml")
    return _run(arguments)


def _demo(arguments: argparse.Namespace) -> int:
    """The arithmetic preset from its start, or from where an earlier demo stopped."""
    arguments.resume = arguments.out.exists()
    return _run(arguments)


def _show(arguments: argparse.Namespace) -> int:
    _, resolved = _resolve(arguments)
    print(*(f"# {line}" for line in _heading(resolved).splitlines()), resolved.to_toml(), sep="\n", end="")
    return 0


def _keys(arguments: argparse.Namespace) -> int:
    from trueloop.config import key_table

    print(key_table(importlib.import_module(f"trueloop.recipes.{arguments.recipe}").Config))
    return 0


def _resolve(arguments: argparse.Namespace) -> tuple[ModuleType, Resolved]:
    """The recipe and the configuration that the arguments ask for."""
    from trueloop.config import read, resolve

    source = read(arguments.config)
    recipe = _recipe(source)
    seed = [] if arguments.seed is None else [f"seed={arguments.seed}"]
    return recipe, resolve(recipe.Config, source, [*arguments.overrides, *seed])


def _recipe(source: Source) -> ModuleType:
    """The module of a source's recipe; it has Config, plan and run."""
    from trueloop.config import preset_names

    name = source.recipe
    if name is None:
        raise ConfigError(f'{source.presets[0]}: no recipe; say recipe = "...", or extend a preset: {preset_names()}')
    if name not in RECIPES:
        raise ConfigError(f"{source.presets[0]}: found recipe {name!r}, expected one of {', '.join(RECIPES)}")
    return importlib.import_module(f"trueloop.recipes.{name}")


def _heading(resolved: Resolved) -> str:
    """Where a configuration comes from, and what it changes of the shipped preset under it."""
    title = f"{' < '.join(resolved.presets)} ({resolved.recipe})"
    if all(name.endswith(".toml") for name in resolved.presets):
        return title
    changes = [f"  {key}: {_word(old)} -> {_word(new)}" for key, (old, new) in resolved.difference.items()]
    return "\n".join([title, *changes])


def _word(value: object) -> str:
    return "absent" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _presets(arguments: argparse.Namespace) -> int:
    from trueloop.config import preset_names, preset_title

    names = preset_names()
    width = max(map(len, names), default=0)
    for name in names:
        print(f"{name:<{width}}  {preset_title(name)}".rstrip())
    return 0


def _sample(arguments: argparse.Namespace) -> int:
    import asyncio

    from trueloop.chat import Template, encode_prompt
    from trueloop.engines.local import LocalEngine
    from trueloop.models import Policy
    from trueloop.records import Message, Request, Sampling, derive_seed

    def request(i: int, k: int) -> Request:
        text = arguments.prompts[i]
        template: Template = "chat" if arguments.chat else "none"
        prompt = (Message(role="user", content=text),) if arguments.chat else text
        return Request(
            id=f"{i}/{k}",
            prompt=encode_prompt(tokenizer, prompt, template),
            sampling=Sampling(
                max_tokens=arguments.max_tokens,
                temperature=arguments.temperature,
                top_p=arguments.top_p,
                top_k=arguments.top_k,
                stop=tuple(arguments.stop),
                seed=derive_seed(arguments.seed, i, k),
            ),
        )

    async def completions() -> dict[str, str]:
        engine = LocalEngine(policy.base_model, tokenizer, end_ids=policy.end_ids)
        done = {name: completion async for name, completion in engine.generate(requests)}
        await engine.close()
        if any(c.finish == "error" for c in done.values()):
            raise EngineError(
                f"{arguments.model}: a logit is not finite, so nothing can be drawn; the weights are broken"
            )
        return {name: c.text for name, c in done.items()}

    policy = Policy.load(_model_of(arguments.model))
    tokenizer: Any = policy.tokenizer
    requests = [request(i, k) for i in range(len(arguments.prompts)) for k in range(arguments.n)]
    texts = asyncio.run(completions())
    for i, prompt in enumerate(arguments.prompts):
        for k in range(arguments.n):
            if len(requests) > 1:
                print(f"--- prompt {i + 1}, completion {k + 1}")
            print(f"{prompt}{texts[f'{i}/{k}']}")
    return 0


def _model_of(name: str) -> str:
    """The newest model of a run directory; else the name as it is."""
    from trueloop.store.run import Run

    if not (Path(name) / "run.json").is_file():
        return name
    latest = Run.open(Path(name)).checkpoints.latest()
    if latest is None:
        raise StoreError(f"{name}: this run has no checkpoint yet; wait for one, or name a model directory")
    return str(latest.path / "model")


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nothing caught: a full disk that a library told in its own words, or else a bug."""
    if "No space left on device" in str(error):
        _fail(f"{error}: {_FILE_ERRORS[errno.ENOSPC]}", 1)
        return
    traceback.print_exception(kind, error, trace)
    print(f"error: this is a bug in trueloop {__version__}; the traceback above says where", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
