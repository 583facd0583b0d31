"""Tables with rules: PDFium's paths, through pdfplumber's table geometry."""

import ctypes
from typing import Any

import pypdfium2.raw as pdfium

from doctune.documents.geometry import PageSpace
from doctune.documents.lines import PageText
from doctune.documents.model import BBox
from doctune.documents.tables.grid import Grid
from doctune.documents.words import clean_text

_THIN = 3.0  # points: a filled box this thin is a rule
_MAX_OBJECTS = 20_000
_MAX_SEGMENTS = 2_000
_MAX_EDGES = 3_000
_TOLERANCE = 3.0

Edge = dict[str, Any]
Matrix = tuple[float, float, float, float, float, float]


def find_ruled_tables(page: Any, text: PageText, space: PageSpace) -> list[Grid]:
    """Returns the tables whose cells are drawn, of two rows and two columns at least."""
    edges = read_edges(page, space)
    if len(edges) < 4:
        return []
    from pdfplumber import table

    edges = table.merge_edges(edges, _TOLERANCE, _TOLERANCE, _TOLERANCE, _TOLERANCE)
    edges = [edge for edge in edges if max(edge["width"], edge["height"]) >= _THIN]
    if len(edges) > _MAX_EDGES:
        return []
    crossings = table.edges_to_intersections(edges, _TOLERANCE, _TOLERANCE)
    cells = table.intersections_to_cells(crossings)
    grids = [_fill(group, text, space) for group in table.cells_to_tables(cells)]
    return [g for g in grids if len(g.rows) >= 2 and len(g.rows[0]) >= 2 and g.filled >= 4]


def read_edges(page: Any, space: PageSpace) -> list[Edge]:
    """Returns the horizontal and vertical lines drawn on a page, as pdfplumber describes them."""
    edges: list[Edge] = []
    count = pdfium.FPDFPage_CountObjects(page)
    for index in range(min(count, _MAX_OBJECTS)):
        item = pdfium.FPDFPage_GetObject(page, index)
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind == pdfium.FPDF_PAGEOBJ_PATH:
            _add_path(edges, item, space, None)
        elif kind == pdfium.FPDF_PAGEOBJ_FORM:
            outer = _matrix(item)
            for inner_index in range(min(pdfium.FPDFFormObj_CountObjects(item), _MAX_OBJECTS)):
                inner = pdfium.FPDFFormObj_GetObject(item, inner_index)
                if pdfium.FPDFPageObj_GetType(inner) == pdfium.FPDF_PAGEOBJ_PATH:
                    _add_path(edges, inner, space, outer)
    return edges


def _add_path(edges: list[Edge], path: Any, space: PageSpace, outer: Matrix | None) -> None:
    count = pdfium.FPDFPath_CountSegments(path)
    if count > _MAX_SEGMENTS:
        return
    if count <= 6 and outer is None:
        left, bottom, right, top = (ctypes.c_float() for _ in range(4))
        if pdfium.FPDFPageObj_GetBounds(path, left, bottom, right, top):
            _add_box(edges, space.box(left.value, bottom.value, right.value, top.value))
        return
    for points in _straight_subpaths(path, count, outer):
        xs, ys = [x for x, _ in points], [y for _, y in points]
        _add_box(edges, space.box(min(xs), min(ys), max(xs), max(ys)))


def _straight_subpaths(
    path: Any, count: int, outer: Matrix | None
) -> list[list[tuple[float, float]]]:
    matrices = [_matrix(path)] + ([outer] if outer else [])
    x, y = ctypes.c_float(), ctypes.c_float()
    found: list[list[tuple[float, float]]] = []
    points: list[tuple[float, float]] = []
    curved = False
    for index in range(count):
        segment = pdfium.FPDFPath_GetPathSegment(path, index)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        pdfium.FPDFPathSegment_GetPoint(segment, x, y)
        px, py = x.value, y.value
        for a, b, c, d, e, f in matrices:
            px, py = a * px + c * py + e, b * px + d * py + f
        if kind == pdfium.FPDF_SEGMENT_MOVETO:
            if len(points) > 1 and not curved:
                found.append(points)
            points, curved = [], False
        curved = curved or kind == pdfium.FPDF_SEGMENT_BEZIERTO
        points.append((px, py))
    if len(points) > 1 and not curved:
        found.append(points)
    return found


def _matrix(item: Any) -> Matrix:
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(item, matrix)
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _add_box(edges: list[Edge], box: BBox) -> None:
    x0, y0, x1, y1 = box
    wide, high = x1 - x0 > _THIN, y1 - y0 > _THIN
    if wide and high:
        sides = [(x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1)]
    elif wide:
        sides = [(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2)]
    elif high:
        sides = [((x0 + x1) / 2, y0, (x0 + x1) / 2, y1)]
    else:
        return
    for left, top, right, bottom in sides:
        edges.append(
            {
                "x0": left,
                "x1": right,
                "top": top,
                "bottom": bottom,
                "doctop": top,
                "width": right - left,
                "height": bottom - top,
                "orientation": "h" if right > left else "v",
                "object_type": "line",
            }
        )


def _fill(cells: list[BBox], text: PageText, space: PageSpace) -> Grid:
    tops = sorted({cell[1] for cell in cells})
    lefts = sorted({cell[0] for cell in cells})
    rows = [[""] * len(lefts) for _ in tops]
    for cell in cells:
        rows[tops.index(cell[1])][lefts.index(cell[0])] = clean_text(
            text.text_in(space.user_box(*cell))
        )
    box = (
        min(cell[0] for cell in cells),
        min(cell[1] for cell in cells),
        max(cell[2] for cell in cells),
        max(cell[3] for cell in cells),
    )
    return Grid(box, tuple(map(tuple, rows)))
