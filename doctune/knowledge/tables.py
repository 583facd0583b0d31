"""Table rows together with their column heads, so that each row can be read on its own.

A row becomes its label and its named cells. Heads over several columns are carried to each of them;
a head that a parser left as a table of its own above the body is joined with it where their columns
agree. A lone currency sign belongs to the figure after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from doctune.dataset.lexicon import DASHES, lexicon
from doctune.dataset.rules.grid import split_unit, with_unit
from doctune.dataset.text import collapse, normalise
from doctune.knowledge.figures import span_at_start

_CURRENCY = frozenset("$€£¥")
_FIGURE = re.compile(
    rf"^[(\[]?[-+$€£¥]*\s*\(?[\d.,]*\d[\d.,]*\)?\s*[%)\]]*\w{{0,3}}$|^[{DASHES}-]$"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        label: The first cell, with the row group above it where it belongs to one.
        head: The head of the first column.
        cells: (head, value) of each further cell that holds something.
    """

    label: str
    head: str
    cells: tuple[tuple[str, str], ...]

    def text(self, only: frozenset[int] | None = None) -> str:
        """Returns the row as a person would read it aloud: `A02, meaning: Skeen due; ...`.

        Args:
            only: Positions of the cells wanted; None for all.
        """
        named = [
            f"{head}: {value}" if head else value
            for at, (head, value) in enumerate(self.cells)
            if only is None or at in only
        ]
        label = f"{self.head} {self.label}" if _names_code(self.head, self.label) else self.label
        if len(self.cells) == 1 and normalise(self.cells[0][0]) in lexicon("value_headers"):
            return f"{label}: {self.cells[0][1]}"
        return f"{label} — {'; '.join(named)}" if named else label


def _names_code(head: str, label: str) -> bool:
    # "Code A02", "Part BR-6250", "Socket 3": a bare code says too little; "Drape area" does not.
    return bool(head) and len(label.split()) == 1 and any(map(str.isdigit, label))


def read_rows(
    rows: Sequence[Sequence[str]],
    header_rows: int,
    above: Sequence[Sequence[str]] = (),
    *,
    caption: str = "",
    notes: Mapping[str, str] = MappingProxyType({}),
) -> list[Row]:
    """Returns the rows of a table under its heads.

    Args:
        rows: Its cells.
        header_rows: How many rows at its top name its columns.
        above: The cells of a table right above that may hold nothing but its heads.
        caption: What may end in the unit of all its figures: "Mean yield, litres a day".
        notes: Units by the head that the document says they hold for: price, crowns.
    """
    cells = [[collapse(cell) for cell in row] for row in rows]
    header, body = cells[:header_rows], cells[header_rows:]
    if header and _is_body(header[-1]):
        header, body = [], cells
    while body and _names_years(body[0]):
        header, body = [*header, body[0]], body[1:]
    heads = _heads(header)
    if not any(heads[1:]) and above:
        outer = _heads([[collapse(cell) for cell in row] for row in above])
    else:
        outer = []
    shared = _caption_unit(caption)
    found, group = [], ""
    for row in body:
        label, values = (row[0] if row else ""), _values(row)
        if label and not values:
            group = label.rstrip(":") if label.endswith(":") else ""
            if not group:
                found.append(Row(label, heads[0] if heads else "", ()))
            continue
        names = _names(row, values, heads, outer)
        if label.lower().startswith("total"):
            group = ""
        label, own = split_unit(label)
        of_labels, corner = split_unit(heads[0]) if heads else ("", "")
        if corner and of_labels and _is_measured(label):
            # "Hardness, degrees" heads the labels "below 7", "7 to 14": the unit is theirs.
            label, corner = f"{label} {corner}", ""
        full = f"{group}: {label}" if group and label else label
        cells_of_row = []
        for name, (_, value) in zip(names, values, strict=True):
            name, unit = split_unit(name)
            unit = own or unit or corner or notes.get(normalise(name), "") or shared
            cells_of_row.append((name, with_unit(value, unit)))
        found.append(Row(full, heads[0] if heads else "", tuple(cells_of_row)))
    return found


def _caption_unit(caption: str) -> str:
    """Returns the unit that a caption ends in: "Distances in metres", "Yield, litres a day"."""
    match = re.search(r"(?:,| in) (?P<unit>(?P<first>[a-z]+)(?: (?:a|per) [a-z]+)?)$", caption)
    return match["unit"] if match and match["first"] in lexicon("units") else ""


def is_heads_only(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table holds only the heads of another: few rows, no figures but years."""
    cells = [collapse(cell) for row in rows for cell in row if cell.strip()]
    years = re.compile(r"(?:19|20)\d\d$|[A-Z][a-z]+ \d{1,2},?( (?:19|20)\d\d)?$")
    return len(rows) <= 4 and all(years.match(cell) or not _FIGURE.match(cell) for cell in cells)


def _names_years(row: Sequence[str]) -> bool:
    values = [cell for cell in row if cell]
    return len(values) > 1 and not row[0] and all(map(_is_year, values))


def _is_body(row: Sequence[str]) -> bool:
    figures = [cell for cell in row[1:] if _FIGURE.match(cell) and not _is_year(cell)]
    return len(figures) >= 2 or (len(row) > 1 and row[1] in _CURRENCY)


def _is_measured(label: str) -> bool:
    """Whether a row's label is a figure or a range of them, and no year."""
    if _is_year(label):
        return False
    return span_at_start(label) is not None or bool(_FIGURE.match(label))


def _is_year(cell: str) -> bool:
    return bool(re.fullmatch(r"(?:19|20)\d\d", cell))


def _heads(header: Sequence[Sequence[str]]) -> list[str]:
    """Returns one head per column, upper rows first; a spanning head applies to all it spans."""
    width = max(map(len, header), default=0)
    heads = [""] * width
    for depth, row in enumerate(header):
        last, spanning = "", depth < len(header) - 1
        for at in range(width):
            cell = row[at] if at < len(row) else ""
            if cell:
                last = cell
            elif spanning and at:
                cell = last
            if cell and cell not in heads[at]:
                heads[at] = f"{heads[at]} {cell}".strip()
    return heads


def _values(row: Sequence[str]) -> list[tuple[int, str]]:
    """Returns (column, value) of the cells after the row's label."""
    found: list[tuple[int, str]] = []
    sign = ""
    for at, cell in enumerate(row[1:], 1):
        if cell in _CURRENCY:
            sign = cell
        elif cell in ("%", ")", ")%") and found:
            found[-1] = (
                found[-1][0],
                f"{found[-1][1]} {cell}" if cell == "%" else found[-1][1] + cell,
            )
        elif cell:
            found.append((at, sign + cell))
            sign = ""
    return found


def _names(
    row: Sequence[str], values: list[tuple[int, str]], heads: list[str], outer: list[str]
) -> list[str]:
    """Returns the column head of each value."""
    leaves = [head for head in outer if head]
    if leaves and len(leaves) == len(values):
        return leaves
    if leaves and len(leaves) == len(values) + 1:  # the first one heads the labels
        return leaves[1:]
    named = [heads[at] if at < len(heads) else "" for at, _ in values]
    if not any(named) and len([h for h in heads[1:] if h]) == len(values):
        return [head for head in heads[1:] if head]
    for position, (at, _) in enumerate(values):
        # A currency sign's column carries the head of the figure beside it.
        if not named[position] and 0 < at - 1 < len(heads) and row[at - 1] in _CURRENCY:
            named[position] = heads[at - 1]
    return named
