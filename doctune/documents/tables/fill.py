"""Assigns words to drawn cells, and splits cells that contain several rows or columns.

Many tables draw few rules: a box around the header and one around the body, whose rows have no
rules. Such a cell is split into columns at the sides of other cells that no piece crosses, and into
rows where the lines of its neighbours are values side by side.
"""

import itertools
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

from doctune.documents.lines import Line, PageText, Word
from doctune.documents.model import BBox
from doctune.documents.tables.columns import split_values
from doctune.documents.tables.grid import Grid, box_of_cells, grid_of_cells
from doctune.documents.tables.pieces import (
    CAPTION,
    Piece,
    group_words,
    split_line,
    text_rows,
)
from doctune.documents.tables.stacked import Cells, merge_stacked
from doctune.documents.words import clean_text, join_lines

_MIN_ROWS = 3  # of values side by side, to split a drawn cell into them
_NEAR = 3.0  # points: sides no further apart are the same
_NARROW = 10.0  # points: not a column, but the margin of a background beyond its cell
_OVERLAP = 0.16  # em between the letters of one word
_VALUE_SHARE = 0.6
_SOURCE = re.compile(r"(?:sources?|notes?|quellen?|anmerkung(?:en)?|fuentes?|fonti?)\s*:", re.I)

Point = tuple[float, float]


def fill_cells(
    cells: list[BBox], lines: list[Line], text: PageText, junctions: Sequence[Point] = ()
) -> Grid | None:
    """Returns the table of drawn cells and the lines within them; None if there is no text.

    Args:
        cells: The drawn cells.
        lines: The lines that may be in them.
        text: The page's text.
        junctions: The points where two rules meet end to end.
    """
    contents = _assign(cells, lines, text)
    if not any(contents.values()):
        return None
    contents = merge_stacked(_without_captions(contents))
    contents = _split_rows(_split_columns(_split_at_junctions(contents, junctions, text)))
    return grid_of_cells([(cell, _read(pieces)) for cell, pieces in contents.items()])


def _without_captions(contents: Cells) -> Cells:
    """Leaves out a caption above the table and a source note below it that are in its frame."""
    _, top, _, bottom = box_of_cells(list(contents))
    for side, end, pattern in ((1, top, CAPTION), (3, bottom, _SOURCE)):
        outer = [cell for cell in contents if abs(cell[side] - end) < _NEAR]
        filled = [cell for cell in outer if contents[cell]]
        if len(outer) == 1 < len(contents) and filled and pattern.match(_read(contents[outer[0]])):
            contents = {cell: pieces for cell, pieces in contents.items() if cell != outer[0]}
    return contents


def _read(pieces: list[Piece]) -> str:
    if not pieces:
        return ""
    if len(pieces) == 1:
        return clean_text(pieces[0].text)
    return join_lines([" ".join([piece.text for piece in row]) for row in text_rows(pieces)])


def _assign(cells: list[BBox], lines: list[Line], text: PageText) -> Cells:
    top, bottom = min(cell[1] for cell in cells), max(cell[3] for cell in cells)
    left, right = min(cell[0] for cell in cells), max(cell[2] for cell in cells)
    contents: Cells = {cell: [] for cell in cells}
    by_height: defaultdict[tuple[float, float], list[BBox]] = defaultdict(list)
    for cell in cells:
        by_height[cell[1], cell[3]].append(cell)
    bands = [(y0, y1, row) for (y0, y1), row in by_height.items()]
    turned: list[Line] = []
    for line in lines:
        middle = (line.y0 + line.y1) / 2
        if not (top <= middle <= bottom and left - 2 <= line.x0 <= right):
            continue
        if line.turn:
            turned.append(line)
            continue
        band = [cell for y0, y1, row in bands if y0 <= middle <= y1 for cell in row]
        if not band:
            nearest = min(cells, key=lambda cell: max(cell[1] - middle, middle - cell[3]))
            band = [cell for cell in cells if cell[1] == nearest[1]]
        around = [cell for cell in band if cell[0] - 1 <= line.x0 and line.x1 <= cell[2] + 1]
        if around:
            contents[around[0]] += split_line(line, text)
            continue
        for cell, words in _words_by_cell(line, band, text).items():
            contents[cell] += group_words(words, line)
    for cell, name in _turned_names(turned, cells, text):
        contents[cell].append(name)
    return contents


