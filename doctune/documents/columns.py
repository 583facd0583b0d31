"""Splits lines at column gutters, in files that draw columns row by row."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from doctune.documents.hyphens import breaks_word
from doctune.documents.lines import Line, PageText, Word
from doctune.documents.model import BBox
from doctune.documents.tables.pieces import has_gaps, part_of

_MIN_ROWS = 8
_MIN_SHARE = 0.8  # of the rows have a gap at a gutter
_LEAST_GUTTER = 1.2  # em
PROSE_CHARS = 18  # a narrower column is one of a table, whose rows must stay together


def cut_columns(lines: list[Line], tables: Sequence[BBox], text: PageText) -> list[Line]:
    """Returns the lines of a page, split where they cross a gutter.

    Args:
        tables: The boxes of tables; their lines are left alone.
    """
    rows = [
        line
        for line in lines
        if not line.kind
        and not line.turn
        and has_gaps(line)
        and not any(b[0] < line.x1 and line.x0 < b[2] and b[1] < line.y1 < b[3] for b in tables)
    ]
    if len(rows) < _MIN_ROWS or 2 * len(rows) < len(lines):
        return lines
    words = [text.words(row) for row in rows]
    gutters = _gutters(rows, words)
    cut = {row: _cut(row, of_row, gutters) for row, of_row in zip(rows, words, strict=True)}
    pieces = [piece for parts in cut.values() for piece in parts]
    if not gutters or median(len(piece.text) for piece in pieces) < PROSE_CHARS:
        return lines
    return [piece for line in lines for piece in cut.get(line, [line])]


def _gutters(rows: Sequence[Line], words: Sequence[Sequence[Word]]) -> list[float]:
    """Returns the middles of the gaps that nearly all rows share, from the left."""
    gaps = [
        [(a.x1, b.x0) for a, b in pairwise(of_row) if b.x0 - a.x1 > _LEAST_GUTTER * row.size]
        for row, of_row in zip(rows, words, strict=True)
    ]
    found: list[float] = []
    for middle in sorted((left + right) / 2 for of_row in gaps for left, right in of_row):
        at = [gap for of_row in gaps for gap in of_row if gap[0] < middle < gap[1]]
        if len(at) < _MIN_SHARE * len(rows):
            continue
        left, right = max(gap[0] for gap in at), min(gap[1] for gap in at)
        if left < right and (not found or found[-1] < left):
            found.append((left + right) / 2)
    return found


def _cut(line: Line, words: Sequence[Word], gutters: Sequence[float]) -> list[Line]:
    """Splits a line where it has a gap at a gutter."""
    parts: list[list[Word]] = [[]]
    for word in words:
        last = parts[-1][-1] if parts[-1] else None
        if last and any(last.x1 < gutter < word.x0 for gutter in gutters):
            parts.append([])
        parts[-1].append(word)
    if len(parts) == 1:
        return [line]
    return [part_of(line, part, breaks_word(part[-1].text)) for part in parts]
