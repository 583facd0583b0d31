"""Finds tables with rules: from drawn lines to cells, then words into cells.

The geometry is that of pdfplumber (snap, join, intersect, smallest cells, touching cells),
optimised: the edges that meet at a point are bits of an integer, so that testing whether two points
are connected is one `&`. The tests compare it with pdfplumber's own functions.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from doctune.documents import fonts
from doctune.documents.drawing import Drawing, Edge
from doctune.documents.lines import Line, PageText
from doctune.documents.model import BBox
from doctune.documents.tables.fill import fill_cells
from doctune.documents.tables.grid import Grid, box_of_cells
from doctune.documents.tables.labels import with_labels
from doctune.documents.tables.pieces import cut_lines

_TOLERANCE = 3.0
_MIN_RULES = 3  # of a table that is open at its sides
_MAX_CROSSINGS = 20_000

_START = itemgetter(1)

Point = tuple[float, float]


class RuledTables(NamedTuple):
    """The tables of a page, and the listings (framed lines of code)."""

    grids: list[Grid]
    listings: list[Line]


def find_ruled_tables(drawing: Drawing, lines: list[Line], text: PageText) -> RuledTables:
    """Returns the tables whose cells are drawn, and the framed listings."""
    found = RuledTables([], [])
    if len(drawing.horizontal) < 2 or len(drawing.vertical) < 2:
        return found
    tables = find_cells(drawing.horizontal, drawing.vertical)
    boxes = [box_of_cells(cells) for cells in tables]
    junctions: list[Point] | None = None
    for cells, box in zip(tables, boxes, strict=True):
        x0, y0, x1, y1 = box
        inside = [
            line
            for line in lines
            if y0 <= (line.y0 + line.y1) / 2 <= y1 and line.x1 > x0 and line.x0 < x1
        ]
        if _is_frame(cells, x1, inside):
            if all(line.font & fonts.MONO for line in inside):
                found.listings.extend(inside)
            continue
        labelled, wider = with_labels(cells, box, inside, text)
        if wider != box and not any(_is_beside(other, box) for other in boxes):
            cells, box = labelled, wider
        if junctions is None:
            junctions = find_junctions(drawing.horizontal)
        grid = fill_cells(cells, cut_lines(inside, [box], text), text, junctions)
        if grid is not None and grid.is_table:
            found.grids.append(grid)
    return found


def _is_frame(cells: list[BBox], right: float, lines: list[Line]) -> bool:
    """Returns whether all lines are in one column of cells: a box with sides drawn twice."""
    sides = sorted({cell[0] for cell in cells})
    sides.append(right)
    _, left, right = max((b - a, a, b) for a, b in pairwise(sides))
    return all(left - 1 <= line.x0 and line.x1 <= right + 1 for line in lines)


def _is_beside(other: BBox, box: BBox) -> bool:
    """Returns whether a box is left of another."""
    return other[0] < box[0] and other[1] < box[3] and other[3] > box[1]


def find_cells(horizontal: Sequence[Edge], vertical: Sequence[Edge]) -> list[list[BBox]]:
    """Returns the cells of each group of touching cells that drawn edges enclose."""
    across, down = merge_edges(horizontal), merge_edges(vertical)
    crossings = _cross(across, down + open_sides(across, down))
    if len(crossings) > _MAX_CROSSINGS:
        return []
    return _group(_smallest_cells(crossings))


def find_junctions(horizontal: Sequence[Edge]) -> list[Point]:
    """Returns the points where one rule ends and the next begins, from left to right."""
    junctions = []
    for cluster in _clusters(sorted(horizontal)):
        cluster.sort(key=_START)
        junctions += [
            ((one.end + other.start) / 2, other.place)
            for one, other in pairwise(cluster)
            if -_TOLERANCE <= other.start - one.end <= _TOLERANCE
        ]
    return sorted(junctions)


def merge_edges(edges: Sequence[Edge]) -> list[Edge]:
    """Snaps edges at nearly the same position, and joins those that touch end to end."""
    merged: list[Edge] = []
    for cluster in _clusters(sorted(edges)):
        if len(cluster) == 1:
            merged += cluster
            continue
        place = sum([edge[0] for edge in cluster]) / len(cluster)
        cluster.sort(key=_START)
        _, start, end = cluster[0]
        for _, next_start, next_end in cluster:
            if next_start > end + _TOLERANCE:
                merged.append(Edge(place, start, end))
                start, end = next_start, next_end
            elif next_end > end:
                end = next_end
        merged.append(Edge(place, start, end))
    return [edge for edge in merged if edge[2] - edge[1] >= _TOLERANCE]


def open_sides(horizontal: list[Edge], vertical: list[Edge]) -> list[Edge]:
    """Returns the sides of tables whose rules extend beyond the outermost vertical edges."""
    sides: list[Edge] = []
    ends: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for place, start, end in horizontal:
        ends[round(start / _TOLERANCE), round(end / _TOLERANCE)].append(place)
    for (start, end), places in ends.items():
        if len(places) < _MIN_RULES:
            continue
        left, right = start * _TOLERANCE, end * _TOLERANCE
        inner = [e for e in vertical if left - _TOLERANCE <= e.place <= right + _TOLERANCE]
        for rules in _chains(sorted(places), inner):
            across = [e for e in inner if e.start < rules[-1] - 3 and e.end > rules[0] + 3]
            for x in (left, right):
                if len(rules) >= _MIN_RULES and all(
                    abs(e.place - x) > 2 * _TOLERANCE for e in across
                ):
                    sides.append(Edge(x, rules[0], rules[-1]))
    return sides


def _chains(places: list[float], vertical: list[Edge]) -> Iterable[list[float]]:
    """Yields groups of rules in which vertical edges connect each rule to the next."""
    chain = places[:1]
    for one, other in pairwise(places):
        joined = any(
            edge.start <= one + _TOLERANCE and edge.end >= other - _TOLERANCE for edge in vertical
        )
        if not joined:
            yield chain
            chain = []
        chain.append(other)
    yield chain


def _clusters(edges: Sequence[Edge]) -> list[list[Edge]]:
    """Groups sorted edges by position: neighbours in a group are within the tolerance."""
    clusters: list[list[Edge]] = []
    last = float("-inf")
    for edge in edges:
        if edge[0] > last + _TOLERANCE:
            clusters.append([edge])
        else:
            clusters[-1].append(edge)
        last = edge[0]
    return clusters


def _cross(horizontal: list[Edge], vertical: list[Edge]) -> dict[Point, tuple[int, int]]:
    """Returns the intersections, with the horizontal and vertical edges there as bits."""
    crossings: dict[Point, tuple[int, int]] = {}
    rows = [
        (y, left - _TOLERANCE, right + _TOLERANCE, 1 << index)
        for index, (y, left, right) in enumerate(horizontal)
    ]
    places = [row[0] for row in rows]
    for index, (x, top, bottom) in enumerate(vertical):
        begin = bisect_left(places, top - _TOLERANCE)
        for y, left, right, bit in rows[begin : bisect_right(places, bottom + _TOLERANCE)]:
            if left <= x <= right:
                across, down = crossings.get((x, y), (0, 0))
                crossings[x, y] = across | bit, down | 1 << index
    return crossings


def _smallest_cells(crossings: dict[Point, tuple[int, int]]) -> list[BBox]:
    """Returns for each point the smallest box that begins there and has four drawn sides."""
    columns: defaultdict[float, list[float]] = defaultdict(list)
    rows: defaultdict[float, list[float]] = defaultdict(list)
    for x, y in crossings:
        columns[x].append(y)
        rows[y].append(x)
    # They are nearly sorted, as the edges are.
    for places in (*columns.values(), *rows.values()):
        places.sort()
    cells = []
    for (x, y), (across, down) in crossings.items():
        row, column = rows[y], columns[x]
        next_x, next_y = bisect_right(row, x), bisect_right(column, y)
        if next_x == len(row) or next_y == len(column):
            continue
        r, b = row[next_x], column[next_y]
        beside, side = crossings[r, y]
        below, along = crossings[x, b]
        # An edge has no holes: where it is missing, it has ended.
        if not (beside & across and along & down):
            continue
        corner = crossings.get((r, b))
        if corner and corner[1] & side and corner[0] & below:
            cells.append((x, y, r, b))
        elif cell := _larger_cell((x, y), row[next_x:], column[next_y:], crossings):
            cells.append(cell)
    return cells


def _larger_cell(
    point: Point,
    row: list[float],
    column: list[float],
    crossings: dict[Point, tuple[int, int]],
) -> BBox | None:
    """Returns the smallest box that begins at a point, among the points right of and below it."""
    x, y = point
    across, down = crossings[point]
    right = []
    for r in row:
        beside, side = crossings[r, y]
        if not beside & across:
            break
        right.append((r, side))
    for b in column:
        below, along = crossings[x, b]
        if not along & down:
            return None
        for r, side in right:
            corner = crossings.get((r, b))
            if corner and corner[1] & side and corner[0] & below:
                return x, y, r, b
    return None


def _group(cells: list[BBox]) -> list[list[BBox]]:
    """Groups cells that share a corner into tables; a single column is only a frame."""
    leader = list(range(len(cells)))
    owner: dict[Point, int] = {}
    for number, (x0, y0, x1, y1) in enumerate(cells):
        mine = number
        for corner in ((x0, y0), (x0, y1), (x1, y0), (x1, y1)):
            other = owner.setdefault(corner, mine)
            while leader[other] != other:
                leader[other] = other = leader[leader[other]]
            if other != mine:
                leader[mine] = mine = other
    groups: defaultdict[int, list[BBox]] = defaultdict(list)
    for number, cell in enumerate(cells):
        while leader[number] != number:
            number = leader[number]
        groups[number].append(cell)
    return [group for group in groups.values() if len({cell[0] for cell in group}) > 1]
