import errno
import os
import signal
import subprocess
import sys
import textwrap
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from trueloop.cli import entry as cli
from trueloop.config import Config, loading
from trueloop.errors import ConfigError, StoreError
from trueloop.store.run import Run


class Recipe(Config):
    """A recipe.

    steps  that are taken
    """

    steps: int
    seed: int = 0
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    ok: bool
    summary: str
    signal: int | None = None


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe `fake` with the presets `fake/base` and `arithmetic`; what `run` was called with is kept in `calls`."""
    module = types.ModuleType("trueloop.recipes.fake")
    module.Config = Recipe
    module.calls = []
    module.outcome = Outcome(ok=True, summary="0.1 -> 0.9")
    module.plan = lambda config: f"{config.steps} steps"

    def run(config, resolved, out, resume, gate=None):
        module.calls.append((config, resolved.difference, out, resume))
        if isinstance(module.outcome, BaseException):
            raise module.outcome
        return module.outcome

    module.run = run
    monkeypatch.setitem(sys.modules, "trueloop.recipes.fake", module)
    monkeypatch.setattr(cli.runs, "RECIPES", ("fake",))
    monkeypatch.setattr(loading, "PRESETS", tmp_path / "presets")
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets/fake").mkdir(parents=True)
    (tmp_path / "presets/fake/base-1.7b.toml").write_text('# One GPU, three hours.\nrecipe = "fake"\nsteps = 3\n')
    (tmp_path / "presets/arithmetic.toml").write_text('extends = "fake/base-1.7b"\nsteps = 4\n')
    return module


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=os.environ | environment
    )


def test_run_resolves_and_hands_over(recipe, tmp_path, capsys):
    assert cli.main(["run", "fake/base-1.7b", "--set", "steps=5", "--seed", "7", "--out", "there", "--resume"]) == 0
    ((config, difference, out, resume),) = recipe.calls
    assert config == Recipe(steps=5, seed=7)
    assert difference == {"steps": (3, 5), "seed": (0, 7)}
    assert (str(out), resume) == ("there", True)
    assert capsys.readouterr().out == "0.1 -> 0.9\n"


def test_the_run_directory_has_the_whole_name_of_the_preset_unless_given(recipe):
    cli.main(["run", "fake/base-1.7b"])
    assert (str(recipe.calls[0][2]), recipe.calls[0][3]) == ("runs/fake/base-1.7b", False)


def test_a_file_is_run_too(recipe, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/mine.toml").write_text('recipe = "fake"\nsteps = 9\n')
    assert cli.main(["run", "there/mine.toml"]) == 0
    assert (recipe.calls[0][0], str(recipe.calls[0][2])) == (Recipe(steps=9), "runs/mine")


def test_a_dry_run_prints_the_plan_and_the_difference_and_runs_nothing(recipe, capsys):
    assert cli.main(["run", "arithmetic", "--set", "seed=2", "--dry-run"]) == 0
    assert capsys.readouterr().out == "arithmetic < fake/base-1.7b (fake)\n  seed: 0 -> 2\n4 steps\n"
    assert recipe.calls == []


def test_a_file_that_extends_nothing_has_no_preset_to_differ_from(recipe, tmp_path, capsys):
    (tmp_path / "mine.toml").write_text('recipe = "fake"\nsteps = 9\n')
    assert cli.main(["run", "mine.toml", "--dry-run"]) == 0
    assert capsys.readouterr().out == "mine.toml (fake)\n9 steps\n"


def test_demo_is_the_arithmetic_preset_and_goes_on_where_it_stopped(recipe, tmp_path):
    assert cli.main(["demo"]) == 0
    (tmp_path / "runs/demo").mkdir(parents=True)
    assert cli.main(["demo"]) == 0
    assert [(c[0].steps, str(c[2]), c[3]) for c in recipe.calls] == [(4, "runs/demo", False), (4, "runs/demo", True)]


def test_demo_can_be_planned(recipe, capsys):
    assert cli.main(["demo", "--dry-run"]) == 0
    assert (capsys.readouterr().out.splitlines()[-1], recipe.calls) == ("4 steps", [])


def stored_run(path, **config):
    """A run directory that no process writes."""
    config = {"steps": 4, "seed": 7} | config
    with Run.create(path, recipe="fake", config=config, difference={}, seed=7, data={}) as run:
        run.finish("finished", "")
    return run


def test_a_run_is_resumed_with_its_own_configuration(recipe, tmp_path):
    stored_run(tmp_path / "runs/old")
    assert cli.main(["resume", "runs/old", "--set", "steps=9"]) == 0
    ((config, _, out, resume),) = recipe.calls
    assert (config, str(out), resume) == (Recipe(steps=9, seed=7), "runs/old", True)


def test_what_is_no_run_cannot_be_resumed(recipe, tmp_path, capsys):
    assert cli.main(["resume", "absent"]) == 1
    assert capsys.readouterr().err.startswith("error: absent does not exist; expected the directory of a run")


def test_show_prints_a_file_that_can_be_run_under_what_it_changes(recipe, tmp_path, capsys):
    assert cli.main(["show", "arithmetic", "--seed", "2", "--set", 'note="a\\nb"']) == 0
    text = capsys.readouterr().out
    assert text == (
        "# arithmetic < fake/base-1.7b (fake)\n"
        '#   seed: 0 -> 2\n#   note: "" -> "a\\nb"\n'
        'recipe = "fake"\nsteps = 4\nseed = 2\nnote = "a\\nb"\n'
    )
    (tmp_path / "again.toml").write_text(text)
    assert cli.main(["run", "again.toml"]) == 0
    assert recipe.calls[0][0] == Recipe(steps=4, seed=2, note="a\nb")


def test_keys_are_listed_with_type_default_and_meaning(recipe, capsys):
    assert cli.main(["keys", "fake"]) == 0
    assert capsys.readouterr().out == (
        'steps  an integer; required  that are taken\nseed   an integer; 0\nnote   a string; ""\n'
    )
    assert cli.main(["keys", "fak"]) == 2


def test_presets_are_listed_with_their_first_line(recipe, capsys):
    assert cli.main(["presets"]) == 0
    assert capsys.readouterr().out == "arithmetic\nfake/base-1.7b  One GPU, three hours.\n"


def test_a_failed_run_exits_with_one(recipe):
    recipe.outcome = Outcome(ok=False, summary="no gain")
    assert cli.main(["run", "arithmetic"]) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_saved_and_left_exits_with_its_signal(recipe, number, code):
    recipe.outcome = Outcome(ok=True, summary="stopped", signal=number)
    assert cli.main(["run", "arithmetic"]) == code


@pytest.mark.parametrize(
    ("outcome", "code", "line"),
    [
        (ConfigError("lr: found 3, expected less"), 2, "error: lr: found 3, expected less\n"),
        (StoreError("runs/x is locked"), 1, "error: runs/x is locked\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/x"),
            1,
            "error: runs/x: the disk is full; free some space, or choose another place\n",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "runs/x"),
            1,
            "error: runs/x: the file system is read-only; choose another place\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "runs/x"),
            1,
            "error: runs/x: permission denied; choose another place, or change its permissions\n",
        ),
        (FileNotFoundError(errno.ENOENT, "gone", "data.jsonl"), 1, "error: data.jsonl: no such file or directory\n"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_an_error_is_one_line_and_an_exit_code(recipe, capsys, monkeypatch, outcome, code, line):
    monkeypatch.setattr(cli.signal, "signal", lambda number, action: None)
    recipe.outcome = outcome
    assert cli.main(["run", "arithmetic"]) == code
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("outcome", [ValueError("odd"), OSError(errno.EBADF, "Bad file descriptor"), SystemExit(143)])
def test_what_is_not_expected_is_not_hidden(recipe, outcome):
    recipe.outcome = outcome
    with pytest.raises(type(outcome)):
        cli.main(["run", "arithmetic"])


def test_all_that_is_wrong_in_a_configuration_is_told(recipe, capsys):
    assert cli.main(["run", "arithmetic", "--set", "stepz=1", "--set", "seed=x"]) == 2
    assert capsys.readouterr().err == (
        "error: arithmetic: 2 things are wrong\n"
        '  seed: found "x", expected an integer\n'
        "  stepz: unknown key; did you mean steps?; keys here: steps, seed, note\n"
    )


def test_an_unknown_recipe_is_told(recipe, tmp_path, capsys):
    (tmp_path / "mine.toml").write_text('recipe = "fak"\n')
    assert cli.main(["run", "mine.toml"]) == 2
    assert capsys.readouterr().err == "error: mine.toml: found recipe 'fak', expected one of fake\n"


def test_a_file_without_recipe_is_told(recipe, tmp_path, capsys):
    (tmp_path / "mine.toml").write_text("steps = 1\n")
    assert cli.main(["run", "mine.toml"]) == 2
    assert capsys.readouterr().err.startswith('error: mine.toml: no recipe; say recipe = "..."')


def test_a_bug_shows_its_traceback_and_says_that_it_is_one():
    done = python("""
        from trueloop.cli import entry as cli
        cli.runs._presets = lambda arguments: 1 / 0
        raise SystemExit(cli.main(["presets"]))
    """)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: this is a bug in trueloop")


def test_a_full_disk_that_a_library_tells_in_its_own_words_is_one_line():
    done = python("""
        from trueloop.cli import entry as cli
        def full(arguments): raise RuntimeError("I/O error: No space left on device (os error 28)")
        cli.runs._presets = full
        raise SystemExit(cli.main(["presets"]))
    """)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "the disk is full" in done.stderr


def test_a_closed_pipe_is_quiet():
    code = """
        from trueloop.cli import entry as cli
        def many(arguments):
            for _ in range(100_000): print("line")
            return 0
        cli.runs._presets = many
        raise SystemExit(cli.main(["presets"]))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process, process.stderr:
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_output_that_cannot_be_written_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "trueloop.cli", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": ""},
        )
    message = "error: [Errno 28] No space left on device: the disk is full; free some space, or choose another place\n"
    assert (done.returncode, done.stderr) == (1, message)


