"""Facts in tables: single cells, cells asked the other way round, and whole rows.

A table is read as one header (of up to three rows, spanning cells filled to the right), a key
column and values. What cannot be read so for sure is left out: no header, keys that repeat, cells
without content. A table of two columns whose header says no more than "Property, Value" is read as
a list of properties of what the table is about. Years and periods as headers, units in brackets,
row groups ("Revenue:" above its parts) and "(in millions)" in the corner are understood, since
quarterly reports are made of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from doctune.dataset.records import Block, Fact
from doctune.dataset.sections import Section
from doctune.dataset.text import collapse, normalise, stable_hash, words
from doctune.dataset.view import View

_VALUE = re.compile(
    r"^[(\[]?[-–—+±<>≤≥~≈]?\s*(?:[€$£¥]|[A-Z]{3})?\s*\(?[-–—]?[\d.,'’\s]*\d[\d.,'’]*\)?\s*[)\]]?"
    r"\s*(?:%|[€$£¥°µ]?[A-Za-z°µ/²³·.]{0,8})?[)\]]?$"
)
_YEAR = re.compile(r"^(?:FY\s*|CY\s*)?(?:19|20)\d\d(?:\s*[A-Z]?|\s*[-–/]\s*\d{2,4})$")
_PERIOD = re.compile(
    r"\b(?:19|20)\d\d\b|\bQ[1-4]\b|\b(?:months?|quarters?|years?|weeks?) ended\b|\bFY ?\d\d",
    re.IGNORECASE,
)
_AS_OF = re.compile(
    r"^(?:as of |at )?(?:january|february|march|april|may|june|july|august|september|october|"
    r"november|december)\s+\d{1,2},?\s+(?:19|20)\d\d$",
    re.IGNORECASE,
)
_EMPTY = frozenset(
    ["", "-", "–", "—", "―", "n/a", "na", "n.a.", "nil", "none", "...", "…", "$", "€", "%", "*"]
)
_UNIT = re.compile(r"^(?P<name>.+?)\s*[(\[](?P<unit>[^()\[\]]{1,16})[)\]]$")
_SCALE = re.compile(r"\bin (?:thousands|millions|billions)\b", re.IGNORECASE)
_CAPTION = re.compile(
    r"^(?:table|tab\.|tabelle|tableau|tabla|tabella|tabel|таблица|表)\s*[A-Z]?[\d.IVX-]*\s*[.:–—-]?\s*",
    re.IGNORECASE,
)
_PROPERTY_HEADERS = frozenset(
    ["property", "parameter", "item", "specification", "feature", "characteristic", "attribute", "description", "quantity", "detail", "field"]
)
_VALUE_HEADERS = frozenset(
    ["value", "values", "specification", "specifications", "details", "detail", "data", "rating", "description"]
)
_MEANING_HEADERS = frozenset(["meaning", "definition", "explanation", "description", "stands for"])
_TERM_HEADERS = frozenset(["term", "abbreviation", "acronym", "symbol", "word"])
_MAX_CELL_WORDS = 40
_MAX_ROWS_READ = 400


@dataclass(frozen=True)
class _Row:
    key: str
    cells: tuple[str, ...]  # one for each of the table's columns, empty if there is no value
    source: str  # the row as Markdown


@dataclass(frozen=True)
class _Table:
    key_header: str
    columns: tuple[str, ...]
    rows: tuple[_Row, ...]
    subject: str  # what it is about, from its caption or heading; may be empty
    scale: str  # "(in millions)"
    header: str  # the header as Markdown


def table_facts(view: View) -> Iterator[Fact]:
    """Asks for the cells and rows of each table that can be read with certainty."""
    for section in view.sections:
        for position, block in enumerate(section.blocks):
            if block.kind != "table" or not block.rows:
                continue
            table = _read(view, section, position)
            if table is not None:
                yield from _facts(view, section, block, table)


def _read(view: View, section: Section, position: int) -> _Table | None:
    block = section.blocks[position]
    width = max(map(len, block.rows))
    rows = [
        [collapse(cell) for cell in row] + [""] * (width - len(row))
        for row in block.rows[:_MAX_ROWS_READ]
    ]
    rows = [row for row in rows if any(row)]
    if width < 2 or len(rows) < 2:
        return None
    size = _header_rows(rows)
    if size == 0:
        return None
    header = _merged_header(rows[:size])
    named = [column for column in header[1:] if column]
    if not named or max(Counter(named).values()) > 1:
        return None
    body = list(_body(rows[size:], header))
    keys = Counter(normalise(row.key) for row in body)
    body = [row for row in body if keys[normalise(row.key)] == 1]
    if not body:
        return None
    corner = header[0]
    scale = _SCALE.search(f"{corner} {_subject(section, position)}")
    return _Table(
        key_header="" if _SCALE.search(corner) else _UNIT.sub(r"\g<name>", corner),
        columns=tuple(header[1:]),
        rows=tuple(body),
        subject=_subject(section, position),
        scale=f" ({scale[0].lower()})" if scale else "",
        header=_markdown(header) + "\n" + _markdown(["---"] * len(header)),
    )


def _is_value(cell: str) -> bool:
    return bool(_VALUE.match(cell)) and not _YEAR.match(cell)


def _header_rows(rows: list[list[str]]) -> int:
    """Returns how many rows at the top are header: 0 if the table has none."""
    if not any(_is_value(cell) for row in rows for cell in row[1:]):
        return 1 if all(rows[0][1:]) and all(len(words(cell)) <= 8 for cell in rows[0]) else 0
    size = 0
    for row in rows[:3]:
        if any(_is_value(cell) for cell in row[1:]) or not any(row[1:]):
            break
        size += 1
        if all(row[1:]) and not all(_PERIOD.search(cell) for cell in row[1:]):
            # A full row of plain names is the whole header: what follows are text values.
            break
    return size if size < len(rows) else 0


def _merged_header(rows: list[list[str]]) -> list[str]:
    """Joins header rows; a cell that spans columns stands in its first and fills the others."""
    filled = []
    for number, row in enumerate(rows):
        cells = list(row)
        if number < len(rows) - 1:
            for column in range(2, len(cells)):
                cells[column] = cells[column] or cells[column - 1]
        filled.append(cells)
    merged = []
    for column in range(len(rows[0])):
        parts = [row[column] for row in filled if row[column]]
        merged.append(" ".join(dict.fromkeys(parts)))
    return merged


def _body(rows: list[list[str]], header: list[str]) -> Iterator[_Row]:
    group = ""
    for row in rows:
        key = row[0].rstrip(":").strip()
        values = [_clean(cell) for cell in row[1:]]
        if key and not any(values):
            group = key if len(words(key)) <= 8 else ""
            continue
        if not key or not any(character.isalnum() for character in key):
            continue
        if len(words(key)) > 14 or key.casefold() in _EMPTY:
            continue
        if group and normalise(group) not in normalise(key):
            label = f"{key} ({group})" if row[0][:1].islower() or len(words(key)) <= 3 else key
        else:
            label = key
        cells = tuple(
            value if column and len(words(value)) <= _MAX_CELL_WORDS else ""
            for value, column in zip(values, header[1:], strict=True)
        )
        if any(cells):
            yield _Row(key=label, cells=cells, source=_markdown(row))


def _clean(cell: str) -> str:
    cell = re.sub(r"^([€$£¥])\s+(?=\d)", r"\1", cell)
    return "" if cell.casefold() in _EMPTY else cell


def _markdown(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _subject(section: Section, position: int) -> str:
    for neighbour in (position - 1, position + 1):
        if 0 <= neighbour < len(section.blocks):
            block = section.blocks[neighbour]
            if block.kind == "caption":
                caption = _CAPTION.sub("", collapse(block.text)).rstrip(".:")
                if 1 <= len(words(caption)) <= 14:
                    return caption
    return section.heading


def _facts(view: View, section: Section, block: Block, table: _Table) -> Iterator[Fact]:
    for number, row in enumerate(table.rows):
        passage = "\n".join(part for part in (table.subject, table.header, row.source) if part)
        common = {
            "section": section,
            "passage": passage,
            "pages": (block.page,),
            "block": block.index,
        }
        filled = 0
        for column, value in zip(table.columns, row.cells, strict=True):
            if not value:
                continue
            filled += 1
            asked, answer = _cell(view, table, row, column, value)
            if asked:
                key = ("cell", block.index, number, column)
                yield view.fact(
                    "table", _phrased(view, table, asked, row.key, *key), answer, **common
                )
        if filled >= 2 and view.english:
            yield from _row_fact(view, table, row, block, number, common)
    if view.english:
        yield from _reversed(view, section, block, table)


def _phrased(
    view: View, table: _Table, asked: list[str], subject: str, *key: object
) -> tuple[str, ...]:
    """At most two questions a cell: a table has many cells."""
    if not view.english:
        return view.choose(asked, *key)[:2]
    return view.ask(asked, subject, *key)[:2]


def _cell(view: View, table: _Table, row: _Row, column: str, value: str) -> tuple[list[str], str]:
    """Returns ways to ask for a cell, and the sentence that answers."""
    if not view.english:
        fields = {"doc": view.name.reference, "row": row.key, "column": column, "value": value}
        asked = [template.format(**fields) for template in view.phrases.cell]
        return asked, view.phrases.cell_answer.format(**fields)
    key = view.vocabulary.natural(row.key)
    named = _UNIT.match(column)
    name = view.vocabulary.natural(named["name"] if named else column)
    if named and _is_value(value) and not re.search(r"[A-Za-z€$£]", value):
        value = f"{value} {named['unit']}"
    plain = normalise(name)
    if plain in _MEANING_HEADERS and (
        normalise(table.key_header) in _TERM_HEADERS or len(words(row.key)) <= 3
    ):
        return [f"What does {row.key} mean?", f"What is the meaning of {row.key}?"], (
            f"{row.key} means: {value}"
        )
    if _is_properties(table):
        return _property(view, table, key, value)
    if _PERIOD.search(column):
        period = f"as of {name.removeprefix('as of ')}" if _AS_OF.match(column) else f"for {name}"
        owner = f"the {key}" if key[:1].islower() else key
        return [f"What is the figure for {key} {period}?", f"How much is {owner} {period}?"], (
            f"{key[0].upper()}{key[1:]} {period}: {value}{table.scale}."
        )
    if _is_value(column):
        return [], ""
    of = f"{table.key_header.lower()} {row.key}" if _needs_noun(row.key, table) else row.key
    article = "" if name.split()[0] in ("the", "a", "an") else "the "
    ending = "" if value.endswith((".", "!", "?")) else "."
    return [f"What is {article}{name} of {of}?", f"What {name} does {of} have?"], (
        f"The {name.removeprefix('the ')} of {of} is {value}{table.scale}{ending}"
        if len(words(value)) <= 12
        else f"{of[0].upper()}{of[1:]}, {name}: {value}{ending}"
    )


def _needs_noun(key: str, table: _Table) -> bool:
    """`error code E12` rather than `E12`: keys that are mere numbers or codes want their noun."""
    return bool(table.key_header) and (
        not re.search(r"[^\W\d]{3,}", key)
        and len(words(table.key_header)) <= 3
        and not _PERIOD.search(table.key_header)
    )


def _is_properties(table: _Table) -> bool:
    return (
        len(table.columns) == 1
        and normalise(table.columns[0]) in _VALUE_HEADERS
        and (not table.key_header or normalise(table.key_header) in _PROPERTY_HEADERS)
    )


def _property(view: View, table: _Table, key: str, value: str) -> tuple[list[str], str]:
    owner = view.name.product
    ending = "" if value.endswith((".", "!", "?")) else "."
    if owner:
        return [f"What is the {key} of {owner}?"], f"The {key} of {owner} is {value}{ending}"
    return [f"What is the {key}?"], f"The {key} is {value}{ending}"


def _row_fact(
    view: View, table: _Table, row: _Row, block: Block, number: int, common: dict
) -> Iterator[Fact]:
    if any(_PERIOD.search(column) for column in table.columns):
        return
    parts = [
        f"{view.vocabulary.natural(column)}: {value}"
        for column, value in zip(table.columns, row.cells, strict=True)
        if value
    ]
    of = f"{table.key_header.lower()} {row.key}" if _needs_noun(row.key, table) else row.key
    about = f" in the table on {view.topic(table.subject)}" if table.subject else ""
    questions = view.ask(
        [f"What are the details of {of}{about}?", f"What is listed for {of}{about}?"],
        row.key,
        "row",
        block.index,
        number,
    )[:1]
    yield view.fact("table", questions, f"{of[0].upper()}{of[1:]}: {'; '.join(parts)}.", **common)


def _reversed(view: View, section: Section, block: Block, table: _Table) -> Iterator[Fact]:
    """`Which <key header> has a <column> of <value>?` where one row alone has the value."""
    if not table.key_header or len(words(table.key_header)) > 3 or _is_properties(table):
        return
    kind = view.vocabulary.natural(table.key_header)
    for position, column in enumerate(table.columns):
        values = Counter(normalise(row.cells[position]) for row in table.rows)
        unit = _UNIT.match(column)
        if not column or _PERIOD.search(column) or _is_value(column):
            continue
        name = view.vocabulary.natural(unit["name"] if unit else column)
        for number, row in enumerate(table.rows):
            value = row.cells[position]
            if not value or values[normalise(value)] > 1 or len(words(value)) > 6:
                continue
            # A third of the cells are asked this way round too.
            if stable_hash(view.options.seed, block.index, number, column) % 3:
                continue
            if unit and _is_value(value) and not re.search(r"[A-Za-z€$£]", value):
                value = f"{value} {unit['unit']}"
            yield view.fact(
                "table",
                view.ask(
                    [f"Which {kind} has the {name} {value}?"],
                    row.key,
                    "which",
                    block.index,
                    number,
                    column,
                )[:1],
                f"{row.key} has the {name} {value}.",
                section=section,
                passage="\n".join((table.header, row.source)),
                pages=(block.page,),
                block=block.index,
            )
