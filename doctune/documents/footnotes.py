"""Footnotes: small lines at the foot of a column that begin with a mark.

They are marked before paragraphs are joined, so that a sentence can continue on the next page
across them.
"""

import re
from collections.abc import Sequence

from doctune.documents.lines import Line
from doctune.documents.model import BBox

# A number with a full stop belongs to a list or a bibliography.
BEGINS = re.compile(
    r"^(?:\d{1,3}(?=\s?[^\W\d]|\s[\"(\u201c])|[*\u2217\u2020\u2021\u00a7\u00b6]{1,2}\s?\S)"
)
_LETTER = re.compile(r"[^\W\d_]")
_MOST_SIZE = 0.93  # of the text's
_TEXT_SIZE = 0.96
_HIGHEST = 0.4  # of the page's height: no footnote begins above it
_LEAST_LETTERS = 12
_LEAST_GAP = 0.5  # of the size, above the first footnote


def mark_footnotes(
    lines: Sequence[Line], tables: Sequence[BBox], height: float, body: float
) -> None:
    """Marks lines as kind "footnote".

    Args:
        lines: Of one page, in reading order.
        tables: The boxes of its tables; their lines are left alone.
        height: Of the page, in points.
        body: The font size of the running text, in points.
    """
    small = [
        line
        for line in lines
        if line.size < _MOST_SIZE * body
        and line.y0 > _HIGHEST * height
        and not line.kind
        and not line.turn
        and not any(b[0] <= line.x0 <= b[2] and b[1] <= line.y0 <= b[3] for b in tables)
    ]
    if not any(map(_begins, small)):
        return
    large = [line for line in lines if line.size >= _TEXT_SIZE * body and not line.kind]
    for first in small:
        if first.kind or not _begins(first) or _goes_on(first, small):
            continue
        if any(_is_below(line, first) for line in large):
            continue
        for line in small:
            if line is first or _is_below(line, first):
                line.kind = "footnote"


def _begins(line: Line) -> bool:
    return BEGINS.match(line.text) is not None and len(_LETTER.findall(line.text)) >= _LEAST_LETTERS


def _goes_on(first: Line, small: Sequence[Line]) -> bool:
    """Returns whether a line closely follows another small one, as in a caption."""
    return any(
        line.y0 < first.y0 - 1
        and first.y0 - line.y1 < _LEAST_GAP * first.size
        and line.x0 < first.x1
        and line.x1 > first.x0
        for line in small
        if line.kind != "footnote"
    )


def _is_below(line: Line, first: Line) -> bool:
    return line.y0 > first.y0 - 1 and line.x0 < first.x1 and line.x1 > first.x0
