"""Finds rules between the rows of a table without drawn cells."""

from collections import defaultdict
from collections.abc import Sequence

from doctune.documents.drawing import Drawing, Edge
from doctune.documents.model import BBox
from doctune.documents.tables.columns import Row

WHOLE_SHARE = 0.9  # of the table's width: a rule this wide separates all columns


def edges_within(box: BBox, drawing: Drawing) -> list[Edge]:
    """Returns the horizontal edges that cross a box."""
    return [
        edge
        for edge in drawing.horizontal
        if box[1] < edge.place < box[3] and edge.start < box[2] and edge.end > box[0]
    ]


def ruled_shares(run: Sequence[Row], edges: Sequence[Edge], box: BBox) -> list[float]:
    """Returns for each row but the last the share of the table's width with a rule below it.

    A rule may be drawn cell by cell; a double rule counts once.
    """
    if not edges:
        return [0.0] * (len(run) - 1)
    tops = [min(piece.y0 for piece in row) for row in run]
    bottoms = [max(piece.y1 for piece in row) for row in run]
    shares = []
    for bottom, top in zip(bottoms, tops[1:], strict=False):
        covered: defaultdict[int, float] = defaultdict(float)
        for place, start, end in edges:
            if bottom - 1 < place < top + 1:
                covered[round(place)] += min(end, box[2]) - max(start, box[0])
        shares.append(max(covered.values(), default=0.0) / max(1.0, box[2] - box[0]))
    return shares
