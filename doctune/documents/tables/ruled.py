"""Tables with rules: from the lines drawn on a page to cells, then the words into the cells.

The geometry is that of pdfplumber (snap, join, cross, smallest cells, touching cells), written for
speed: the edges that meet at a point are bits of an integer, so that whether two points are joined
is one `&`. The tests hold it against pdfplumber's own functions.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter

from doctune.documents.drawing import Drawing, Edge
from doctune.documents.lines import Line, PageText
from doctune.documents.model import BBox
from doctune.documents.tables.fill import fill_cells
from doctune.documents.tables.grid import Grid, box_of_cells
from doctune.documents.tables.labels import with_labels
from doctune.documents.tables.pieces import cut_lines

_TOLERANCE = 3.0
_MAX_CROSSINGS = 20_000

_START = itemgetter(1)

Point = tuple[float, float]


def find_ruled_tables(drawing: Drawing, lines: list[Line], text: PageText) -> list[Grid]:
    """Returns the tables whose cells are drawn."""
    if len(drawing.horizontal) < 2 or len(drawing.vertical) < 2:
        return []
    tables = find_cells(drawing.horizontal, drawing.vertical)
    if not tables:
        return []
    joints = find_joints(drawing.horizontal)
    grids = []
    boxes = [box_of_cells(cells) for cells in tables]
    for cells, box in zip(tables, boxes, strict=True):
        touching = [line for line in lines if _touches(line, box)]
        if not any(_is_beside(other, box) for other in boxes):
            cells, box = with_labels(cells, box, touching, text)
        inside = cut_lines(touching, [box], text)
        grids.append(fill_cells(cells, inside, text, joints))
    return [grid for grid in grids if grid is not None and grid.is_table]


def _touches(line: Line, box: BBox) -> bool:
    x0, y0, x1, y1 = box
    return y0 <= (line.y0 + line.y1) / 2 <= y1 and line.x1 > x0 and line.x0 < x1


def _is_beside(other: BBox, box: BBox) -> bool:
    """Tells whether a box stands left of another."""
    return other[0] < box[0] and other[1] < box[3] and other[3] > box[1]


def find_cells(horizontal: Sequence[Edge], vertical: Sequence[Edge]) -> list[list[BBox]]:
    """Returns the cells of each group of touching cells that drawn edges enclose."""
    across, down = merge_edges(horizontal), merge_edges(vertical)
    crossings = _cross(across, down + open_sides(across, down))
    if len(crossings) > _MAX_CROSSINGS:
        return []
    return _group(_smallest_cells(crossings))


def find_joints(horizontal: Sequence[Edge]) -> list[Point]:
    """The points, from left to right, at which one rule ends and the next one begins."""
    joints = []
    for cluster in _clusters(sorted(horizontal)):
        cluster.sort(key=_START)
        joints += [
            ((one.end + other.start) / 2, other.place)
            for one, other in pairwise(cluster)
            if -_TOLERANCE <= other.start - one.end <= _TOLERANCE
        ]
    return sorted(joints)


def merge_edges(edges: Sequence[Edge]) -> list[Edge]:
    """Moves edges at nearly one place onto it, and joins those that touch end to end."""
    merged: list[Edge] = []
    for cluster in _clusters(sorted(edges)):
        place = sum(edge.place for edge in cluster) / len(cluster)
        start: float | None = None
        for edge in sorted(cluster, key=lambda edge: edge.start):
            if start is None:
                start, end = edge.start, edge.end
            elif edge.start <= end + _TOLERANCE:
                end = max(end, edge.end)
            else:
                merged.append(Edge(place, start, end))
                start, end = edge.start, edge.end
        if start is not None:
            merged.append(Edge(place, start, end))
    return [edge for edge in merged if edge.end - edge.start >= _TOLERANCE]


def open_sides(horizontal: list[Edge], vertical: list[Edge]) -> list[Edge]:
    """The left and right sides of tables whose rules run on beyond their outermost columns."""
    sides: list[Edge] = []
    ends: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for place, start, end in horizontal:
        ends[round(start / _TOLERANCE), round(end / _TOLERANCE)].append(place)
    for (start, end), places in ends.items():
        left, right = start * _TOLERANCE, end * _TOLERANCE
        inner = [e for e in vertical if left - _TOLERANCE <= e.place <= right + _TOLERANCE]
        for rules in _chains(sorted(places), inner):
            across = [e for e in inner if e.start < rules[-1] - 3 and e.end > rules[0] + 3]
            for x in (left, right):
                if len(rules) > 2 and all(abs(e.place - x) > 2 * _TOLERANCE for e in across):
                    sides.append(Edge(x, rules[0], rules[-1]))
    return sides


def _chains(places: list[float], vertical: list[Edge]) -> Iterable[list[float]]:
    """Groups of rules of which each is joined to the next by a vertical edge."""
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


def _clusters(edges: Iterable[Edge]) -> Iterable[list[Edge]]:
    cluster: list[Edge] = []
    for edge in edges:
        if cluster and edge.place > cluster[-1].place + _TOLERANCE:
            yield cluster
            cluster = []
        cluster.append(edge)
    if cluster:
        yield cluster


def _cross(horizontal: list[Edge], vertical: list[Edge]) -> dict[Point, tuple[int, int]]:
    """The points where edges meet, with the horizontal and vertical edges there as bits."""
    crossings: dict[Point, tuple[int, int]] = {}
    rows = [(edge, 1 << index) for index, edge in enumerate(horizontal)]
    for index, (x, top, bottom) in enumerate(vertical):
        top, bottom = top - _TOLERANCE, bottom + _TOLERANCE
        for (y, left, right), bit in rows:
            if top <= y <= bottom and left - _TOLERANCE <= x <= right + _TOLERANCE:
                across, down = crossings.get((x, y), (0, 0))
                crossings[x, y] = across | bit, down | 1 << index
    return crossings


def _smallest_cells(crossings: dict[Point, tuple[int, int]]) -> list[BBox]:
    """For each point, the smallest box that begins there and whose four sides are drawn."""
    columns: defaultdict[float, list[float]] = defaultdict(list)
    rows: defaultdict[float, list[float]] = defaultdict(list)
    for x, y in sorted(crossings):
        columns[x].append(y)
        rows[y].append(x)
    cells = []
    for (x, y), (across, down) in crossings.items():
        right = []
        for r in rows[y][bisect_right(rows[y], x) :]:
            if not crossings[r, y][0] & across:
                break
            right.append((r, crossings[r, y][1]))
        if right and (cell := _first_cell(x, y, down, right, columns[x], crossings)):
            cells.append(cell)
    return cells


def _first_cell(
    x: float,
    y: float,
    down: int,
    right: list[tuple[float, int]],
    column: list[float],
    crossings: dict[Point, tuple[int, int]],
) -> BBox | None:
    """The smallest box whose left side goes down from a point, its top to one of `right`."""
    for b in column[bisect_right(column, y) :]:
        across, along = crossings[x, b]
        # An edge has no holes: where it is missing it has ended.
        if not along & down:
            return None
        for r, side in right:
            corner = crossings.get((r, b))
            if corner and corner[1] & side and corner[0] & across:
                return x, y, r, b
    return None


def _group(cells: list[BBox]) -> list[list[BBox]]:
    """Cells that share a corner are of one table; one of a single column is only a frame."""
    leader = list(range(len(cells)))

    def find(number: int) -> int:
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    owner: dict[Point, int] = {}
    for number, (x0, y0, x1, y1) in enumerate(cells):
        for corner in ((x0, y0), (x0, y1), (x1, y0), (x1, y1)):
            other = owner.setdefault(corner, number)
            if other != number:
                leader[find(number)] = find(other)
    groups: defaultdict[int, list[BBox]] = defaultdict(list)
    for number, cell in enumerate(cells):
        groups[find(number)].append(cell)
    return [group for group in groups.values() if len({cell[0] for cell in group}) > 1]
