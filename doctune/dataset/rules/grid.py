"""Reads a table's cells as a header, keys and values, or says that it cannot be read for sure.

The header has up to three rows; a cell that spans columns fills those to its right. The first
column holds the keys. Tables without a header, with columns of the same name or with keys that
repeat are not read: an answer made from them might be wrong. Years and periods as headers, units in
brackets or after a comma, row groups ("Revenue:" above its parts) and "in millions" in the corner
are understood, since quarterly reports are made of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from doctune.dataset.lexicon import DASHES, lexicon
from doctune.dataset.sections import Section
from doctune.dataset.text import collapse, normalise, words

_CURRENCY = "\u20ac$\u00a3\u00a5"
_VALUE = re.compile(
    rf"^[(\[]?[-+\u00b1<>\u2264\u2265~\u2248{DASHES}]?\s*(?:[{_CURRENCY}]|[A-Z]{{3}})?\s*\(?"
    rf"[-{DASHES}]?[\d.,'\u2019\s]*\d[\d.,'\u2019]*\)?\s*[)\]]?"
    rf"\s*(?:%|[{_CURRENCY}\u00b0\u00b5]?[A-Za-z\u00b0\u00b5/\u00b2\u00b3.]{{0,8}})?[)\]]?$"
)
_YEAR = re.compile(rf"^(?:[FC]Y\s*)?(?:19|20)\d\d(?:\s*[A-Z]?|\s*[-/{DASHES}]\s*\d{{2,4}})$")
_PERIOD = re.compile(
    r"\b(?:19|20)\d\d\b|\bQ[1-4]\b|\b(?:months?|quarters?|years?|weeks?) ended\b|\bFY ?\d\d",
    re.IGNORECASE,
)
_SCALE = re.compile(r"\bin (?:thousands|millions|billions)\b", re.IGNORECASE)
_BRACKETED_UNIT = re.compile(r"^(?P<name>.+?)\s*[(\[](?P<unit>[^()\[\]]{1,16})[)\]]$")
_TRAILING_UNIT = re.compile(r"^(?P<name>.+), (?P<unit>(?P<first>[a-z]+)\b[a-z ]{0,20})$")
_CAPTION = re.compile(
    r"^(?:table|tab\.|tabelle|tableau|tabla|tabella|tabel|\u0442\u0430\u0431\u043b\u0438\u0446\u0430"
    rf"|\u8868)\s*[A-Z]?[\d.IVX-]*\s*[.:{DASHES}-]?\s*",
    re.IGNORECASE,
)
_COUNTS = frozenset({"n", "no", "no.", "#", "*", "**", "number"})  # in brackets, and no unit
_MOST_CELL_WORDS = 40
_MOST_KEY_WORDS = 14
_MOST_HEADER_WORDS = 8
_LINES_ABOVE = 3  # of a table, in which its scale may stand
_MOST_ROWS = 400  # of one table; a longer one is data, not text


@dataclass(frozen=True)
class Row:
    """One key with its values."""

    key: str
    cells: tuple[str, ...]  # one for each column; empty where there is no value
    source: str  # the row as Markdown


@dataclass(frozen=True)
class Grid:
    """A table that was read."""

    key_header: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    subject: str  # what it is about: its caption or heading; may be empty
    scale: str  # " (in millions)" or empty
    unit: str  # of all its figures, where the caption says so: "Distances in metres"
    header: str  # the header as Markdown

    def passage(self, row: Row) -> str:
        """Returns what is needed to understand one row."""
        return "\n".join(part for part in (self.subject, self.header, row.source) if part)


def read_grid(section: Section, position: int) -> Grid | None:
    """Reads the table block at a position of a section; None if it cannot be read for sure."""
    block = section.blocks[position]
    width = max(map(len, block.rows), default=0)
    rows = [
        [collapse(cell) for cell in row] + [""] * (width - len(row))
        for row in block.rows[:_MOST_ROWS]
    ]
    rows = [row for row in rows if any(row)]
    if width < 2 or len(rows) < 2:
        return None
    size = _header_size(rows)
    header = [_scale_free(cell) if at else cell for at, cell in enumerate(_merged(rows[:size]))]
    named = [column for column in header[1:] if column]
    if not size or not named or max(Counter(named).values()) > 1:
        return None
    body = list(_body(rows[size:], header))
    keys = Counter(normalise(row.key) for row in body)
    body = [row for row in body if keys[normalise(row.key)] == 1]
    if not body:
        return None
    subject = _subject(section, position)
    scale = _scale(section, position, [*_merged(rows[:size]), subject])
    return Grid(
        key_header="" if _SCALE.search(header[0]) else header[0],
        columns=tuple(header[1:]),
        rows=tuple(body),
        subject=subject,
        scale=scale,
        unit=_unit_of(subject),
        header=f"{_markdown(header)}\n{_markdown(['---'] * len(header))}",
    )


def is_value(cell: str) -> bool:
    """Whether a cell is a number, with or without a unit or currency, and no year."""
    return bool(_VALUE.match(cell)) and not _YEAR.match(cell)


def is_period(cell: str) -> bool:
    """Whether a header names a year, a quarter or a span of time."""
    return bool(_PERIOD.search(cell))


def split_unit(text: str) -> tuple[str, str]:
    """Returns a header without its unit, and the unit: `Weight (kg)` gives `Weight`, `kg`."""
    match = _BRACKETED_UNIT.match(text)
    if match:
        counted = match["unit"].casefold() in _COUNTS
        return match["name"], "" if counted else match["unit"]
    match = _TRAILING_UNIT.match(text)
    if match and match["first"] in lexicon("units"):
        return match["name"], match["unit"]
    return text, ""


def with_unit(value: str, unit: str) -> str:
    """Adds a unit to a bare number."""
    bare = is_value(value) and not re.search(rf"[A-Za-z%{_CURRENCY}]", value)
    return f"{value} {unit}" if unit and bare else value


def _scale_free(cell: str) -> str:
    """Takes `(in millions)` off a column's head; what is in the corner is kept."""
    bare = collapse(
        re.sub(r"[(\[]?\bin (?:thousands|millions|billions)[^)\]]*[)\]]?", "", cell, flags=re.I)
    )
    return bare if _has_content(bare) else ""


