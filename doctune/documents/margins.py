"""Marks line numbers in the margin, and watermarks."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from doctune.documents.lines import Line, PageText
from doctune.documents.tables.pieces import cut_lines

_MIN_NUMBERS = 8
_MARGIN = 0.16  # of the page's width
_ALIGNED = 6.0  # points
_IN_STEP_SHARE = 0.8
_PROSE_CHARS = 25
_MOST_BESIDE = 1.25  # lines at the position of the numbers, per number
_WATERMARK_SIZE = 2.0  # of the text's
_MAX_WATERMARK_CHARS = 60


def mark_line_numbers(lines: list[Line], width: float, text: PageText) -> list[Line]:
    """Returns the lines, with the numbers in the left margin split off as kind "line_number".

    Args:
        lines: Of one page, in the file's order.
        width: Of the page, in points.
    """
    numbered = [
        line
        for line in lines
        if line.text[0].isdigit() and line.x0 < _MARGIN * width and not line.turn
    ]
    if len(numbered) < _MIN_NUMBERS:
        return lines
    numbered.sort(key=lambda line: line.y0)
    heads = [line.text.split(None, 1)[0] for line in numbered]
    if not all(head.isdecimal() and len(head) <= 4 for head in heads) or not _in_step(heads):
        return lines
    ends = [text.words(line)[0].x1 for line in numbered]
    right, left = max(ends), min(line.x0 for line in numbered)
    # If text begins at the position of the numbers, these are part of the text.
    beside = [line for line in lines if left <= line.x0 <= right and not line.turn]
    if len(beside) > _MOST_BESIDE * len(numbered):
        return lines
    others = [line for line in lines if line.x0 > right or line in numbered]
    rest = [len(line.text) for line in others if len(line.text) > 4]
    # The first column of a table is not a margin: the text beside it is short.
    if right > _MARGIN * width or right - min(ends) > _ALIGNED or not rest:
        return lines
    if median(rest) < _PROSE_CHARS:
        return lines
    column = (left - 1, numbered[0].y0 - 1, right, numbered[-1].y1 + 1)
    cut = cut_lines(lines, [column], text)
    for line in cut:
        if line.x1 <= right + 1 and line.text.isdecimal():
            line.kind = "line_number"
    return cut


def _in_step(heads: Sequence[str]) -> bool:
    """Returns whether numbers increase down the page in equal steps."""
    steps = Counter(int(other) - int(one) for one, other in pairwise(heads))
    step, count = steps.most_common(1)[0]
    return step > 0 and count >= _IN_STEP_SHARE * (len(heads) - 1)


def mark_watermarks(pages: Sequence[Sequence[Line]], body: float) -> None:
    """Marks large lines at the same position on most pages as kind "watermark".

    Args:
        pages: The lines of each page.
        body: The font size of the running text, in points.
    """
    if len(pages) < 3:
        return
    large = [
        [
            line
            for line in lines
            if line.size > _WATERMARK_SIZE * body
            and not line.kind
            and len(line.text) <= _MAX_WATERMARK_CHARS
        ]
        for lines in pages
    ]
    counts = Counter(_key(line) for lines in large for line in lines)
    for lines in large:
        for line in lines:
            if counts[_key(line)] >= max(3, len(pages) // 2):
                line.kind = "watermark"


def _key(line: Line) -> tuple[str, int, int]:
    return line.text, round(line.x0 / 4), round(line.y0 / 4)
