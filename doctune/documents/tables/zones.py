"""Splits a page into column zones, so that a table is not mixed with the text beside it."""

from bisect import bisect_left, bisect_right

from doctune.documents.tables.pieces import Piece

_LONG_CHARS = 25
_MIN_SIDE = 5  # long pieces on each side of a gutter
_MIN_BAND = 3  # rows
_CROSSING_SHARE = 0.1
_STEPS = 40

Row = list[Piece]


def split_zones(rows: list[Row]) -> list[list[Row]]:
    """Returns rows of pieces by zone: the columns of a two-column page, or else the page.

    A stretch of rows without prose is one zone over both columns, since it may be a wide table.
    """
    gutter = _find_gutter([p for row in rows for p in row if len(p.text) >= _LONG_CHARS])
    if gutter is None:
        return [rows]
    zones: list[list[Row]] = []
    for in_columns, band in _bands(rows, gutter):
        if in_columns:
            left = [[p for p in row if p.x1 <= gutter + 2] for row in band]
            right = [[p for p in row if p.x1 > gutter + 2] for row in band]
            zones += [[row for row in side if row] for side in (left, right)]
        else:
            zones.append(band)
    return zones


def _find_gutter(long: list[Piece]) -> float | None:
    """Returns the position near the middle that few long pieces cross, with text on both sides."""
    if len(long) < 2 * _MIN_SIDE:
        return None
    starts, ends = sorted(p.x0 for p in long), sorted(p.x1 for p in long)
    left, width = starts[0], ends[-1] - starts[0]
    best: tuple[int, float] | None = None
    for step in range(_STEPS // 4, 3 * _STEPS // 4):
        x = left + width * step / _STEPS
        before, after = bisect_right(ends, x), len(long) - bisect_left(starts, x)
        crossing = len(long) - before - after
        if min(before, after) < _MIN_SIDE or crossing > _CROSSING_SHARE * len(long):
            continue
        if best is None or crossing < best[0]:
            best = crossing, x
    return best[1] if best else None


def _bands(rows: list[Row], gutter: float) -> list[tuple[bool, list[Row]]]:
    """Returns stretches of rows, each with whether it is in columns."""
    flags = [_is_in_columns(row, gutter) for row in rows]
    bands: list[tuple[bool, list[Row]]] = []
    start = 0
    for index in range(1, len(rows) + 1):
        if index == len(rows) or flags[index] != flags[start]:
            in_columns = flags[start] or index - start < _MIN_BAND
            if bands and bands[-1][0] == in_columns:
                bands[-1][1].extend(rows[start:index])
            else:
                bands.append((in_columns, rows[start:index]))
            start = index
    return bands


def _is_in_columns(row: Row, gutter: float) -> bool:
    left, right = gutter - 2, gutter + 2
    is_long = False
    for text, x0, _, x1, _, _ in row:
        if x0 < left and x1 > right:
            return False
        is_long = is_long or len(text) >= _LONG_CHARS
    return is_long
