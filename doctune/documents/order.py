"""Determines the reading order of a page.

The file's own order is right more often than any geometric heuristic, so it is kept unless it jumps
up and down the page or across gutters. Only then is the page cut into columns and bands (XY-cut).
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import TypeVar

from doctune.documents.columns import PROSE_CHARS, cut_columns
from doctune.documents.lines import Line, PageText
from doctune.documents.model import BBox

_DISORDER_LIMIT, _TURNED_LIMIT = 0.25, 0.1
_MIN_GUTTER = 6.0
_MAX_CUTS = 12

AnyLine = TypeVar("AnyLine", bound=Line)


def reading_order(
    lines: list[Line],
    tables: Sequence[BBox] = (),
    text: PageText | None = None,
    turned: bool = False,
) -> list[Line]:
    """Returns the lines of a page in reading order.

    Args:
        tables: The boxes of its tables.
        text: If given, lines that cross the gutter between columns are split there.
        turned: Whether the file's order is less reliable, as for rotated lines, which PDFium mixes,
            and for form fields, which come last.
    """
    cut = cut_columns(lines, tables, text) if text else lines
    limit, least = (_TURNED_LIMIT, 1) if turned else (_DISORDER_LIMIT, 4)
    if cut is not lines or (len(lines) > least and disorder(lines) > limit):
        return _cut(cut, 0)
    return lines


def cut_into_columns(lines: list[AnyLine]) -> list[AnyLine]:
    """Returns lines whose order is unknown in reading order; tables stay in rows."""
    return _cut(lines, 0, PROSE_CHARS)


def beside_labels(lines: list[Line]) -> list[Line]:
    """Moves the values of form fields after their labels; the file has them last."""
    placed: list[Line] = []
    for line in lines:
        place = len(placed)
        if placed and line.y1 < placed[-1].y1 - 2:
            for index, other in enumerate(placed):
                middle = (line.y0 + line.y1) / 2
                if other.y0 < middle < other.y1 and other.x1 <= line.x0 + 2:
                    place = index + 1
        placed.insert(place, line)
    return placed


def disorder(lines: list[Line]) -> float:
    """Returns the share of steps from line to line that go up the page within a column."""
    ups = sum(
        1
        for one, other in pairwise(lines)
        if other.y1 < one.y0 - 2 and min(one.x1, other.x1) > max(one.x0, other.x0)
    )
    return ups / max(1, len(lines) - 1)


def _cut(lines: list[AnyLine], depth: int, least_chars: int = 0) -> list[AnyLine]:
    """Cuts at the widest gutter between columns, or else at the widest gap between bands.

    Args:
        least_chars: Least median length of a column's lines.
    """
    if len(lines) <= 1 or depth > _MAX_CUTS:
        return lines
    gutter = _widest_gap([(line.x0, line.x1) for line in lines], _MIN_GUTTER)
    if gutter is not None:
        left = [line for line in lines if line.x1 <= gutter]
        right = [line for line in lines if line.x0 >= gutter]
        if all(len(side) >= 3 and _usual_chars(side) >= least_chars for side in (left, right)):
            return _cut(left, depth + 1, least_chars) + _cut(right, depth + 1, least_chars)
    gap = _widest_gap([(line.y0, line.y1) for line in lines], -1.0)
    if gap is not None:
        above = [line for line in lines if line.y0 + line.y1 < 2 * gap]
        below = [line for line in lines if line.y0 + line.y1 >= 2 * gap]
        if above and below:
            return _cut(above, depth + 1, least_chars) + _cut(below, depth + 1, least_chars)
    return sorted(lines, key=lambda line: (round(line.y0 / 3), line.x0))


def _usual_chars(lines: Sequence[Line]) -> float:
    return median(len(line.text) for line in lines)


def _widest_gap(intervals: list[tuple[float, float]], least: float) -> float | None:
    """Returns the middle of the widest gap between intervals, if it is wider than `least`."""
    intervals.sort()
    end = intervals[0][1]
    best, middle = least, None
    for start, stop in intervals[1:]:
        if start - end > best:
            best, middle = start - end, (start + end) / 2
        end = max(end, stop)
    return middle
