"""What stands on pages and is not their text: running headers and footers, page numbers, figure
text. It is marked, not dropped."""

import re
from collections import Counter
from collections.abc import Sequence

from doctune.documents.lines import Line

_NUMBERS = re.compile(r"\d+|\b[ivxlc]+\b")
_BAND = 0.13  # of the page's height, at the top and at the bottom
_MAX_SIZE = 1.15  # of the body's
_MAX_TITLE_CHARS = 90
_TICK = re.compile(r"^[\W\d_]*(?:[^\W\d_]{1,3})?[\W\d_]*$")
_MIN_TICKS = 8
_MAX_TICK_CHARS, _MAX_TICK_WIDTH = 14, 110.0


def mark_running_lines(pages: Sequence[tuple[list[Line], float]], body: float) -> None:
    """Marks lines that repeat at the top and bottom of pages as kind "header" and "footer".

    Args:
        pages: The lines of each page and its height in points. Numbers in them are taken as equal.
        body: The font size of the text, in points; larger lines are headings of chapters.
    """
    if len(pages) < 3:
        return
    candidates = [_outer_lines(lines, height, _MAX_SIZE * body) for lines, height in pages]
    counts = Counter(_key(side, line) for page in candidates for side, line in page)
    enough = max(3, int(0.08 * len(pages)))
    for page in candidates:
        marked: list[Line] = []
        for side, line in page:
            kind, text, place = _key(side, line)
            seen = sum(counts[(kind, text, place + shift)] for shift in (-1, 0, 1))
            if seen >= enough or text == "#":
                line.kind = side
                marked.append(line)
        # Running titles that change share the baseline of a page number or a line that does not.
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


def _key(side: str, line: Line) -> tuple[str, str, int]:
    return side, _NUMBERS.sub("#", line.text.lower()), round(line.y0 / 3)


def mark_figure_text(lines: list[Line]) -> None:
    """Marks runs of small scattered pieces, such as the ticks of an axis, as kind "figure"."""
    run: list[Line] = []
    for line in lines:
        if len(line.text) <= _MAX_TICK_CHARS and line.x1 - line.x0 < _MAX_TICK_WIDTH:
            run.append(line)
        else:
            _mark_ticks(run)
            run = []
    _mark_ticks(run)


def _mark_ticks(run: list[Line]) -> None:
    if len(run) < _MIN_TICKS:
        return
    if 2 * sum(1 for line in run if _TICK.match(line.text)) >= len(run):
        for line in run:
            line.kind = "figure"
