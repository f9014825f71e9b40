"""The architecture's rules, measured on the source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/trueloop"
TESTS = ROOT / "tests"
LAYERS = [
    ["errors"],
    ["records", "config"],
    ["endpoint"],
    ["formulas", "verify", "store", "chat"],
    ["tasks", "models"],
    ["engines", "train", "checks"],
    ["evaluate", "serve"],
    ["loop", "pipeline"],
    ["preflight"],
    ["recipes", "report", "doctor"],
    ["faults"],
    ["cli"],
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
WITHOUT_TORCH = ["records", "config", "errors", "verify", "store", "chat", "tasks", "checks", "report", "doctor", "cli"]
ONE_FILE_EACH = ["vllm", "ray", "datasets", "wandb", "mlflow", "tensorboard"]
MAY_CATCH_ALL = ["engines", "verify"]
NOT_OURS = re.compile(rf"{re.escape(str(ROOT))}\b|index-url|\bissues? #?\d|\bTODO\b|\bFIXME\b|\bbreakpoint\(")


def files(folder: Path = SOURCE) -> list[Path]:
    """Python files, in a stable order."""
    return sorted(folder.rglob("*.py"))


def part(path: Path) -> str:
    """The top-level module or folder of the package that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    """The dotted name that a file is imported by."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, path: Path, source: Path = SOURCE) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import, wherever it stands; a name imported from a package counts too."""
    package = ("trueloop", *path.relative_to(source).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def upward(text: str, path: Path, source: Path = SOURCE) -> list[str]:
    """Imports of this file that do not point down."""
    here = path.relative_to(source).parts[0].removesuffix(".py")
    bad = []
    for line, name in imports(ast.parse(text), path, source):
        there = name.split(".")[1] if name.startswith("trueloop.") else None
        if there in RANK and here in RANK and there != here and RANK[there] >= RANK[here]:
            bad.append(f"{path}:{line}: {here} imports {there}, which is not below it")
    return bad


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, nested ones too."""
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def branches(function: ast.AST) -> int:
    """`if` and `elif` statements; conditional expressions and filters in comprehensions are not counted."""
    return sum(isinstance(n, ast.If) for n in ast.walk(function))


def broad_handlers(tree: ast.AST) -> list[int]:
    """Lines of handlers that catch everything."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or {"Exception", "BaseException"} & {getattr(n, "id", "") for n in ast.walk(node.type)})
    ]


def test_imports_point_down():
    bad = [line for path in files() for line in upward(path.read_text(), path)]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize(
    ("file", "text", "broken"),
    [
        ("train/step.py", "from trueloop.engines.base import Engine", True),
        ("train/step.py", "from trueloop import engines", True),
        ("train/step.py", "import trueloop.loop.loop", True),
        ("train/step.py", "from ..checks import a", True),
        ("train/step.py", "from .. import checks", True),
        ("train/step.py", "if TYPE_CHECKING:\n    from trueloop.loop import Loop", True),
        ("train/step.py", "def f():\n    import trueloop.recipes", True),
        ("records.py", "from trueloop.config import Config", True),
        ("train/step.py", "from trueloop.train.batch import Batch", False),
        ("train/step.py", "from .batch import Batch", False),
        ("train/step.py", "from trueloop.formulas import reduce", False),
        ("cli/entry.py", "from trueloop import __version__", False),
    ],
)
def test_the_direction_is_really_measured(file, text, broken):
    assert bool(upward(text, SOURCE / file)) == broken


def test_every_part_has_a_layer():
    assert {part(p) for p in files()} - {"__init__", "__main__"} <= set(RANK)


def test_files_are_short():
    long = {str(p): n for p in [*files(), *files(TESTS)] if (n := len(p.read_text().splitlines())) > 400}
    assert not long, f"over 400 lines: {long}"


def test_functions_are_short():
    long = [
        f"{path}:{f.lineno}: {f.name} has {length(f)} lines"
        for path in files()
        for f in functions(ast.parse(path.read_text()))
        if length(f) > 60
    ]
    assert not long, "\n".join(long)


def test_functions_branch_little():
    branchy = [
        f"{path}:{f.lineno}: {f.name} has {branches(f)} ifs"
        for path in files()
        for f in functions(ast.parse(path.read_text()))
        if branches(f) > 8
    ]
    assert not branchy, "\n".join(branchy)


def test_the_measures_measure():
    text = (
        'def f(x):\n    """A\n    b."""\n    if x:\n        f()\n    elif x > 1:\n        f()\n    return 1 if x else 2'
    )
    (function,) = functions(ast.parse(text))
    assert (length(function), branches(function)) == (5, 2)
    assert broad_handlers(
        ast.parse("try:\n    f()\nexcept (ValueError, Exception):\n    pass\nexcept OSError:\n    pass")
    ) == [3]


def test_everything_is_not_caught_outside_the_boundaries():
    bad = [
        f"{path}:{line}: broad except"
        for path in files()
        if part(path) not in MAY_CATCH_ALL
        for line in broad_handlers(ast.parse(path.read_text()))
    ]
    assert not bad, "\n".join(bad)


def test_heavy_optional_packages_stand_in_one_file_each():
    users: dict[str, set[Path]] = {}
    for path in files():
        for _, name in imports(ast.parse(path.read_text()), path):
            users.setdefault(name.split(".")[0], set()).add(path)
    spread = {name: sorted(map(str, users[name])) for name in ONE_FILE_EACH if len(users.get(name, ())) > 1}
    assert not spread, spread


def test_torch_stays_out_where_it_does_not_belong():
    """Each module in a process of its own list: the first that brings torch in is named."""
    names = [module_name(p) for p in files() if part(p) in WITHOUT_TORCH]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name + ' imports torch'\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_module_shadows_the_standard_library():
    shadows = [str(p) for p in files() if len(p.relative_to(SOURCE).parts) == 1 and p.stem in sys.stdlib_module_names]
    assert not shadows


def does_something(path: Path) -> bool:
    """Whether a module has a function with a body: protocols and bare classes have nothing to test."""
    bodies = [n for f in functions(ast.parse(path.read_text())) for n in f.body]
    return any(not isinstance(getattr(n, "value", n), ast.Constant) and not isinstance(n, ast.Pass) for n in bodies)


def test_tests_mirror_the_source():
    """Each tests/<part>/test_<name>.py has its module; each module that does something has its test."""
    ours = {p.relative_to(SOURCE) for p in files() if p.name != "__init__.py"}
    theirs = {
        p.relative_to(TESTS).with_name(p.name.removeprefix("test_"))
        for p in TESTS.rglob("test_*.py")
        if p.relative_to(TESTS).parts[0].removeprefix("test_").removesuffix(".py") in RANK
    }
    strays = sorted(map(str, theirs - ours))
    missing = sorted(str(p) for p in ours - theirs if does_something(SOURCE / p))
    assert not strays, f"tests of no module: {strays}"
    assert not missing, f"modules without their test: {missing}"


def test_the_tree_names_nothing_that_is_not_part_of_it():
    """No machine's paths, no package index, no tracker, nothing left for later."""
    folders = [p for name in ("src", "tests", "docs", "bench") for p in (ROOT / name).rglob("*.*")]
    paths = [p for p in [*folders, *ROOT.glob("*.*"), ROOT / "Makefile"] if p.suffix in (".py", ".md", ".toml", "")]
    found = [
        f"{path}:{number}: {match[0]}"
        for path in paths
        if path.is_file() and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := NOT_OURS.search(line))
    ]
    assert not found, "\n".join(found)