def _header_size(rows: list[list[str]]) -> int:
    """Returns how many rows at the top are header: 0 if the table has none."""
    if not any(is_value(cell) for row in rows for cell in row[1:]):
        short = all(len(words(cell)) <= _MOST_HEADER_WORDS for cell in rows[0])
        return 1 if all(rows[0][1:]) and short else 0
    size = 0
    for row in rows[:3]:
        if any(is_value(cell) for cell in row[1:]) or not any(row[1:]):
            break
        size += 1
        if all(row[1:]) and not all(map(is_period, row[1:])):
            # A full row of plain names is the whole header: what follows are values in words.
            break
    return size if size < len(rows) else 0


def _merged(rows: list[list[str]]) -> list[str]:
    """Joins header rows; a cell above others that is empty repeats the one to its left."""
    if not rows:
        return [""]
    filled = [list(row) for row in rows]
    for cells in filled[:-1]:
        for column in range(2, len(cells)):
            cells[column] = cells[column] or cells[column - 1]
    columns = zip(*filled, strict=True)
    return [" ".join(dict.fromkeys(part for part in column if part)) for column in columns]


def _body(rows: list[list[str]], header: list[str]) -> Iterator[Row]:
    group = ""
    for row in rows:
        key = row[0].rstrip(f": {_CURRENCY}")  # a currency there belongs to the figure
        values = [_cleaned(cell) for cell in row[1:]]
        if key and not any(values):
            group = key if len(words(key)) <= _MOST_HEADER_WORDS else ""
            continue
        if not any(map(str.isalnum, key)) or len(words(key)) > _MOST_KEY_WORDS:
            continue
        if group and len(words(key)) <= 3 and normalise(group) not in normalise(key):
            key = f"{key} ({group})"
        cells = tuple(
            value if column != value and 0 < len(words(value)) <= _MOST_CELL_WORDS else ""
            for value, column in zip(values, header[1:], strict=True)
        )
        if any(cells):
            yield Row(key=key, cells=cells, source=_markdown(row))


def _cleaned(cell: str) -> str:
    cell = re.sub(rf"^([{_CURRENCY}])\s+(?=[\d(])", r"\1", cell)
    cell = re.sub(rf"(?<=[\d)])\s+[{_CURRENCY}]$", "", cell)  # the next column's
    return "" if cell.casefold() in lexicon("empty_cells") or not _has_content(cell) else cell


def _has_content(cell: str) -> bool:
    return any(map(str.isalnum, cell))


def _markdown(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _scale(section: Section, position: int, near: list[str]) -> str:
    """Returns what the figures are counted in; it may stand in the lines above the table."""
    above = [block for block in section.blocks[:position] if block.kind != "table"][-_LINES_ABOVE:]
    for text in (*near, *(block.text for block in reversed(above)), section.heading):
        if match := _SCALE.search(text):
            return f" ({match[0].lower()})"
    return ""


def _unit_of(subject: str) -> str:
    match = re.search(r" in (?P<unit>[a-z]+)$", subject)
    return match["unit"] if match and match["unit"] in lexicon("units") else ""


def _subject(section: Section, position: int) -> str:
    for neighbour in (position - 1, position + 1):
        if 0 <= neighbour < len(section.blocks) and section.blocks[neighbour].kind == "caption":
            caption = _CAPTION.sub("", collapse(section.blocks[neighbour].text)).rstrip(".: ")
            if 1 <= len(words(caption)) <= _MOST_KEY_WORDS:
                return caption
    return section.heading
