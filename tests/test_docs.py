"""The pages keep their word: every ```python block runs, every `$ trueloop` line of a ```console block does as shown.

A block under `<!-- not run: why -->` is left out.  In what a command prints, a shown line may stand anywhere, in order;
`...` stands for what differs from run to run.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^(<!-- not run: [^\n]+ -->\n+)?```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text, language):
    """(line number, content) of the blocks in a language that are to be run."""
    return [(text[: m.start(3)].count("\n"), m[3]) for m in BLOCK.finditer(text) if m[2] == language and m[1] is None]


def run_python(text, page):
    """All python blocks of a page, in one namespace, with the page's own line numbers in a traceback."""
    namespace = {"__name__": "__page__"}
    for line, code in blocks(text, "python"):
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


def run_console(text, folder):
    """Each `$ trueloop` line of a page, in one folder; returns what differs from what is shown."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    differences = []
    for _, code in blocks(text, "console"):
        for command, shown in re.findall(r"^\$ (trueloop .*)\n((?:(?!\$ ).*\n)*)", code, re.MULTILINE):
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, capture_output=True, text=True, env=os.environ | {"PATH": path}
            )
            lines = [".*".join(map(re.escape, line.split("..."))) for line in shown.splitlines() if line.strip()]
            if done.returncode != 0 or not re.search("(.|\n)*".join(lines), done.stdout):
                differences.append(f"$ {command}\nexit {done.returncode}\n{done.stdout}{done.stderr}")
    return differences


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_page_keeps_its_word(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    run_python(text, page)
    differences = run_console(text, tmp_path)
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    gone = [link for link in links if not (page.parent / link).exists()]
    assert not gone


def test_blocks_are_really_run(tmp_path):
    page = "```python\nx = 1\n```\n\n<!-- not run: hours -->\n```python\n1 / 0\n```\n```python\nassert x == 2\n```\n"
    with pytest.raises(AssertionError) as error:
        run_python(page, "page.md")
    assert error.traceback[-1].lineno + 1 == 10


@pytest.mark.parametrize(
    ("shown", "right"),
    [
        ("usage: trueloop ...\n", True),
        ("usage: trueloop ...\n...  show this help ...\n", True),
        ("usage: other\n", False),
    ],
)
def test_what_a_command_prints_is_compared(tmp_path, shown, right):
    assert (run_console(f"```console\n$ trueloop --help\n{shown}```\n", tmp_path) == []) == right


def test_a_command_that_fails_is_told(tmp_path):
    (difference,) = run_console("```console\n$ trueloop nonsense\n```\n", tmp_path)
    assert "exit 2" in difference
