"""The tables of docs/checks.md, made from the code.  `python tests/checks_page.py` writes them into the page."""

import re
from pathlib import Path

from trueloop.checks.catalogue import CATALOGUE

PAGE = Path(__file__).parents[1] / "docs/checks.md"
BEGIN, END = "<!-- table of checks -->\n", "<!-- end of the table of checks -->"


def cell(text):
    """A text as it can stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def checks_table():
    """One row per check, those of one time together."""
    order = {"before": 0, "during": 1, "after": 2}
    rows = sorted(CATALOGUE.values(), key=lambda c: (order[c.when], c.id))
    lines = ["| check | when | question | limit |", "|---|---|---|---|"]
    lines += [f"| `{c.id}` | {c.when} | {cell(c.question)} | {cell(c.limit)} |" for c in rows]
    return "\n".join(lines) + "\n"


def with_table(page, table):
    """The page with the table between its marks."""
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    return page[:begin] + table + page[end:]


def anchors(page):
    """What can be linked to in a page: the ids of its headings."""
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", page, re.M)}


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(), checks_table()))
