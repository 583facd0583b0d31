"""A table that was found on a page."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from doctune.documents.model import BBox

Span = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cell texts, and the box that they fill on the page as it is shown.

    Attributes:
        spans: Row, column, rows and columns of each cell that covers more than one place; the
            other places that it covers are empty in `rows`.
        header_rows: How many rows at the top name the columns.
    """

    bbox: BBox
    rows: tuple[tuple[str, ...], ...]
    spans: tuple[Span, ...] = ()
    header_rows: int = 1

    @property
    def filled(self) -> int:
        """How many cells hold text."""
        return sum(1 for row in self.rows for cell in row if cell)

    @property
    def is_table(self) -> bool:
        """Whether there are two rows and two columns at least, and text in four cells."""
        return len(self.rows) >= 2 and len(self.rows[0]) >= 2 and self.filled >= 4


def grid_of_cells(cells: Sequence[tuple[BBox, str]]) -> Grid:
    """Puts drawn cells into rows and columns; those that hold no text at all are left out."""
    tops = sorted({box[1] for box, _ in cells})
    lefts = sorted({box[0] for box, _ in cells})
    placed = []
    for (x0, y0, x1, y1), text in cells:
        row, column = bisect_left(tops, y0), bisect_left(lefts, x0)
        down = max(1, bisect_left(tops, y1 - 0.1) - row)
        across = max(1, bisect_left(lefts, x1 - 0.1) - column)
        placed.append((row, column, down, across, text))
    rows = _numbered({row for row, _, _, _, text in placed if text})
    columns = _numbered({column for _, column, _, _, text in placed if text})
    table = [[""] * len(columns) for _ in rows]
    spans = []
    for row, column, down, across, text in placed:
        if not text:
            continue
        table[rows[row]][columns[column]] = text
        down = sum(1 for covered in range(row, row + down) if covered in rows)
        across = sum(1 for covered in range(column, column + across) if covered in columns)
        if down > 1 or across > 1:
            spans.append((rows[row], columns[column], down, across))
    bbox = box_of_cells([box for box, _ in cells])
    return Grid(bbox, tuple(map(tuple, table)), tuple(sorted(spans)))


def box_of_cells(cells: Sequence[BBox]) -> BBox:
    """The box around cells."""
    return (
        min(cell[0] for cell in cells),
        min(cell[1] for cell in cells),
        max(cell[2] for cell in cells),
        max(cell[3] for cell in cells),
    )


def _numbered(used: set[int]) -> dict[int, int]:
    return {place: number for number, place in enumerate(sorted(used))}
