"""Adds row labels to the left of the drawn cells of a table."""

from collections.abc import Sequence

from doctune.documents.lines import Line, PageText
from doctune.documents.model import BBox

_MIN_ROWS = 3
_ROW_SHARE = 0.7
_BESIDE = 8.0  # points
_LABEL_CHARS = 30


def with_labels(
    cells: list[BBox], box: BBox, lines: Sequence[Line], text: PageText
) -> tuple[list[BBox], BBox]:
    """Adds a cell for the label of each row, if most lines begin left of the cells.

    A line that runs into the cells belongs to them as a whole, unless it comes from prose beside
    the table: then its left part is longer than a label.

    Args:
        cells: The drawn cells of a table.
        box: The box around them.
        lines: The lines that touch the box.
        text: The page's text.

    Returns:
        Cells, and the box around them.
    """
    left = box[0]
    begun = [line for line in lines if line.x0 < left - _BESIDE and line.x1 > left + _BESIDE]
    if len(begun) < max(_MIN_ROWS, _ROW_SHARE * len(lines)):
        return cells, box
    labels = [word for line in begun for word in text.words(line) if word.x1 < left + _BESIDE]
    if sum(len(word.text) + 1 for word in labels) > _LABEL_CHARS * len(begun):
        return cells, box
    start = min(line.x0 for line in begun) - 1
    added = [(start, y0, x0, y1) for x0, y0, _, y1 in cells if x0 < left + 1]
    return added + cells, (start, *box[1:])
