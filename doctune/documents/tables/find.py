"""Finds all tables of a page."""

from doctune.documents.drawing import Drawing
from doctune.documents.lines import Line, PageText
from doctune.documents.model import BBox
from doctune.documents.tables.free_rows import with_free_rows
from doctune.documents.tables.grid import Grid
from doctune.documents.tables.pieces import cut_lines
from doctune.documents.tables.ruled import find_ruled_tables
from doctune.documents.tables.unruled import find_unruled_tables


def find_tables(lines: list[Line], drawing: Drawing, text: PageText, unruled: bool) -> list[Grid]:
    """Returns the tables with rules, then, if `unruled`, those without."""
    ruled, listings = find_ruled_tables(drawing, lines, text)
    if ruled:
        free = lines_outside(lines, [table.bbox for table in ruled], text)
        ruled = [with_free_rows(table, free, text, drawing) for table in ruled]
    if not unruled:
        return ruled
    if listings:
        # Code may be aligned in columns, too, but is not a table.
        listed = set(map(id, listings))
        lines = [line for line in lines if id(line) not in listed]
    lines = lines_outside(lines, [table.bbox for table in ruled], text)
    return ruled + find_unruled_tables(lines, drawing, text)


def lines_outside(lines: list[Line], boxes: list[BBox], text: PageText) -> list[Line]:
    """Returns the lines, and parts of lines, that are outside all tables."""
    return [
        line
        for line in (cut_lines(lines, boxes, text) if boxes else lines)
        if not any(
            box[0] - 2 <= (line.x0 + line.x1) / 2 <= box[2] + 2
            and box[1] - 1 <= (line.y0 + line.y1) / 2 <= box[3] + 1
            for box in boxes
        )
    ]
