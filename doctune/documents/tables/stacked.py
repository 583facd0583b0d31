"""Merges cells whose background is painted line by line, which look like several cells."""

from collections import defaultdict

from doctune.documents.model import BBox
from doctune.documents.tables.pieces import Piece

_NEAR = 3.0  # points
_TIGHT = 0.3  # heights of a line: between closer lines there is no rule

Cells = dict[BBox, list[Piece]]


def merge_stacked(contents: Cells) -> Cells:
    """Merges vertically adjacent cells where most of their neighbours are a single cell."""
    heights = {(cell[1], cell[3]) for cell in contents}
    if len(heights) == len({top for top, _ in heights}):
        return contents
    by_top = {(cell[0], cell[2], cell[1]): cell for cell, pieces in contents.items() if pieces}
    stacked: defaultdict[float, list[tuple[BBox, BBox]]] = defaultdict(list)
    for upper, pieces in contents.items():
        lower = by_top.get((upper[0], upper[2], upper[3]))
        if pieces and lower and _are_tight(pieces, contents[lower]):
            stacked[upper[3]].append((upper, lower))
    merged = dict(contents)
    # The cell above may have grown by the previous merge.
    grown: dict[BBox, BBox] = {}
    for place, pairs in sorted(stacked.items()):
        across = [c for c in merged if c[1] < place - _NEAR and c[3] > place + _NEAR and merged[c]]
        if len(across) <= len(pairs):
            continue
        for upper, lower in pairs:
            above = grown.get(upper, upper)
            whole = above[0], above[1], above[2], lower[3]
            pieces = merged.pop(above) + merged.pop(lower)
            merged[whole] = pieces
            grown[lower] = whole
    return merged


def _are_tight(above: list[Piece], below: list[Piece]) -> bool:
    last, first = max(piece.y1 for piece in above), min(piece.y0 for piece in below)
    return first - last < _TIGHT * max(piece.y1 - piece.y0 for piece in below)
