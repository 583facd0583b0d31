"""Detects the columns of text rows: the intervals that their pieces fill."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from doctune.documents.lines import PageText, Word
from doctune.documents.tables.pieces import Piece, piece_of

Row = list[Piece]
Interval = tuple[float, float]

_VALUE_GAP = 0.45  # em: numbers further apart may be in two columns
_PARTS_OF_VALUES = frozenset(
    "-\u2010\u2011\u2012\u2013\u2014\u2212*\u2020\u2021\u2026.#%$\u20ac\u00a3"
)
_MIN_VALUED = 3  # rows of values that are needed to determine columns
_DIGIT = re.compile(r"\d")
_CURRENCY = "$\u20ac\u00a3\u00a5"


def find_columns(rows: Sequence[Row]) -> list[Interval]:
    """Returns the intervals of the rows with the most pieces, widened by the other rows."""
    counts = Counter(len(row) for row in rows if len(row) > 1)
    enough = max(2, len(rows) // 4)
    usual = max(
        (n for n in counts if sum(counts[m] for m in counts if m >= n) >= enough), default=2
    )
    full = [row for row in rows if len(row) >= usual]
    # A column header may be wider than the values below it, and overlap the next column.
    valued = [row for row in full if 2 * sum(p.is_value for p in row[1:]) >= len(row) - 1]
    if len(valued) >= _MIN_VALUED:
        full = valued
    columns = _union([(piece.x0, piece.x1) for row in full for piece in row])
    first = next(index for index, row in enumerate(rows) if row is full[0])
    for row in rows[first:]:
        if len(row) < usual:
            for piece in row:
                if _overlapped(piece, columns) < 2:
                    columns = _union([*columns, (piece.x0, piece.x1)])
    # From the column headers up to titles over several columns, which may be above a gap.
    for row in reversed(rows[:first]):
        for piece in row:
            overlapped = _overlapped(piece, columns)
            if overlapped == 1 or (overlapped == 0 and len(row) >= usual):
                columns = _union([*columns, (piece.x0, piece.x1)])
    return columns


def _overlapped(piece: Piece, columns: Sequence[Interval]) -> int:
    return sum(1 for x0, x1 in columns if piece.x0 < x1 and piece.x1 > x0)


def columns_of(piece: Piece, columns: Sequence[Interval]) -> tuple[int, int]:
    """Returns the first and last column that a piece overlaps, or else the nearest one."""
    touched = [
        i for i, (x0, x1) in enumerate(columns) if piece.x0 < x1 - 0.5 and piece.x1 > x0 + 0.5
    ]
    if touched:
        return touched[0], touched[-1]
    middle = (piece.x0 + piece.x1) / 2
    nearest = min(range(len(columns)), key=lambda i: abs(sum(columns[i]) / 2 - middle))
    return nearest, nearest


def split_values(rows: Sequence[Row], text: PageText) -> list[Row]:
    """Splits pieces of several numbers where no number of another row crosses.

    Columns of long numbers may be so close that the gap between them is as small as between words.
    """
    several = [piece for row in rows for piece in row if has_several_values(piece.text)]
    if not several:
        return list(rows)
    words = {piece: words for piece in several if (words := words_of(piece, text))}
    single = [(p.x0, p.x1) for row in rows for p in row if p.is_value and p not in words]
    filled = _union([*single, *((w.x0, w.x1) for group in words.values() for w in group)])
    ends = [end for _, end in filled]
    return [
        [part for piece in row for part in _parts(piece, words.get(piece), ends)] for row in rows
    ]


def has_several_values(text: str) -> bool:
    """Returns whether a text consists of two or more numbers, or signs in place of numbers."""
    tokens = text.split(" ")
    return len(tokens) > 1 and all(
        _DIGIT.search(token) or _PARTS_OF_VALUES.issuperset(token) for token in tokens
    )


def words_of(piece: Piece, text: PageText) -> list[Word]:
    """Returns the words of a piece; none if it was joined from several lines."""
    words = [w for w in text.words(piece.line) if piece.x0 - 1 < (w.x0 + w.x1) / 2 < piece.x1 + 1]
    return words if " ".join(word.text for word in words) == piece.text else []


def _parts(piece: Piece, words: list[Word] | None, ends: Sequence[float]) -> Row:
    if not words:
        return [piece]
    groups = [words[:1]]
    for one, other in pairwise(words):
        apart = other.x0 - one.x1 > _VALUE_GAP * piece.line.size
        if apart and one.text not in _CURRENCY and _has_end(ends, one.x1, other.x0):
            groups.append([])
        groups[-1].append(other)
    return [piece_of(group, piece.line) for group in groups]


def _has_end(ends: Sequence[float], low: float, high: float) -> bool:
    index = bisect_left(ends, low)
    return index < len(ends) and ends[index] < high


def _union(intervals: list[Interval]) -> list[Interval]:
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start < merged[-1][1] - 0.5:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged
