"""Marks page furniture: running headers and footers, page numbers, labels of figures."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from doctune.documents.drawing import Drawing
from doctune.documents.labels import labels_among
from doctune.documents.lines import Line
from doctune.documents.model import BBox

_NUMBERS = re.compile(r"\d+|\b[ivxlc]+\b")
_BAND = 0.13  # of the page's height, at the top and at the bottom
_LEAST_GAP = 0.6  # of a line's height, between a running line and the text
_MAX_SIZE = 1.15  # of the body's
_MAX_TITLE_CHARS = 90
_TICK = re.compile(r"^[\W\d_]*(?:[^\W\d_]{1,3})?[\W\d_]*$")
_MIN_TICKS = 8
_LEAST_RUN = 3
_LEAST_SCALE = 4  # numbers in a line
_SCALE_SLACK = 0.01  # of a step
_MOST_OF_PAGE = 0.6
_MAX_REGIONS = 300
_NEAR = 6.0  # points between the pieces of one figure
_MAX_TICK_CHARS, _MAX_TICK_WIDTH = 14, 110.0
_LEAST_AXIS = 4  # numbers
_AXIS_SLACK = 2.0  # points
_LEAST_PLOT = 40.0  # points wide and high
_AXIS_GAP = 1.5  # em, between a plot and the numbers along it
_VALUES = re.compile(r"[+\-\u2212\u2013]?\d[\d.,eE+\-\u2212\u2013\u00d7^%\u00b0\s]*$")


def mark_running_lines(pages: Sequence[tuple[list[Line], float]], body: float) -> None:
    """Marks lines that repeat at the top and bottom of pages as kind "header" and "footer".

    Args:
        pages: The lines of each page, and its height in points. All numbers count as equal.
        body: The font size of the text, in points; larger lines are chapter headings.
    """
    if len(pages) < 2:
        return
    candidates = [_outer_lines(lines, height, _MAX_SIZE * body) for lines, height in pages]
    counts = Counter(_key(side, line) for page in candidates for side, line in page)
    enough = max(2 if len(pages) < 5 else 3, int(0.08 * len(pages)))
    slots = _running_places(candidates)
    for page in candidates:
        marked: list[Line] = []
        for side, line in page:
            kind, text, place = _key(side, line)
            seen = sum(counts[(kind, text, place + shift)] for shift in (-1, 0, 1))
            if seen >= enough or text == "#":
                line.kind = side
                marked.append(line)
        changing = [line for side, line in page if (side, _place(line)) in slots]
        for side, line in page:
            if line in changing and not line.kind:
                line.kind = side
                marked.append(line)
        # Running titles that change are on the baseline of a page number or of a constant line.
        for side, line in page:
            beside = any(abs(line.y0 - other.y0) < 3 for other in marked)
            if beside and not line.kind and len(line.text) < _MAX_TITLE_CHARS:
                line.kind = side


def _outer_lines(lines: list[Line], height: float, largest_size: float) -> list[tuple[str, Line]]:
    small = (line for line in lines if not line.turn and line.size <= largest_size)
    upright = sorted(small, key=lambda line: line.y0)
    top = [("header", line) for line in upright[:3] if line.y1 < _BAND * height]
    bottom = [("footer", line) for line in upright[-3:] if line.y0 > (1 - _BAND) * height]
    return top + bottom


def _running_places(candidates: list[list[tuple[str, Line]]]) -> set[tuple[str, int]]:
    """Returns positions where most pages have an isolated line whose text changes rarely.

    Titles of chapters and sections are like that. The first line of the text has a fixed position,
    too, but its text differs on each page and no gap follows.
    """
    apart: dict[tuple[str, int], list[str]] = {}
    for page in candidates:
        for side in ("header", "footer"):
            lines = sorted((line for s, line in page if s == side), key=lambda line: line.y0)
            if side == "footer":
                lines.reverse()
            if not lines:
                continue
            first = lines[0]
            others = [line for line in lines[1:] if abs(line.y0 - first.y0) > 3]
            gap = min((_distance(first, line) for line in others), default=99.0)
            if gap > _LEAST_GAP * (first.y1 - first.y0):
                apart.setdefault((side, _place(first)), []).append(_key(side, first)[1][:12])
    return {
        place
        for place, texts in apart.items()
        if len(texts) >= max(4, 0.2 * len(candidates)) and len(set(texts)) <= 0.6 * len(texts)
    }


def _distance(one: Line, other: Line) -> float:
    return max(one.y0 - other.y1, other.y0 - one.y1)


def _place(line: Line) -> int:
    return round(line.y0 / 3)


def _key(side: str, line: Line) -> tuple[str, str, int]:
    return side, _NUMBERS.sub("#", line.text.lower()), _place(line)


def mark_figure_text(lines: list[Line]) -> None:
    """Marks runs of short scattered lines, such as the ticks of an axis, as kind "figure"."""
    run: list[Line] = []
    for line in lines:
        text = line.text
        short = len(text) <= _MAX_TICK_CHARS and line.x1 - line.x0 < _MAX_TICK_WIDTH
        if short or (text[-1].isdigit() and _is_scale(text)):
            run.append(line)
        else:
            _mark_ticks(run)
            run = []
    _mark_ticks(run)


def _mark_ticks(run: list[Line]) -> None:
    if len(run) < _LEAST_RUN:
        return
    scales = [line for line in run if _is_scale(line.text)]
    if len(run) + sum(line.text.count(" ") for line in scales) < _MIN_TICKS:
        return
    # Years in a table's header are in equal steps, too, but rows follow them.
    rows = sum(1 for line in run if " " in line.text) - len(scales)
    if scales and 2 * rows > len(run) - len(scales):
        return
    ticks = [line for line in run if _TICK.match(line.text) or line in scales]
    numbers = [line for line in ticks if line.text[-1].isdigit()]
    if 2 * len(ticks) >= len(run) and (2 * len(numbers) < len(ticks) or _are_axes(numbers)):
        for line in run:
            line.kind = "figure"


def _is_scale(text: str) -> bool:
    """Returns whether a line has only numbers in equal steps, as along an axis."""
    if text.count(" ") < _LEAST_SCALE - 1 or not _VALUES.match(text):
        return False
    values = list(map(_value, text.split()))
    step = values[1] - values[0]
    slack = _SCALE_SLACK * abs(step)
    return step != 0 and all(abs(b - a - step) <= slack for a, b in pairwise(values))


def _are_axes(numbers: list[Line]) -> bool:
    """Returns whether numbers are along axes, not in a table's header or in fractions.

    The latter are as short, but are in few rows and neither rise nor fall along them.
    """
    rows = {round(line.y1 / _AXIS_SLACK) for line in numbers}
    return len(rows) >= _LEAST_AXIS or _rise(numbers)


def _rise(numbers: list[Line]) -> bool:
    """Returns whether the numbers of a row or column rise or fall along it."""
    steady, direction = 1, 0
    for one, other in pairwise(numbers):
        in_row = abs(one.y1 - other.y1) < _AXIS_SLACK
        in_column = min(abs(one.x0 - other.x0), abs(one.x1 - other.x1)) < _AXIS_SLACK
        step = _value(other.text) - _value(one.text) if in_row or in_column else 0.0
        sign = (step > 0) - (step < 0)
        steady = steady + 1 if sign == direction else 2
        direction = sign
        if not direction:
            steady = 1
        if steady >= _LEAST_AXIS:
            return True
    return False


def _value(text: str) -> float:
    """Returns the number of a tick; 0 if it has several."""
    try:
        return float(text.replace("\u2212", "-").replace("\u2013", "-"))
    except ValueError:
        return 0.0


def mark_figures(lines: list[Line], drawing: Drawing, page_area: float) -> list[BBox]:
    """Marks labels within drawings and images as kind "figure"; returns the boxes of the figures.

    A line on a drawing is not always a label: cards, slides and call-outs contain text. A form or
    image that covers most of the page is its background; one with more text than labels is a frame.
    """
    regions = [
        (x0, y0, x1, y1)
        for x0, y0, x1, y1 in _merge(drawing.figures + drawing.images)
        if (x1 - x0) * (y1 - y0) <= _MOST_OF_PAGE * page_area
    ]
    for region in regions:
        inside = [line for line in lines if not line.kind and _is_within(line, region)]
        if inside:
            for line in labels_among(inside, lines):
                line.kind = "figure"
        if min(region[2] - region[0], region[3] - region[1]) >= _LEAST_PLOT:
            _mark_axes(lines, region)
    return regions


def _mark_axes(lines: list[Line], plot: BBox) -> None:
    """Marks the numbers along the sides of a plot."""
    near = [line for line in lines if not line.kind and _is_beside(line, plot, _AXIS_GAP)]
    ticks = [line for line in near if _VALUES.match(line.text)]
    if sum(len(line.text.split()) for line in ticks) < _LEAST_AXIS:
        return
    for line in ticks:
        line.kind = "figure"


def _is_within(line: Line, region: BBox) -> bool:
    x0, y0, x1, y1 = region
    return x0 <= (line.x0 + line.x1) / 2 <= x1 and y0 - 2 <= (line.y0 + line.y1) / 2 <= y1 + 2


def _is_beside(line: Line, box: BBox, em: float) -> bool:
    """Returns whether a line is outside a box and no more than `em` from one of its sides."""
    x0, y0, x1, y1 = box
    reach = em * line.size
    if y0 - reach <= (line.y0 + line.y1) / 2 <= y1 + reach:
        left, right = x0 - line.x1, line.x0 - x1
        if -1 <= left <= reach or -1 <= right <= reach:
            return True
    above, below = y0 - line.y1, line.y0 - y1
    within = x0 - reach <= line.x0 and line.x1 <= x1 + reach
    return within and (-reach <= above <= reach or -reach <= below <= reach)


def _merge(boxes: list[BBox]) -> list[BBox]:
    """Merges touching boxes, since a figure is often drawn in many pieces."""
    merged: list[BBox] = []
    for box in sorted(boxes)[:_MAX_REGIONS]:
        x0, y0, x1, y1 = box
        touching = [
            other
            for other in merged
            if other[0] <= x1 + _NEAR
            and other[2] >= x0 - _NEAR
            and other[1] <= y1 + _NEAR
            and other[3] >= y0 - _NEAR
        ]
        for other in touching:
            merged.remove(other)
            x0, y0 = min(x0, other[0]), min(y0, other[1])
            x1, y1 = max(x1, other[2]), max(y1, other[3])
        merged.append((x0, y0, x1, y1))
    return merged
