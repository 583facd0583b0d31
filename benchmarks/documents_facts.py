"""Facts about a page, and whether its Markdown bears them out.

A fact is a line of `expected.jsonl`: that a text is `present` or `absent`, that one comes `before`
another (`order`), that a `cell` of a `table` has a neighbour or stands under a heading, or that a
formula is there (`math`). White space, quotes and Markdown's marks do not count.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["present", "absent", "order", "table", "math"]

_SAME = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201a": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2012": "-",
        "\u2010": "-",
        "\u2011": "-",
        "\u2212": "-",
        "\u00a0": " ",
    }
)
_MARKS = re.compile(r"[*_`#>\\'\"|]|<br\s*/?>|^\s*[-+]\s(?=\S)|\|?(?:\s*:?-{3,}:?\s*\|)+", re.M)
_FORMULAS = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.S)
# What LaTeX may write in several ways, or sets for looks alone.
_SPACING = re.compile(r"\\(?:left|right|[,;:! ]|quad|qquad|displaystyle|limits)(?![a-zA-Z])|[\s~]")
_SAME_COMMAND = {
    r"\mathbf": "",
    r"\boldsymbol": "",
    r"\mathrm": "",
    r"\text": "",
    r"\operatorname": "",
    r"\le": r"\leq",
    r"\ge": r"\geq",
    r"\ne": r"\neq",
    r"\to": r"\rightarrow",
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\cdotp": r"\cdot",
    r"\varepsilon": r"\epsilon",
    r"\varphi": r"\phi",
}
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_DIRECTIONS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
_CELL_DIFFS = 0.1  # of a cell's characters that may differ


@dataclass(frozen=True)
class Fact:
    """One thing that is known of a page.

    Attributes:
        pdf, page: The file's name, and the number of its page from 1.
        values: What the kind needs: `text`, `before`, `after`, `cell`, `math` and so on.
    """

    pdf: str
    page: int
    id: str
    kind: Kind
    values: dict[str, Any]


def read_facts(folder: Path) -> list[Fact]:
    """Returns the facts in a folder's `expected.jsonl`."""
    lines = (folder / "expected.jsonl").read_text("utf-8").splitlines()
    return [
        Fact(found["pdf"], found["page"], found["id"], found["type"], found)
        for found in map(json.loads, filter(None, lines))
    ]


def holds(fact: Fact, markdown: str) -> bool:
    """Tells whether the Markdown of a page bears out a fact."""
    values = fact.values
    if fact.kind == "table":
        return any(_cell_holds(values, rows) for rows in read_tables(markdown))
    if fact.kind == "math":
        wanted = _plain_formula(values["math"])
        found = (next(filter(None, groups)) for groups in _FORMULAS.findall(markdown))
        return any(wanted in _plain_formula(formula) for formula in found)
    text = plain(markdown)
    if not text:
        return False  # of a page that was not read nothing is known
    diffs = values.get("max_diffs", 0)
    if fact.kind == "order":
        before, after = plain(values["before"]), plain(values["after"])
        first = find_near(before, text, diffs)
        return first >= 0 and find_near(after, text[first:], diffs) >= 0
    wanted = plain(values["text"])
    if values.get("first_n"):
        text = text[: values["first_n"]]
    if values.get("last_n"):
        text = text[-values["last_n"] :]
    if fact.kind == "absent":
        return find_near(wanted.lower(), text.lower(), diffs) < 0
    return find_near(wanted, text, diffs) >= 0


def plain(text: str) -> str:
    """Returns a text without what does not count: marks of Markdown, quotes, white space."""
    text = unicodedata.normalize("NFC", _MARKS.sub(" ", text.translate(_SAME)))
    return " ".join(text.split())


def find_near(wanted: str, text: str, diffs: int) -> int:
    """Returns where a text ends in which `wanted` stands with at most so many edits; -1 if nowhere.

    Spaces at the ends of lines differ between readers, so that spaces never count.
    """
    wanted, text = wanted.replace(" ", ""), text.replace(" ", "")
    if not diffs or not wanted:
        place = text.find(wanted)
        return place + len(wanted) if place >= 0 else -1
    previous = list(range(len(wanted) + 1))
    for end, char in enumerate(text, 1):
        row = [0]
        for index, expected in enumerate(wanted, 1):
            cost = previous[index - 1] + (char != expected)
            row.append(min(cost, previous[index] + 1, row[-1] + 1))
        if row[-1] <= diffs:
            return end
        previous = row
    return -1


def read_tables(markdown: str) -> list[list[list[str]]]:
    """Returns the rows of cells of each table in Markdown."""
    tables: list[list[list[str]]] = []
    rows: list[list[str]] = []
    for line in [*markdown.splitlines(), ""]:
        if line.strip().startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            if not all(re.fullmatch(r"\s*:?-{2,}:?\s*", cell) for cell in cells):
                rows.append([plain(cell) for cell in cells])
        elif rows:
            tables.append(rows)
            rows = []
    return tables


def _cell_holds(values: dict[str, Any], rows: Sequence[Sequence[str]]) -> bool:
    wanted = plain(values["cell"])
    return any(
        _is_same(wanted, cell) and _neighbours_hold(values, rows, r, c)
        for r, row in enumerate(rows)
        for c, cell in enumerate(row)
    )


def _neighbours_hold(
    values: dict[str, Any], rows: Sequence[Sequence[str]], row: int, column: int
) -> bool:
    for name, (down, right) in _DIRECTIONS.items():
        if name in values and not _is_same(
            plain(values[name]), _cell_at(rows, row + down, column + right)
        ):
            return False
    above = [_cell_at(rows, r, column) for r in range(row)]
    left = list(rows[row][:column])
    return all(
        name not in values or any(_is_same(plain(values[name]), cell) for cell in cells)
        for name, cells in (("top_heading", above), ("left_heading", left))
    )


def _cell_at(rows: Sequence[Sequence[str]], row: int, column: int) -> str:
    if not 0 <= row < len(rows) or not 0 <= column < len(rows[row]):
        return ""
    return rows[row][column]


def _is_same(wanted: str, cell: str) -> bool:
    """Tells whether a cell is the one that is wanted, give or take a footnote's mark."""
    one, other = wanted.replace(" ", ""), cell.replace(" ", "")
    if one == other:
        return True
    most = int(_CELL_DIFFS * len(one))
    # Both ways: a text that holds the wanted one is another cell.
    return bool(most) and abs(len(one) - len(other)) <= most and find_near(one, other, most) >= 0


def _plain_formula(formula: str) -> str:
    formula = _SPACING.sub("", _COMMAND.sub(lambda found: found.group() + " ", formula))
    formula = _COMMAND.sub(lambda found: _SAME_COMMAND.get(found.group(), found.group()), formula)
    return re.sub(r"[{}]", "", formula)
