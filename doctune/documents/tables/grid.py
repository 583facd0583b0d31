"""The grid of a table: rows of cell texts with merged cells."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

from doctune.documents.model import BBox

_MOST_HEADER_ROWS = 4
_COLUMN = itemgetter(1)

_Placed = tuple[int, int, int, int, str]  # row, column, rows, columns, text
Span = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cell texts, and their box on the page as it is shown.

    Attributes:
        spans: Row, column, row span and column span of each merged cell; the other cells that it
            covers are empty in `rows`.
        header_rows: The number of header rows.
        columns: For a drawn table, the left and right side of each column.
    """

    bbox: BBox
    rows: tuple[tuple[str, ...], ...]
    spans: tuple[Span, ...] = ()
    header_rows: int = 1
    columns: tuple[tuple[float, float], ...] = ()

    @property
    def filled(self) -> int:
        """The number of cells with text."""
        return sum(1 for row in self.rows for cell in row if cell)

    @property
    def is_table(self) -> bool:
        """Whether there are at least two rows, two columns and four cells with text."""
        return len(self.rows) >= 2 and len(self.rows[0]) >= 2 and self.filled >= 4


def grid_of_cells(cells: Sequence[tuple[BBox, str]]) -> Grid:
    """Arranges drawn cells in rows and columns; rows and columns without text are left out."""
    tops = sorted({box[1] for box, _ in cells})
    lefts = sorted({box[0] for box, _ in cells})
    filled: list[_Placed] = []
    for (x0, y0, x1, y1), text in cells:
        if not text:
            continue
        row, column = bisect_left(tops, y0), bisect_left(lefts, x0)
        down = max(1, bisect_left(tops, y1 - 0.1) - row)
        across = max(1, bisect_left(lefts, x1 - 0.1) - column)
        filled.append((row, column, down, across, text))
    filled.sort()
    rows = _numbered({cell[0] for cell in filled})
    columns = _columns(filled)
    table = [[""] * len(set(columns.values())) for _ in rows]
    spans = []
    for row, column, down, across, text in filled:
        table[rows[row]][columns[column]] = text
        down = sum(1 for covered in range(row, row + down) if covered in rows)
        across = len({columns[c] for c in range(column, column + across) if c in columns})
        if down > 1 or across > 1:
            spans.append((rows[row], columns[column], down, across))
    bbox = box_of_cells([box for box, _ in cells])
    whole = tuple(map(tuple, table))
    spans.sort()
    sides = _sides(lefts, columns, bbox[2])
    return Grid(bbox, whole, tuple(spans), count_header_rows(whole, spans), sides)


def _sides(
    lefts: Sequence[float], columns: dict[int, int], right: float
) -> tuple[tuple[float, float], ...]:
    """Returns the left and right side of each column, from the left sides of cells."""
    begins: dict[int, float] = {}
    for place, number in sorted(columns.items()):
        begins.setdefault(number, lefts[place])
    found = [begins[number] for number in sorted(begins)]
    return tuple(pairwise([*found, right])) if found else ()


def count_header_rows(rows: Sequence[Sequence[str]], spans: Sequence[Span]) -> int:
    """Returns the number of header rows: those that the cells of the first row span.

    A cell over several columns, but not all, has their headers below it.
    """
    if not rows or any(cell[:1].isdigit() for cell in rows[0][1:]):
        return 1
    count = 1
    for row, _, down, across in spans:
        if row < count:
            names = 1 if 1 < across < len(rows[0]) else 0
            count = max(count, row + down + names)
    return count if count < min(len(rows), _MOST_HEADER_ROWS + 1) else 1


def _columns(filled: Sequence[_Placed]) -> dict[int, int]:
    """Returns the column number of each left side.

    Cells that are slightly offset from those above have other sides. A side begins a new column
    only if otherwise two cells with text in one row would share a column.
    """
    ends: defaultdict[int, int] = defaultdict(int)  # of the last cell in each row
    nearest: defaultdict[int, int] = defaultdict(int)  # end of text to the left of each side
    for row, column, down, across, _ in sorted(filled, key=_COLUMN):
        for covered in range(row, row + down):
            nearest[column] = max(nearest[column], ends[covered])
            ends[covered] = column + across
    columns: dict[int, int] = {}
    first = 0
    for column in sorted(nearest):
        if not columns:
            columns[column], first = 0, column
        elif nearest[column] > first:
            columns[column], first = len(set(columns.values())), column
        else:
            columns[column] = columns[first]
    return columns


def box_of_cells(cells: Sequence[BBox]) -> BBox:
    """Returns the bounding box of cells."""
    lefts, tops, rights, bottoms = zip(*cells, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _numbered(used: set[int]) -> dict[int, int]:
    return {place: number for number, place in enumerate(sorted(used))}