def _words_by_cell(line: Line, band: list[BBox], text: PageText) -> dict[BBox, list[Word]]:
    """Assigns each word of a line to a cell of its band, the nearest one if it is in none."""
    by_cell: defaultdict[BBox, list[Word]] = defaultdict(list)
    cell = band[0]
    for word in text.words(line):
        # Fast path: most words are in the same cell as the previous one.
        if cell[0] + 1 >= word.x0 or word.x1 >= cell[2] - 1:
            touched = [c for c in band if word.x0 < c[2] - 1 and word.x1 > c[0] + 1]
            if len(touched) > 1:
                # A part that still crosses a rule overflows the cell it begins in.
                for part in _parts(word, line.size, text):
                    by_cell[_nearest(band, part.x0 + 1)].append(part)
                continue
            cell = touched[0] if touched else _nearest(band, (word.x0 + word.x1) / 2)
        by_cell[cell].append(word)
    return by_cell


def _turned_names(
    lines: list[Line], cells: list[BBox], text: PageText
) -> Iterator[tuple[BBox, Piece]]:
    """Yields rotated headers with their cells; PDFium mixes words of several in one line."""
    by_cell: defaultdict[BBox, list[tuple[Word, Line]]] = defaultdict(list)
    for line in lines:
        for word in text.words(line):
            cell = _around(cells, (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2)
            by_cell[cell].append((word, line))
    for cell, found in by_cell.items():
        # Lines of upward text follow each other to the right, of downward text to the left.
        up = found[0][1].turn == 3
        step = 0.5 * found[0][1].size
        found.sort(key=lambda pair: (round(pair[0].x0 / step), -pair[0].y0))
        words = [word for word, _ in (found if up else reversed(found))]
        name = " ".join(word.text for word in words)
        box = (min(w.x0 for w in words), min(w.y0 for w in words))
        yield cell, Piece(name, *box, words[-1].x1, max(w.y1 for w in words), found[0][1])


def _around(cells: list[BBox], x: float, y: float) -> BBox:
    """Returns the cell that contains a point, or else the nearest one."""
    return min(
        cells,
        key=lambda cell: max(cell[0] - x, x - cell[2], 0) + max(cell[1] - y, y - cell[3], 0),
    )


def _nearest(band: list[BBox], place: float) -> BBox:
    return min(band, key=lambda cell: max(cell[0] - place, place - cell[2], 0))


def _parts(word: Word, size: float, text: PageText) -> list[Word]:
    """Splits a word of PDFium where its letters leave a gap or jump back."""
    letters = text.letters(word)
    parts = [letters[0]]
    for letter in letters[1:]:
        last = parts[-1]
        if -_OVERLAP * size < letter.x0 - last.x1 < _OVERLAP * size:
            parts[-1] = last._replace(text=last.text + letter.text, x1=max(last.x1, letter.x1))
        else:
            parts.append(letter)
    return parts


def _split_at_junctions(contents: Cells, junctions: Sequence[Point], text: PageText) -> Cells:
    """Splits cells at junctions of the rules above and below, which were drawn cell by cell."""
    x0, y0, x1, y1 = box_of_cells(list(contents))
    drawn = sorted({cell[0] for cell in contents})
    within = [
        (x, y)
        for x, y in junctions
        if x0 < x < x1 and y0 - _NEAR < y < y1 + _NEAR and not _is_near(x, drawn)
    ]
    if not within:
        return contents
    by_height = _Junctions(within)
    inner = {cell: sides for cell in contents if (sides := _joined_sides(cell, by_height))}
    if not inner:
        return contents
    # Junctions of rules of different widths are slightly offset.
    known: set[float] = set()
    for sides in inner.values():
        for number, x in enumerate(sides):
            sides[number] = next((side for side in known if abs(side - x) < _NEAR), x)
        known.update(sides)
    parted = split_values([contents[cell] for cell in inner], text)
    pieces_of = contents | dict(zip(inner, parted, strict=True))
    split: Cells = {}
    for cell, pieces in pieces_of.items():
        split.update(_split(cell, pieces, inner.get(cell, ()), any(p.is_value for p in pieces)))
    return split


def _is_near(x: float, sides: list[float]) -> bool:
    """Returns whether a position is so near a drawn side that no column fits in between."""
    after = bisect_right(sides, x - _NARROW)
    return after < len(sides) and sides[after] < x + _NARROW


def _joined_sides(cell: BBox, junctions: "_Junctions") -> list[float]:
    """Returns the positions inside a cell where the rules above and below both have junctions."""
    x0, y0, x1, y1 = cell
    above, below = junctions.near(y0), junctions.near(y1)
    return [
        x
        for x in above[bisect_right(above, x0 + _NARROW) : bisect_left(above, x1 - _NARROW)]
        if any(-_NEAR < x - other < _NEAR for other in below)
    ]


class _Junctions:
    """Junctions of rules, indexed by height."""

    def __init__(self, junctions: Sequence[Point]) -> None:
        self._joints = sorted((y, x) for x, y in junctions)
        self._near: dict[float, list[float]] = {}

    def near(self, y: float) -> list[float]:
        """Returns the positions of the junctions near a height, from left to right."""
        found = self._near.get(y)
        if found is None:
            begin, end = (
                bisect_right(self._joints, (y - _NEAR,)),
                bisect_left(self._joints, (y + _NEAR,)),
            )
            found = self._near[y] = sorted([x for _, x in self._joints[begin:end]])
        return found


def _split_columns(contents: Cells) -> Cells:
    """Splits cells at the sides of other cells that no piece crosses."""
    sides = sorted({cell[0] for cell in contents})
    split: Cells = {}
    for cell, pieces in contents.items():
        if len(pieces) < 2:
            split[cell] = pieces
            continue
        inner = sides[bisect_right(sides, cell[0] + _NEAR) : bisect_left(sides, cell[2] - _NEAR)]
        split.update(_split(cell, pieces, inner))
    return split


def _split(
    cell: BBox, pieces: list[Piece], sides: Sequence[float], with_one_part: bool = False
) -> Cells:
    """Returns the parts of a cell between sides that no piece crosses, each with its pieces.

    If all pieces are in one part, the cell is not split, since a short text may span several
    columns; `with_one_part` splits it anyway.
    """
    sides = [x for x in sides if not any(p.x0 < x - 1 and p.x1 > x + 1 for p in pieces)]
    if not sides or (len(pieces) < 2 and not with_one_part):
        return {cell: pieces}
    x0, y0, x1, y1 = cell
    boxes = [(a, y0, b, y1) for a, b in itertools.pairwise([x0, *sides, x1])]
    parts: Cells = {box: [] for box in boxes}
    for piece in pieces:
        parts[boxes[bisect_right(sides, (piece.x0 + piece.x1) / 2)]].append(piece)
    if not with_one_part and sum(1 for part in parts.values() if part) < 2:
        return {cell: pieces}
    return parts


def _split_rows(contents: Cells) -> Cells:
    """Splits the cells of a band into the text rows that run through them."""
    bands: defaultdict[tuple[float, float], list[BBox]] = defaultdict(list)
    for cell in contents:
        bands[cell[1], cell[3]].append(cell)
    split: Cells = {}
    for (top, bottom), cells in bands.items():
        count = sum([len(contents[cell]) for cell in cells])
        if len(cells) < 2 or count < _MIN_ROWS:
            split.update({cell: contents[cell] for cell in cells})
            continue
        rows = text_rows(piece for cell in cells for piece in contents[cell])
        if not _are_table_rows(rows, cells, contents):
            split.update({cell: contents[cell] for cell in cells})
            continue
        ends = [
            (max(p.y1 for p in one) + min(p.y0 for p in other)) / 2
            for one, other in itertools.pairwise(rows)
        ]
        bounds = [top, *ends, bottom]
        for a, b in itertools.pairwise(bounds):
            for cell in cells:
                part = [piece for piece in contents[cell] if a <= piece.middle < b]
                split[cell[0], a, cell[2], b] = part
    return split


def _are_table_rows(rows: list[list[Piece]], cells: list[BBox], contents: Cells) -> bool:
    """Returns whether text rows are table rows: some columns have a value in each line."""
    if len(rows) < _MIN_ROWS:
        return False
    for cell in cells[1:] if len(cells) > 1 else cells:
        pieces = contents[cell]
        values = sum(1 for piece in pieces if piece.is_value)
        if len(pieces) >= 0.6 * len(rows) and values >= _VALUE_SHARE * len(pieces):
            return True
    return False
