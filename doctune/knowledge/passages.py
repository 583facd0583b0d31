"""Splits a document into passages, which are read, and smaller units, which are ranked.

A passage holds 60 to 200 words of one section: whole paragraphs, whole lists with the sentence that
leads in, rows of a table under its heads. It never crosses a heading; a section with fewer words is
a passage of its own. A unit is a sentence, a list item, a whole list, or a table row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from doctune.dataset.lexicon import DASHES
from doctune.dataset.records import Block, Document
from doctune.dataset.sections import Section, outline
from doctune.dataset.text import collapse, sentences
from doctune.knowledge.tables import Row, is_heads_only, read_rows

_BULLET = re.compile(rf"^\s*(?:[•◦▪‣·*\-{DASHES}]|\(?[a-zA-Z0-9]{{1,3}}[.)])\s+")
_SCALE = re.compile(r"\bin (?:thousands|millions|billions)\b", re.IGNORECASE)
_DATE_PART = re.compile(r"[A-Z][a-z]{2,8}\.? \d{1,2},|(?:19|20)\d\d")
_FULL_DATE = re.compile(r"[A-Z][a-z]{2,8}\.? \d{1,2}, (?:19|20)\d\d$")
_UNIT_NOTE = re.compile(
    r"\b(?:all|the|our)? ?(?P<what>prices?|amounts?|distances?|lengths?|weights?|sums?|figures?|"
    r"values?|fees?|costs?) (?:are|is) (?:given |stated |shown )?in (?P<unit>[a-z]+)\b",
    re.IGNORECASE,
)
_LEADERS = re.compile(r"(?:\.\s?){4,}")
BBox = tuple[float, float, float, float]
_NO_BOX: BBox = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest piece of text that is ranked and quoted.

    Attributes:
        kind: "sentence", "item", "list", "row".
        text: As it is shown.
        lead: What it needs to be understood: a list's lead-in, a table's caption; may be empty.
        cells: Of a row, its named cells.
        label: Of a row, its first cell; under a row group, with the group's name.
        head: Of a row, the head of the first column.
        scale: Of a row, what its figures are counted in: "(in millions)".
    """

    kind: str
    text: str
    page: int
    box: BBox = _NO_BOX
    lead: str = ""
    label: str = ""
    head: str = ""
    cells: tuple[tuple[str, str], ...] = ()
    scale: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of one section that can be understood on its own."""

    heading: tuple[str, ...]
    text: str
    pages: tuple[int, ...]
    boxes: tuple[BBox, ...]
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text that is kept within one passage if it fits."""

    text: str
    block: Block
    units: tuple[Unit, ...]
    page: int

    @property
    def size(self) -> int:
        return len(self.text.split())


def cut_document(
    document: Document, titles: tuple[str, ...], *, least: int, most: int
) -> list[Passage]:
    """Returns the passages of a document in reading order.

    Args:
        titles: The document's names; a heading that only repeats one is not part of a path.
        least: Words from which a passage may end.
        most: Most words of a passage.
    """
    notes = _unit_notes(document)
    return [
        passage
        for section in outline(document, titles).sections
        for passage in _cut_section(section, least, most, notes)
    ]


def _unit_notes(document: Document) -> dict[str, str]:
    """Returns the units of measure that a document states: "All prices are in crowns"."""
    notes: dict[str, str] = {}
    for block in document.blocks:
        if block.kind == "paragraph":
            for match in _UNIT_NOTE.finditer(block.text):
                for name in (match["what"].lower(), match["what"].lower().removesuffix("s")):
                    notes.setdefault(name, match["unit"])
    return notes


def _cut_section(
    section: Section, least: int, most: int, notes: dict[str, str]
) -> Iterator[Passage]:
    held: list[_Piece] = []
    size = 0
    for piece in _pieces(section, most, notes):
        if held and (size + piece.size > most or (size >= least and _starts_topic(piece, held))):
            yield _passage(section, held)
            held, size = [], 0
        held.append(piece)
        size += piece.size
    if held:
        yield _passage(section, held)


def _starts_topic(piece: _Piece, held: list[_Piece]) -> bool:
    """Whether a new passage may begin here; a list or table stays with the text before it."""
    return piece.block.kind == "paragraph" or held[-1].block.kind == "table"


def _passage(section: Section, pieces: list[_Piece]) -> Passage:
    boxes = tuple(dict.fromkeys(piece.block.bbox for piece in pieces if any(piece.block.bbox)))
    return Passage(
        heading=section.path,
        text="\n".join(piece.text for piece in pieces),
        pages=tuple(sorted({piece.page for piece in pieces})),
        boxes=boxes,
        units=tuple(unit for piece in pieces for unit in piece.units),
    )


def _pieces(section: Section, most: int, notes: dict[str, str]) -> Iterator[_Piece]:
    blocks = section.blocks
    at = 0
    while at < len(blocks):
        block = blocks[at]
        if block.kind == "list":
            end = at
            while end < len(blocks) and blocks[end].kind == "list":
                end += 1
            lead = _lead_in(blocks[at - 1]) if at else ""
            yield from _list_pieces(section, blocks[at:end], lead)
            at = end
            continue
        if block.kind == "table":
            yield from _table_pieces(section, at, most, notes)
        elif block.kind == "caption" and _captions_table(blocks, at):
            pass
        elif block.text:
            yield from _prose_pieces(block, most)
        at += 1


