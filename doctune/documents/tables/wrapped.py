"""Joins the lines of wrapped cells in a table without drawn cells."""

import itertools
from collections.abc import Sequence
from statistics import median

from doctune.documents.tables.columns import Interval, Row, columns_of
from doctune.documents.tables.pieces import Piece
from doctune.documents.tables.rules import WHOLE_SHARE

_RULED_SHARE = 0.4
_ACROSS_SHARE = 0.5  # of the table's width
_CLOSE = 0.5  # heights of a line
_MOST_HEAD_ROWS = 6


def merge_wrapped(
    run: Sequence[Row], columns: Sequence[Interval], shares: Sequence[float]
) -> list[Row]:
    """Joins the lines of wrapped cells, so that each row is a row of the table.

    Args:
        run: The table's text rows.
        columns: Its columns.
        shares: The share of its width with a rule below each row but the last.
    """
    between = [share > _ACROSS_SHARE for share in shares]
    ruled = sum(between) >= max(2, _RULED_SHARE * len(between))
    gaps = [_top(other) - _bottom(one) for one, other in itertools.pairwise(run)]
    usual = median(gaps)
    head = _head_rows(run, shares)
    merged = [list(run[0])]
    for index, (row, gap, rule) in enumerate(zip(run[1:], gaps, between, strict=True), start=1):
        close = gap < _CLOSE * max(piece.y1 - piece.y0 for piece in row)
        if ruled:
            wraps = not (
                rule
                or _both_have_values(merged[-1], row, columns)
                or (index < _MOST_HEAD_ROWS and _is_title(merged[-1], row, columns))
            )
        else:
            wraps = (
                close
                and not rule
                and (
                    _is_rest(merged[-1], row, columns, gap < 0.6 * usual)
                    or (index < head and _is_rest_of_head(merged[-1], row, columns))
                )
            )
        if wraps:
            merged[-1] += row
        else:
            merged.append(list(row))
    return merged


def _is_title(above: Row, row: Row, columns: Sequence[Interval]) -> bool:
    """Returns whether a single piece is a title over columns with headers of their own."""
    return len(above) == 1 < len(row) and columns_of(above[0], columns)[0] > 0


def _both_have_values(above: Row, row: Row, columns: Sequence[Interval]) -> bool:
    values = {columns_of(piece, columns) for piece in above if piece.is_value}
    return any(piece.is_value and columns_of(piece, columns) in values for piece in row)


def _is_rest(above: Row, row: Row, columns: Sequence[Interval], tight: bool) -> bool:
    """Returns whether a row continues cells of the row above."""
    ranges = [columns_of(piece, columns) for piece in row]
    places = [first for first, _ in ranges]
    if any(piece.is_value for piece in row):
        return False
    filled = {columns_of(piece, columns)[0] for piece in above}
    # A piece below several cells continues none of them.
    if any(len(filled.intersection(range(first, last + 1))) > 1 for first, last in ranges):
        return False
    if 0 not in places:
        return set(places) <= filled
    begun = [piece for piece in above if columns_of(piece, columns)[0] in places]
    if _all_lower(row) and not _all_lower(begun[:1]) and set(places) <= filled:
        return True
    # A single first cell may be a heading in the table: it continues only if tight or lower-case.
    lower = row[0].text[:1].islower() or row[0].text[:1] in "("
    return (tight or lower) and len(row) < len(columns) and set(places) <= filled


def _head_rows(run: Sequence[Row], shares: Sequence[float]) -> int:
    """Returns the number of header rows above a rule across the table; 0 if there are many."""
    head = 0
    for index, row in enumerate(run[:_MOST_HEAD_ROWS]):
        if any(any(map(str.isdigit, piece.text)) for piece in row[1:]):
            return head
        if index < len(shares) and shares[index] > WHOLE_SHARE:
            head = index + 1
    return head


def _is_rest_of_head(above: Row, row: Row, columns: Sequence[Interval]) -> bool:
    """Returns whether a row continues the column headers, not those below spanning titles."""
    places = [columns_of(piece, columns) for piece in row]
    filled = [columns_of(piece, columns) for piece in above]
    if len(row) < 2 or any(piece.is_value for piece in (*above, *row)):
        return False
    if any(first < last for first, last in (*places, *filled)):
        return False
    return len(set(places) & set(filled)) >= 2


def _all_lower(row: Sequence[Piece]) -> bool:
    return all(piece.text[:1].islower() for piece in row)


def _top(row: Row) -> float:
    return min(piece.y0 for piece in row)


def _bottom(row: Row) -> float:
    return max(piece.y1 for piece in row)
