"""Adds rows without rules above or below a drawn table: column headers, totals.

Many tables draw only their body, or paint only its cells. The column headers are above it, often in
several rows, of which the upper ones span several columns.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from doctune.documents.drawing import Drawing, Edge
from doctune.documents.lines import Line, PageText, Word
from doctune.documents.tables.columns import Interval, Row, columns_of
from doctune.documents.tables.grid import Grid, Span
from doctune.documents.tables.pieces import (
    CAPTION,
    Piece,
    join_near,
    piece_of,
    split_line,
    text_rows,
)
from doctune.documents.tables.titles import Places, centred, title_places, whole_rules
from doctune.documents.words import clean_text

_MOST_HEADS = 5
_NEXT = 1.3  # heights of a line: text further up is not part of the table
_NEXT_TITLE = 3.5
_MOST_CHARS = 60  # of a header
_BESIDE = 4.0  # points by which a header may extend beyond the left side of the table
_OVERHANG = 2.5  # em, beyond the right side: slanted headers
_GROUPED = 0.25  # of a table's rows have one cell over columns that belong together
_WITHIN = 0.6  # of a piece's width is in one column: it is the header of that column
_REACH = 90.0  # points above and below a table that are examined
_VALUE_SHARE = 0.5


def with_free_rows(grid: Grid, lines: Sequence[Line], text: PageText, drawing: Drawing) -> Grid:
    """Returns a drawn table with the headers above and the values below it added.

    Args:
        lines: The lines of the page that are in no table.
    """
    if len(grid.columns) < 2 or not _begins_with_values(grid):
        return grid
    x0, y0, x1, y1 = grid.bbox
    near = [
        line
        for line in lines
        if not line.kind
        and not line.turn
        and line.x0 < x1
        and line.x1 > x0
        and (y0 - _REACH < line.y0 < y0 or y1 < line.y1 < y1 + _REACH)
    ]
    rows = text_rows(piece for line in near for piece in split_line(line, text))
    above = [row for row in rows if row[0].middle < y0 + 1]
    heads = _heads(above, grid)
    if heads:
        heads[-1] = _by_column(heads[-1], grid.columns, text)
        grid = _with_heads(grid, heads, drawing)
    below = [row for row in rows if row[0].middle > y1 - 1]
    return _with_values(grid, [join_near(row) for row in below])


def _begins_with_values(grid: Grid) -> bool:
    """Returns whether a table's first rows are values, not column headers."""
    for row in grid.rows[:2]:
        values = [
            cell for cell in row[1:] if cell.strip("$\u20ac\u00a3 ()-\u2013\u2212")[:1].isdigit()
        ]
        if len(values) >= _VALUE_SHARE * sum(1 for cell in row[1:] if cell) and values:
            return True
    return False


def _heads(above: Sequence[Row], grid: Grid) -> list[Row]:
    """Returns the header rows directly above a table, from the top down."""
    heads: list[Row] = []
    top = grid.bbox[1]
    for row in reversed(above):
        height = max(piece.y1 - piece.y0 for piece in row)
        far = top - max(piece.y1 for piece in row) > _NEXT * height
        if (far and not (heads and _are_titles(row, grid, top))) or len(heads) == _MOST_HEADS:
            break
        if not _are_names(row, grid):
            break
        heads.insert(0, row)
        top = min(piece.y0 for piece in row)
    return heads if any(len(row) > 1 for row in heads) else []


def _are_titles(row: Row, grid: Grid, top: float) -> bool:
    """Returns whether a row has titles over several columns; they are higher over slanted ones."""
    if len(row) < 2 or top - row[0].y1 > _NEXT_TITLE * (row[0].y1 - row[0].y0):
        return False
    named = set(range(len(grid.columns)))
    most = 1, len(grid.columns) - 1
    places = [centred(p, columns_of(p, grid.columns), most, grid.columns, named) for p in row]
    return all(first < last for first, last in places)


def _are_names(row: Row, grid: Grid) -> bool:
    x0, _, x1, _ = grid.bbox
    if any(
        len(piece.text) > _MOST_CHARS or CAPTION.match(piece.text) or piece.text[-1:] in ".;"
        for piece in row
    ):
        return False
    if row[0].x0 < x0 - _BESIDE or row[-1].x1 > x1 + _OVERHANG * row[-1].line.size:
        return False
    # A single piece over the first column is a heading, or the end of a sentence.
    return len(row) > 1 or row[0].x0 > grid.columns[0][1] - _BESIDE


def _by_column(row: Row, columns: Sequence[Interval], text: PageText) -> Row:
    """Splits the headers of a row by column, if each column then has one; else returns the row.

    Headers of narrow columns have hardly a gap between them, and slanted ones none at all.
    """
    lines = {id(piece.line): piece.line for piece in row}
    words: dict[int, list[tuple[Word, Line]]] = {}
    for line in lines.values():
        for word in text.words(line):
            words.setdefault(_nearest(word, columns), []).append((word, line))
    if len(words) < max(len(columns) - 1, len(row) + 1):
        return row
    return [
        piece_of([word for word, _ in words[column]], words[column][0][1])
        for column in sorted(words)
    ]


