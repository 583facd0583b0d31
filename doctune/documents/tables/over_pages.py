"""Joins tables that span pages; repeated header rows are kept once."""

import re
from collections.abc import Sequence
from dataclasses import replace

from doctune.documents.model import OUT_OF_FLOW, BBox, Block, table_markdown

_SAME_SIDE = 12.0  # points
_LOWEST_END = 0.6  # of the page's height: a table that ends above does not continue
_HIGHEST_START = 0.35
_MOST_NOTE_CHARS = 60
_MOST_HEADER_ROWS = 5
# Notes such as "Table 3 (continued)", in the languages that typesetting packages support.
_CONTINUED = re.compile(
    r"\bcontinued\b|\bcont(?:\.|'d\b|\u2019d\b)|\bfortsetzung\b|\bfortgesetzt\b"
    r"|\bsuite (?:de|du|\u00e0)\b|\((?:suite|segue|continua)\)|\bcontinuaci\u00f3n\b"
    r"|\bcontinua(?:zione|\u00e7\u00e3o)\b|\bvervolg\b|\u043f\u0440\u043e\u0434\u043e\u043b\u0436\u0435\u043d\u0438\u0435|\u7d9a\u304d|\u7eed\u8868"
    r"|\u7e8c\u8868|\uacc4\uc18d",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\W*\w+\W*[\divx]+(?:[.\u2013-]\d+)*", re.IGNORECASE)

Rows = tuple[tuple[str, ...], ...]


def join_over_pages(
    pages: Sequence[Sequence[Block]], heights: Sequence[float]
) -> list[list[Block]]:
    """Returns the blocks of each page; a table that spans pages is whole on its first page.

    "Continued" notes become headers and footers of their pages.

    Args:
        pages: The blocks of each page.
        heights: The heights of the pages, in points.
    """
    joined = [list(page) for page in pages]
    # The table that may continue: its page, its index there, and the box of its last part.
    last: tuple[int, int, BBox] | None = None
    for number, page in enumerate(joined):
        height = heights[number]
        if not any(map(_in_flow, page)):
            continue
        if last is not None:
            begun = joined[last[0]][last[1]]
            notes, first = _first_part(page, begun)
            part = page[first]
            high = part.bbox[1] < _HIGHEST_START * height
            if high and _goes_on(begun, last[2], part, bool(notes)):
                joined[last[0]][last[1]] = _join(begun, part)
                _mark(page, notes, "header")
                _mark(joined[last[0]], _notes_below(joined[last[0]], last[1]), "footer")
                del page[first]
                if not any(map(_in_flow, page)) and part.bbox[3] >= _LOWEST_END * height:
                    last = last[0], last[1], part.bbox
                    continue
        last = _last_table(page, number, height)
    return joined


def _first_part(page: Sequence[Block], begun: Block) -> tuple[list[int], int]:
    """Returns the "continued" notes at the top of a page, and the first block below them."""
    notes: list[int] = []
    first = 0
    for first, block in enumerate(page):
        if not _in_flow(block):
            continue
        if not _is_note(block) and not (block.kind == "caption" and block.text == begun.caption):
            break
        notes.append(first)
    return notes, first


def _notes_below(page: Sequence[Block], table: int) -> list[int]:
    below = range(table + 1, len(page))
    return [index for index in below if _in_flow(page[index]) and _is_note(page[index])]


def _in_flow(block: Block) -> bool:
    return block.kind not in OUT_OF_FLOW and block.kind != "footnote"


def _is_note(block: Block) -> bool:
    """Returns whether a block is a "continued" note."""
    if block.kind != "caption" and (block.kind == "table" or len(block.text) > _MOST_NOTE_CHARS):
        return False
    return _CONTINUED.search(block.text) is not None


def _mark(page: list[Block], places: Sequence[int], kind: str) -> None:
    for index in places:
        page[index] = replace(page[index], kind=kind)


def _last_table(page: Sequence[Block], number: int, height: float) -> tuple[int, int, BBox] | None:
    """Returns the position of a table at the end of a page, if it may continue."""
    for index in range(len(page) - 1, -1, -1):
        block = page[index]
        if _in_flow(block) and not _is_note(block):
            is_low = block.bbox[3] >= _LOWEST_END * height
            return (number, index, block.bbox) if block.kind == "table" and is_low else None
    return None


def _goes_on(begun: Block, box: BBox, part: Block, noted: bool) -> bool:
    """Returns whether a table continues another: same columns, and no caption of its own."""
    if part.kind != "table" or not part.rows or not begun.rows:
        return False
    if part.caption and not noted and not _same_label(part.caption, begun.caption):
        return False
    if len(part.rows[0]) != len(begun.rows[0]) or abs(part.bbox[0] - box[0]) >= _SAME_SIDE:
        return False
    # Without rules, the right side depends on the longest text, so it is not compared.
    return abs(part.bbox[2] - box[2]) < _SAME_SIDE or _repeated(begun.rows, part.rows) > 0


def _same_label(caption: str, other: str) -> bool:
    one, two = _LABEL.match(caption), _LABEL.match(other)
    return one is not None and two is not None and one.group() == two.group()


def _repeated(above: Rows, rows: Rows) -> int:
    """Returns how many rows at the top of a part repeat those at the top of the table."""
    count = 0
    for one, other in zip(above[:_MOST_HEADER_ROWS], rows[:_MOST_HEADER_ROWS], strict=False):
        if one != other or not any(other):
            break
        count += 1
    return count


def _join(begun: Block, part: Block) -> Block:
    above, rows = begun.rows or (), part.rows or ()
    repeated = _repeated(above, rows)
    rest = rows[repeated:]
    shift = len(above) - repeated
    spans = [(row + shift, *span) for row, *span in part.spans if row >= repeated]
    whole = above + rest
    all_spans = begun.spans + tuple((a, b, c, d) for a, b, c, d in spans)
    # Rows that are repeated on the next page are header rows.
    header_rows = max(begun.header_rows, repeated)
    return replace(
        begun,
        rows=whole,
        text=table_markdown(whole, all_spans, header_rows),
        spans=all_spans,
        header_rows=header_rows,
        links=begun.links + part.links,
    )
