"""Finds titles over several columns in the header of a table without drawn cells."""

from collections.abc import Sequence
from operator import itemgetter

from doctune.documents.drawing import Edge
from doctune.documents.tables.columns import Interval, Row, columns_of
from doctune.documents.tables.pieces import Piece

_TOUCHING = 1.0  # points: rules no further apart are joined
_OFF_CENTRE = 0.5  # em
_WHOLE_SHARE = 0.95  # of the table's width: a rule this wide does not group columns
_START = itemgetter(1)

Places = tuple[int, int]


def title_places(
    row: Row, below: Row, columns: Sequence[Interval], rules: Sequence[Edge]
) -> list[Places]:
    """Returns the first and last column of each piece of a header row.

    A title spans the columns that the rule below it covers. Without a rule, it spans the columns
    with headers in the row below over which it is centred.

    Args:
        row: A row of the header.
        below: The row below it.
        columns: The table's columns.
        rules: The output of `whole_rules`.
    """
    places = [columns_of(piece, columns) for piece in row]
    named = {place for piece in below for place in _range(columns_of(piece, columns))}
    for number, (piece, (first, last)) in enumerate(zip(row, places, strict=True)):
        least = places[number - 1][1] + 1 if number else 0
        most = places[number + 1][0] - 1 if number + 1 < len(row) else len(columns) - 1
        ruled = _under_rule(piece, below, columns, rules)
        if ruled is not None and ruled[1] > ruled[0]:
            places[number] = max(least, ruled[0]), min(most, ruled[1])
        elif len(row) == 1 or not _is_over(piece, (first, last), columns):
            places[number] = centred(piece, (first, last), (least, most), columns, named)
    return places


def whole_rules(edges: Sequence[Edge], left: float, right: float) -> list[Edge]:
    """Joins touching parts of rules, and leaves out rules across the whole table."""
    whole: list[Edge] = []
    for edge in sorted(edges, key=lambda edge: (round(edge.place), edge.start)):
        last = whole[-1] if whole else None
        if (
            last is not None
            and abs(edge.place - last.place) <= _TOUCHING
            and edge.start <= last.end + _TOUCHING
        ):
            whole[-1] = Edge(last.place, last.start, max(last.end, edge.end))
        else:
            whole.append(edge)
    return [edge for edge in whole if edge.end - edge.start < _WHOLE_SHARE * (right - left)]


def _range(places: Places) -> range:
    return range(places[0], places[1] + 1)


def _under_rule(
    piece: Piece, below: Row, columns: Sequence[Interval], rules: Sequence[Edge]
) -> Places | None:
    lowest = min(other.middle for other in below)
    for place, start, end in rules:
        if piece.middle < place < lowest and start - 2 <= piece.x0 and piece.x1 <= end + 2:
            covered = [i for i, (x0, x1) in enumerate(columns) if start <= (x0 + x1) / 2 <= end]
            if covered:
                return covered[0], covered[-1]
    return None


def _is_over(piece: Piece, places: Places, columns: Sequence[Interval]) -> bool:
    x0, x1 = columns[places[0]][0], columns[places[1]][1]
    least = _OFF_CENTRE * piece.line.size
    return min(abs(piece.x0 - x0), abs(piece.x1 - x1), abs(_off(piece, x0, x1))) < least


def _off(piece: Piece, x0: float, x1: float) -> float:
    """Returns the distance between the middle of a piece and the middle of an interval."""
    return abs(piece.x0 + piece.x1 - x0 - x1) / 2


def centred(
    piece: Piece, places: Places, most: Places, columns: Sequence[Interval], named: set[int]
) -> Places:
    """Returns the widest range of columns over which a piece is centred.

    Args:
        places: The columns that it overlaps.
        most: The first and last column that it may span.
        named: The columns with headers below it.
    """
    best = places
    for first in range(most[0], places[0] + 1):
        for last in range(places[1], most[1] + 1):
            is_wider = last - first > best[1] - best[0]
            off = _off(piece, columns[first][0], columns[last][1])
            is_centred = off < _OFF_CENTRE * piece.line.size
            if is_wider and is_centred and named.issuperset(range(first, last + 1)):
                best = first, last
    return best