def _with_heads(grid: Grid, heads: Sequence[Row], drawing: Drawing) -> Grid:
    x0, y0, x1, y1 = grid.bbox
    top = min(piece.y0 for row in heads for piece in row)
    inside = [
        e for e in drawing.horizontal if top < e.place < y0 + 2 and e.end > x0 and e.start < x1
    ]
    rules = whole_rules(inside, x0, x1)
    first = _first_row(grid, heads[-1])
    groups = _groups(grid)
    rows: list[tuple[str, ...]] = []
    spans: list[Span] = []
    placed: list[Places] = []
    for number, (row, below) in enumerate(pairwise([*heads, first])):
        places = _places(row, below, grid.columns, rules, groups)
        cells = [""] * len(grid.columns)
        for piece, (left, right) in zip(row, places, strict=True):
            cells[left] = f"{cells[left]} {clean_text(piece.text)}".strip()
            if right > left:
                spans.append((len(rows), left, 1, right - left + 1))
        if number and places == placed and len(places) > 1 and not _ruled(heads, number, inside):
            # A header of two lines.
            rows[-1] = tuple(
                f"{one} {other}".strip() for one, other in zip(rows[-1], cells, strict=True)
            )
            spans = [span for span in spans if span[0] < len(rows)]
        else:
            rows.append(tuple(cells))
        placed = places
    shift = len(rows)
    moved = [(row + shift, *rest) for row, *rest in grid.spans]
    whole = (*spans, *((a, b, c, d) for a, b, c, d in moved))
    return Grid((x0, top, x1, y1), (*rows, *grid.rows), tuple(whole), shift, grid.columns)


def _groups(grid: Grid) -> list[Places]:
    """Returns groups of columns that belong together, such as currency signs and values."""
    spans = Counter((column, column + across - 1) for _, column, _, across in grid.spans)
    least = max(2.0, _GROUPED * len(grid.rows))
    return [place for place, count in spans.items() if place[0] < place[1] and count >= least]


def _whole(places: Places, groups: Sequence[Places]) -> Places:
    """Widens the columns of a header to whole groups."""
    first, last = places
    for left, right in groups:
        if left <= last and right >= first and right - left < len(groups) + 1:
            first, last = min(first, left), max(last, right)
    return first, last


def _places(
    row: Row,
    below: Row,
    columns: Sequence[Interval],
    rules: Sequence[Edge],
    groups: Sequence[Places],
) -> list[Places]:
    """Returns the first and last column of each header in a row."""
    if len(row) == len(columns):
        return [(number, number) for number in range(len(columns))]
    most = 1, len(columns) - 1
    if len(row) == 1:
        return [
            centred(row[0], columns_of(row[0], columns), most, columns, set(range(len(columns))))
        ]
    titles = title_places(row, below, columns, rules)
    return [
        _whole(place if place[0] < place[1] else _column(piece, columns) or place, groups)
        for piece, place in zip(row, titles, strict=True)
    ]


def _ruled(heads: Sequence[Row], number: int, edges: Sequence[tuple[float, float, float]]) -> bool:
    above, below = heads[number - 1][0].middle, heads[number][0].middle
    return any(above < place < below for place, _, _ in edges)


def _first_row(grid: Grid, like: Row) -> Row:
    """Returns the columns of a table as pieces, as the row below the last headers."""
    line, y0 = like[0].line, grid.bbox[1]
    return [Piece("0", x0, y0, x1, y0 + line.size, line) for x0, x1 in grid.columns]


def _column(piece: Piece, columns: Sequence[Interval]) -> Places | None:
    """Returns the column that contains most of a piece, if there is one."""
    width = max(1.0, piece.x1 - piece.x0)
    for number, (x0, x1) in enumerate(columns):
        inside = min(piece.x1, x1) - max(piece.x0, x0)
        # A narrow header may be centred over two columns, such as currency signs and values.
        if inside >= _WITHIN * width and width > 0.5 * (x1 - x0):
            return number, number
    return None


def _with_values(grid: Grid, below: Sequence[Row]) -> Grid:
    """Adds rows of values that closely follow a table."""
    x0, y0, x1, bottom = grid.bbox
    added: list[tuple[str, ...]] = []
    for row in below:
        height = max(piece.y1 - piece.y0 for piece in row)
        places = [_nearest(piece, grid.columns) for piece in row]
        values = sum(1 for piece in row[1:] if piece.is_value)
        fits = len(set(places)) == len(places) and places[0] <= 1 and not row[0].is_value
        most = values >= max(2.0, 0.6 * (len(grid.columns) - places[0] - 1))
        if min(p.y0 for p in row) - bottom > _NEXT * height or not (fits and most):
            break
        cells = [""] * len(grid.columns)
        for piece, place in zip(row, places, strict=True):
            cells[place] = clean_text(piece.text)
        added.append(tuple(cells))
        bottom = max(piece.y1 for piece in row)
    if not added:
        return grid
    return Grid(
        (x0, y0, x1, bottom), (*grid.rows, *added), grid.spans, grid.header_rows, grid.columns
    )


def _nearest(piece: Piece | Word, columns: Sequence[Interval]) -> int:
    middle = (piece.x0 + piece.x1) / 2
    return min(
        range(len(columns)),
        key=lambda i: max(columns[i][0] - middle, middle - columns[i][1], 0.0),
    )