def _captions_table(blocks: tuple[Block, ...], at: int) -> bool:
    near = blocks[max(0, at - 1) : at + 2]
    return any(b.kind == "table" and collapse(b.caption) == collapse(blocks[at].text) for b in near)


def _lead_in(block: Block) -> str:
    """Returns the sentence before a list that says what it lists."""
    if block.kind != "paragraph":
        return ""
    last = sentences(block.text)[-1:]
    return last[0] if last and 2 <= len(last[0].split()) <= 40 else ""


def _prose_pieces(block: Block, most: int) -> Iterator[_Piece]:
    units = tuple(Unit("sentence", text, block.page, block.bbox) for text in sentences(block.text))
    held: list[Unit] = []
    size = 0
    for unit in units:
        words = len(unit.text.split())
        if held and size + words > most:
            yield _joined(block, held)
            held, size = [], 0
        held.append(unit)
        size += words
    if held:
        yield _joined(block, held)


def _joined(block: Block, units: list[Unit]) -> _Piece:
    return _Piece(" ".join(unit.text for unit in units), block, tuple(units), units[0].page)


def _list_pieces(section: Section, blocks: tuple[Block, ...], lead: str) -> Iterator[_Piece]:
    whole = _whole_list(blocks, lead)
    for at, (block, text, parent) in enumerate(_items(blocks)):
        context = f"{lead} {parent}".strip()
        found = [text] if len(text.split()) <= 60 else sentences(text)
        units = [Unit("item", part, block.page, block.bbox, context) for part in found]
        if at == 0 and whole is not None:
            units.insert(0, whole)
        yield _Piece(block.text, block, tuple(units), block.page)


def _whole_list(blocks: tuple[Block, ...], lead: str) -> Unit | None:
    if len(blocks) < 2:
        return None
    lines = [collapse(block.text) for block in blocks]
    text = "\n".join(lines)
    if len(text.split()) > 220:
        return None
    return Unit("list", text, blocks[0].page, blocks[0].bbox, lead)


def _items(blocks: tuple[Block, ...]) -> Iterator[tuple[Block, str, str]]:
    """Yields each list item without its bullet, with the item that it is nested in."""
    parents: dict[int, str] = {}
    for block in blocks:
        text = _BULLET.sub("", collapse(block.text))
        parents[block.level] = text
        parent = parents.get(block.level - 1, "") if block.level > 1 else ""
        yield block, text, parent


def _table_pieces(section: Section, at: int, most: int, notes: dict[str, str]) -> Iterator[_Piece]:
    block = section.blocks[at]
    above = _heads_above(section.blocks, at)
    if is_heads_only(block.rows) and at + 1 < len(section.blocks) and len(block.rows) > 1:
        following = section.blocks[at + 1 : at + 3]
        if any(other.kind == "table" for other in following):
            return  # they are read with the table that they belong to
    caption = collapse(block.caption)
    scale = _scale(section, at, caption)
    lead = caption or (_lead_in(section.blocks[at - 1]) if at else "")
    held: list[Unit] = []
    size = 0
    rows = read_rows(block.rows, block.header_rows, above, caption=caption, notes=notes)
    for row in rows:
        unit = _row_unit(row, block, lead, scale)
        if not unit.text or _LEADERS.search(unit.text):
            continue
        words = len(unit.text.split())
        if held and size + words > most:
            yield _table_piece(block, held, lead, scale)
            held, size = [], 0
        held.append(unit)
        size += words
    if held:
        yield _table_piece(block, held, lead, scale)


def _row_unit(row: Row, block: Block, lead: str, scale: str) -> Unit:
    return Unit(
        "row", row.text(), block.page, block.bbox, lead, row.label, row.head, row.cells, scale
    )


def _table_piece(block: Block, units: list[Unit], lead: str, scale: str) -> _Piece:
    title = " ".join(part for part in (lead, scale) if part)
    lines = ([title] if title else []) + [unit.text for unit in units]
    return _Piece("\n".join(lines), block, tuple(units), units[0].page)


def _heads_above(blocks: tuple[Block, ...], at: int) -> tuple[tuple[str, ...], ...]:
    """Returns the heads that stand apart from the table: a table of heads, or a line of dates.

    A statement's later parts go without heads; the ones above them in the section hold.
    """
    dates: list[str] = []
    for block in reversed(blocks[:at]):
        if block.kind == "table" and is_heads_only(block.rows):
            return block.rows
        if block.kind == "table":
            if dates:
                break
            if any(map(any, block.rows[: block.header_rows])):
                return block.rows[: block.header_rows]
        elif _DATE_PART.fullmatch(collapse(block.text)):
            dates.insert(0, collapse(block.text))
        elif dates:
            break
    named = [f"{day} {year}" for day, year in zip(dates[::2], dates[1::2], strict=False)]
    return (tuple(named),) if dates and all(map(_FULL_DATE.match, named)) else ()


def _scale(section: Section, at: int, caption: str) -> str:
    """Returns the unit or scale of a table's figures, if the text beside the table states it."""
    near = [caption, *(cell for row in section.blocks[at].rows[:3] for cell in row)]
    near += [block.text for block in reversed(section.blocks[:at]) if block.kind != "table"]
    near.append(section.heading)
    for text in near:
        if match := _SCALE.search(text):
            return f"({match[0].lower()})"
    return ""