def test_a_wrong_command_line_exits_with_two(capsys):
    assert cli.main(["rum"]) == 2
    assert "invalid choice: 'rum'" in capsys.readouterr().err


def test_ctrl_c_twice_is_one_line():
    code = """
        import os, signal, sys
        from trueloop.cli import entry as cli
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
        def interrupted(arguments):
            os.kill(os.getpid(), signal.SIGINT)
        fail = cli._fail
        def again(message, code):
            os.kill(os.getpid(), signal.SIGINT)
            return fail(message, code)
        cli.runs._presets, cli._fail = interrupted, again
        raise SystemExit(cli.main(["presets"]))
    """
    done = python(code)
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")


HELP = """
    import sys
    from trueloop.cli import entry as cli
    assert cli.main({arguments}) == 0
    print(len(sys.modules), *sorted({{m.split(".")[0] for m in sys.modules}}), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["sample", "--help"], ["--version"]])
def test_help_needs_nothing_heavy(arguments):
    """Under 0.3 s: what takes time is imports, and those can be counted."""
    done = python(HELP.format(arguments=arguments))
    count, *names = done.stderr.split()
    assert {"trueloop", "argparse"} <= set(names)
    assert not {"torch", "numpy", "transformers", "pydantic", "rich", "pyarrow", "asyncio"} & set(names)
    assert int(count) < 150


def test_help_costs_little_more_than_python_itself():
    def seconds(code):
        lines = python(f"import time; t = time.process_time()\n{code}").stdout.split()
        return float(lines[-1])

    text = "\nprint(time.process_time())"
    bare = min(seconds(f"import argparse, traceback{text}") for _ in range(3))
    full = min(seconds(f"from trueloop.cli import entry as cli; cli._parser().format_help(){text}") for _ in range(3))
    assert full < 8 * bare
