"""Commands that measure models, eval, compare and grade; and what a measurement is good for: sft-set and order."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueloop.cli import asked
from trueloop.errors import ConfigError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from trueloop.config import Config
    from trueloop.evaluate import Evaluation, Questions
    from trueloop.evaluate.answerers import Answerer
    from trueloop.store.checkpoints import Checkpoint

_SET = "change one setting of the task: --set max_tokens=1024; may be repeated"
_EVALUATIONS = "directories that trueloop eval wrote"


def add(commands: Any) -> None:
    """Register the commands with the subparsers `commands`."""
    _add_eval(commands)
    _add_compare(commands)
    _add_grade(commands)
    _add_sft_set(commands)
    _add_order(commands)


def _add_eval(commands: Any) -> None:
    parser = commands.add_parser(
        "eval",
        help="evaluate a model, a run's checkpoints or a server on a task",
        description="The same command goes on with an evaluation that was interrupted.",
    )
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a model, adapter or run directory, or a Hub id")
    parser.add_argument("task", metavar="TASK", nargs="?", help="a task's name (of a run: the task it is trained on)")
    parser.add_argument("--split", metavar="S", help="(test, where the task has one)")
    parser.add_argument("--n", type=int, metavar="N", help="problems (all); equal N means equal problems")
    parser.add_argument("--samples", type=int, default=1, metavar="K", help="completions of each problem (1)")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 is greedy (0)")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="(1: off)")
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="(0: off)")
    parser.add_argument("--shots", type=int, default=0, metavar="N", help="solved examples in the prompt (0)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(0)")
    parser.add_argument("--template", choices=("none", "chat"), help="the same as --set template=...")
    parser.add_argument("--base", nargs="+", type=Path, default=[], metavar="EVAL", help="break down by its pass rates")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the result goes (evaluations/..., or in the run)"
    )
    _add_data(parser)
    _add_workers(parser)
    _add_local(parser)
    server = parser.add_argument_group("of a server")
    server.add_argument("--endpoint", metavar="URL", help="an OpenAI-compatible server: http://localhost:8000/v1")
    server.add_argument("--model", dest="served", metavar="NAME", help="what the server calls the model")
    server.add_argument("--concurrency", type=int, default=16, metavar="N", help="requests at once (16)")
    server.add_argument(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="VAR",
        help="environment variable with the key (OPENAI_API_KEY)",
    )
    parser.set_defaults(command=_eval)


def _add_local(parser: argparse.ArgumentParser) -> None:
    local = parser.add_argument_group("of a run")
    local.add_argument("--checkpoint", default="latest", metavar="WHICH", help="latest, best or a step (latest)")
    local.add_argument("--follow", action="store_true", help="evaluate each checkpoint once, as they appear")
    local.add_argument("--until", type=int, metavar="STEP", help="follow no further")
    local.add_argument("--poll", type=float, default=10.0, metavar="S", help="seconds between looks for one (10)")
    local = parser.add_argument_group("of a local model")
    local.add_argument("--max-rows", type=int, default=256, metavar="N", help="completions decoded at once (256)")
    local.add_argument("--cache-tokens", type=int, default=65536, metavar="N", help="positions of the cache (65536)")
    local.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="(float32)")


def _add_compare(commands: Any) -> None:
    parser = commands.add_parser("compare", help="differences between evaluations of the same rows")
    parser.add_argument("baseline", type=Path, metavar="A", help=_EVALUATIONS)
    parser.add_argument("candidates", type=Path, nargs="+", metavar="B")
    parser.add_argument("--figure", metavar="PART", help="a part of the verdict, or pass@K (what passed)")
    _add_allow(parser)
    parser.set_defaults(command=_compare)


def _add_grade(commands: Any) -> None:
    parser = commands.add_parser(
        "grade",
        help="grade completions made elsewhere",
        description="One verdict for each row of FILE, in the same order: passed, reward, status, answer, why, parts.",
    )
    parser.add_argument("task", metavar="TASK", help="a task's name, such as gsm8k")
    parser.add_argument("file", type=Path, metavar="FILE", help="JSONL: the task's own columns, and completion")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="where the verdicts go, as JSONL")
    parser.add_argument(
        "--mode",
        metavar="M",
        help="which reading counts, such as lenient (also called any) or strict (the task's first)",
    )
    _add_settings(parser)
    _add_workers(parser)
    parser.set_defaults(command=_grade)


def _add_sft_set(commands: Any) -> None:
    parser = commands.add_parser("sft-set", help="right completions of problems in a range of pass rates, to train on")
    parser.add_argument("evaluations", type=Path, nargs="+", metavar="EVAL", help=_EVALUATIONS)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSONL: id, prompt, completion, rate")
    parser.add_argument("--min-rate", type=float, default=0.0, metavar="R", help="pass rate at least (0)")
    parser.add_argument("--max-rate", type=float, default=0.5, metavar="R", help="pass rate below (0.5)")
    parser.add_argument("--per-problem", type=int, default=1, metavar="N", help="completions of each at most (1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice among right completions (0)")
    parser.add_argument("--allow-test", action="store_true", help="take rows of a split that is not train")
    _add_allow(parser)
    parser.set_defaults(command=_sft_set)


def _add_order(commands: Any) -> None:
    parser = commands.add_parser("order", help="a curriculum by pass rate, for the order of a run's tasks")
    parser.add_argument("evaluations", type=Path, nargs="+", metavar="EVAL", help=_EVALUATIONS)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="problem ids, one a line")
    parser.add_argument("--hardest-first", action="store_true", help="the other way round")
    parser.add_argument("--lowest", type=float, default=0.0, metavar="R", help="leave out pass rates below (0)")
    parser.add_argument("--highest", type=float, default=1.0, metavar="R", help="leave out pass rates above (1)")
    _add_data(parser)
    _add_allow(parser)
    parser.set_defaults(command=_order)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder with the task's files (else the Hub)")
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[], help=_SET)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    cores = min(8, len(os.sched_getaffinity(0)))
    parser.add_argument("--workers", type=int, default=cores, metavar="N", help=f"processes that grade ({cores})")


def _add_allow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow", action="append", default=[], metavar="KEY", help="a condition that may differ; may be repeated"
    )


def _eval(arguments: argparse.Namespace) -> int:
    from trueloop.config import plain
    from trueloop.evaluate.shown import shown_evaluation

    if arguments.follow:
        asked.require_run(arguments)
    settings = asked.settings_of(arguments)
    questions = asked.questions_of(arguments, settings.build())
    asked.say_isolation(questions.task)
    if arguments.follow:
        return _follow(arguments, questions, settings)
    place, answerer = asked.answerer_of(arguments)
    out = arguments.out or asked.default_out(arguments, questions) / place
    found = _into(arguments, answerer, questions, out, plain(settings))
    print(shown_evaluation(found))
    print(f"written: {out}")
    return 0


def _follow(arguments: argparse.Namespace, questions: Questions, settings: Config) -> int:
    from trueloop.config import plain
    from trueloop.evaluate.files import identity
    from trueloop.evaluate.follow import follow
    from trueloop.evaluate.places import Place
    from trueloop.evaluate.shown import shown_headline
    from trueloop.evaluate.whole import conditions

    out = arguments.out or asked.default_out(arguments, questions)

    def one(checkpoint: Checkpoint, place: Path) -> None:
        answerer = asked.local(arguments, Place.of(checkpoint))
        found = _into(arguments, answerer, questions, place, plain(settings))
        print(f"step {checkpoint.step}: {shown_headline(found)}", flush=True)

    def report(line: str) -> None:
        print(line, flush=True)

    covers = identity(conditions(questions, asked.base_rates(arguments)), {"kind": "local", "dtype": arguments.dtype})
    done = follow(
        Path(arguments.model), out, one, asked=covers, until=arguments.until, poll_s=arguments.poll, report=report
    )
    print(f"evaluated {len(done.evaluated)} checkpoints, {len(done.found)} were evaluated before: {out}")
    if done.failed or done.missed:
        print(f"NOT EVALUATED: failed at steps {list(done.failed)}, removed by the run at steps {done.missed}")
    return 1 if done.failed else 0


def _into(
    arguments: argparse.Namespace,
    answerer: AbstractAsyncContextManager[Answerer],
    questions: Questions,
    out: Path,
    settings: dict[str, Any],
) -> Evaluation:
    import asyncio

    from trueloop.cli.progress import Line
    from trueloop.evaluate.whole import evaluate_into

    line = Line()

    def progress(done: int, right: int, asked: int) -> None:
        line.show(lambda: f"{done} of {asked} completions, {right / done:.1%} right so far")

    async def go() -> Evaluation:
        async with answerer as ready:
            return await evaluate_into(
                ready,
                questions,
                out,
                name=out.name,
                settings=settings,
                base_rates=asked.base_rates(arguments),
                workers=arguments.workers,
                progress=progress,
            )

    try:
        return asyncio.run(go())
    except KeyboardInterrupt:
        line.end()
        print(f"the completions that are done are kept beside {out}; the same command goes on with it", file=sys.stderr)
        raise
    finally:
        line.end()


def _compare(arguments: argparse.Namespace) -> int:
    from trueloop.evaluate.compare import compare
    from trueloop.evaluate.files import load
    from trueloop.evaluate.shown import shown_comparison

    paths = [arguments.baseline, *arguments.candidates]
    evaluations = [load(path) for path in paths]
    print(shown_comparison(compare(evaluations, list(map(str, paths)), figure=arguments.figure, allow=arguments.allow)))
    return 0


def _grade(arguments: argparse.Namespace) -> int:
    import asyncio

    from trueloop.cli.progress import Line
    from trueloop.evaluate.grading import Grading, grade_file
    from trueloop.evaluate.naming import task_settings
    from trueloop.evaluate.shown import shown_grading

    task = task_settings(arguments.task, arguments.overrides).build()
    asked.say_isolation(task)
    line = Line()

    def progress(found: Grading) -> None:
        line.show(lambda: f"graded {found.rows} rows, {found.passed} passed, {line.rate(found.rows)}")

    grading = grade_file(
        task, arguments.file, arguments.out, mode=arguments.mode, workers=arguments.workers, progress=progress
    )
    try:
        found = asyncio.run(grading)
    except KeyboardInterrupt:
        line.end()
        print(f"nothing was written to {arguments.out}", file=sys.stderr)
        raise
    finally:
        line.end()
    print(shown_grading(found))
    print(f"written: {arguments.out}")
    return 0 if found.statuses["scored"] else 1


def _sft_set(arguments: argparse.Namespace) -> int:
    from trueloop.evaluate.files import load, load_problems
    from trueloop.evaluate.tables import sft_rows, write_jsonl

    if arguments.out.suffix != ".jsonl":
        raise ConfigError(f"--out {arguments.out}: files are read by their ending; expected a name that ends in .jsonl")
    rows = sft_rows(
        [load(path) for path in arguments.evaluations],
        list(map(str, arguments.evaluations)),
        {i: problem for path in arguments.evaluations for i, problem in load_problems(path).items()},
        seed=arguments.seed,
        min_rate=arguments.min_rate,
        max_rate=arguments.max_rate,
        per_problem=arguments.per_problem,
        allow_test=arguments.allow_test,
        allow=arguments.allow,
    )
    write_jsonl(rows, arguments.out)
    counted = len(asked.table_of(arguments.evaluations, arguments.allow).counts)
    chosen = len({row["id"] for row in rows})
    print(f"{len(rows)} completions of {chosen} problems, of {counted} with a pass rate: {arguments.out}")
    return 0


def _order(arguments: argparse.Namespace) -> int:
    from trueloop.evaluate.files import load
    from trueloop.evaluate.naming import task_settings
    from trueloop.evaluate.tables import matched, order, write_order

    table = asked.table_of(arguments.evaluations, arguments.allow)
    ids = order(table, lowest=arguments.lowest, highest=arguments.highest, hardest_first=arguments.hardest_first)
    stored = load(arguments.evaluations[0]).settings
    if stored is None:
        raise ConfigError(f"{arguments.evaluations[0]}: has no settings of its task; make it with trueloop eval")
    task = task_settings(stored["kind"], arguments.overrides, data=arguments.data, base=stored).build()
    known = [problem.id for problem in task.problems(table.split)]
    share = matched(ids, known, f"{table.task}/{table.split}")
    write_order(ids, arguments.out)
    print(
        f"{len(ids)} ids, {share:.1%} of them among the {len(known)} problems of {table.task}/{table.split}, "
        f"{len(set(known) - set(ids))} problems left out: {arguments.out}"
    )
    return 0
