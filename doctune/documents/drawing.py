"""The graphics of a page: rules, figures, images."""

from itertools import repeat
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from doctune.documents import foreign, native
from doctune.documents.geometry import PageSpace
from doctune.documents.model import BBox

_TEXT, _PATH = pdfium.FPDF_PAGEOBJ_TEXT, pdfium.FPDF_PAGEOBJ_PATH
_IMAGE, _FORM = pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_FORM
_THIN = 3.0  # points: a filled box this thin is a rule
_MAX_OBJECTS = 20_000
_MAX_FORM_OBJECTS = 600
_MAX_EDGES = 6_000
_MAX_SEGMENTS = 400
_MAX_FORM_SEGMENTS = 24
_MAX_CURVES = 300
_LEAST_FIGURE = 20.0  # points wide and high
_LEAST_BOX = 5.0  # points high, of a box that may hide text
_BOX_SEGMENTS = 6  # a path of no more is a line or a rectangle

Matrix = tuple[float, ...]


class Edge(NamedTuple):
    """A horizontal or vertical line: its position, start and end."""

    place: float
    start: float
    end: float


class Fill(NamedTuple):
    """A box that is drawn on a page, which may be filled; its place among the page's objects."""

    place: int
    x0: float
    y0: float
    x1: float
    y1: float


class Drawing:
    """The rules, boxes, drawings (form objects) and images of a page, as it is shown."""

    def __init__(self) -> None:
        self.horizontal: list[Edge] = []
        self.vertical: list[Edge] = []
        self.figures: list[BBox] = []
        self.images: list[BBox] = []
        self.boxes: list[Fill] = []

    def add_box(self, box: BBox) -> None:
        """Adds a thin box as a rule and any other as its four sides."""
        x0, y0, x1, y1 = box
        wide, high = x1 - x0 > _THIN, y1 - y0 > _THIN
        if wide and high:
            self.horizontal += (Edge(y0, x0, x1), Edge(y1, x0, x1))
            self.vertical += (Edge(x0, y0, y1), Edge(x1, y0, y1))
        elif wide:
            self.horizontal.append(Edge((y0 + y1) / 2, x0, x1))
        elif high:
            self.vertical.append(Edge((x0 + x1) / 2, y0, y1))


def read_drawing(page: Any, space: PageSpace) -> Drawing:
    """Reads the graphics of a PDFium page."""
    handle = foreign.address_of(page)
    if native.module is None:
        return _Reader(space).read(handle)
    drawing = Drawing()
    (
        drawing.horizontal,
        drawing.vertical,
        drawing.figures,
        drawing.images,
        drawing.boxes,
    ) = native.module.read_drawing(handle, space, Edge, Fill)
    return drawing


class _Reader:
    """Reads a page's objects into a Drawing; _native.c does the same where it was compiled."""

    def __init__(self, space: PageSpace) -> None:
        self.drawing = Drawing()
        self._space, self._place = space, 0
        self._bounds = foreign.Floats(4)
        self._matrix = foreign.Floats(6)
        self._point = foreign.Floats(2)

    def read(self, handle: int) -> Drawing:
        count = min(foreign.object_count(handle), _MAX_OBJECTS)
        items = list(map(foreign.object_at, repeat(handle, count), range(count)))
        kinds = list(map(foreign.object_kind, items))
        drawing = self.drawing
        if kinds.count(_TEXT) == count:
            return drawing
        for place, (item, kind) in enumerate(zip(items, kinds, strict=True)):
            self._place = place
            if kind == _TEXT:
                continue
            if kind == _PATH:
                self._add_path(item, None)
            elif kind == _IMAGE:
                drawing.images += self._box_of(item)
            elif kind == _FORM:
                self._add_form(item)
            if len(drawing.vertical) + len(drawing.horizontal) > _MAX_EDGES:
                break
        return drawing

    def _add_form(self, form: int) -> None:
        outer = self._matrix_of(form)
        count = foreign.form_object_count(form)
        kinds = set()
        for index in range(min(count, _MAX_FORM_OBJECTS)):
            item = foreign.form_object_at(form, index)
            kind = foreign.object_kind(item)
            kinds.add(kind)
            # A form with very many paths is a plot, whose lines are not table rules.
            if kind == _PATH and count <= _MAX_FORM_OBJECTS:
                self._add_path(item, outer)
        if kinds - {_TEXT}:
            self.drawing.figures += self._box_of(form)

    def _box_of(self, item: int) -> list[BBox]:
        """Returns the box of an object that is large enough for a figure."""
        if not foreign.object_bounds(item, *self._bounds.addresses):
            return []
        box = self._space.box(*self._bounds.read())
        large = box[2] - box[0] > _LEAST_FIGURE and box[3] - box[1] > _LEAST_FIGURE
        return [box] if large else []

    def _add_path(self, path: int, outer: Matrix | None) -> None:
        count = foreign.segment_count(path)
        if count <= _BOX_SEGMENTS and outer is None:
            if foreign.object_bounds(path, *self._bounds.addresses):
                box = self._space.box(*self._bounds.read())
                self.drawing.add_box(box)
                if box[2] - box[0] > _LEAST_FIGURE and box[3] - box[1] > _LEAST_BOX:
                    self.drawing.boxes.append(Fill(self._place, *box))
        elif count <= (_MAX_SEGMENTS if outer is None else _MAX_FORM_SEGMENTS):
            if count <= _BOX_SEGMENTS and outer and self._add_rule(path, outer):
                return
            self._add_subpaths(path, count, outer)

    def _add_rule(self, path: int, outer: Matrix) -> bool:
        """Adds a short path of a form if its box is a horizontal or vertical line."""
        a, b, c, d, e, f = outer
        if b or c or not foreign.object_bounds(path, *self._bounds.addresses):
            return False
        left, bottom, right, top = self._bounds.read()
        xs, ys = (a * left + e, a * right + e), (d * bottom + f, d * top + f)
        box = self._space.box(min(xs), min(ys), max(xs), max(ys))
        if box[2] - box[0] > _THIN and box[3] - box[1] > _THIN:
            return False
        self.drawing.add_box(box)
        return True

    def _add_subpaths(self, path: int, count: int, outer: Matrix | None) -> None:
        """Adds the subpaths that are axis-aligned lines or boxes; stops at the first other one."""
        matrices = [self._matrix_of(path)] + ([outer] if outer else [])
        xs: list[float] = []
        ys: list[float] = []
        for index in range(count):
            segment = foreign.segment_at(path, index)
            kind = foreign.segment_kind(segment)
            if kind == pdfium.FPDF_SEGMENT_BEZIERTO:
                self._add_curve(path, outer)
                return
            foreign.segment_point(segment, *self._point.addresses)
            x, y = self._point.read()
            for a, b, c, d, e, f in matrices:
                x, y = a * x + c * y + e, b * x + d * y + f
            if kind == pdfium.FPDF_SEGMENT_MOVETO:
                if len(xs) > 1:
                    self.drawing.add_box(self._space.box(min(xs), min(ys), max(xs), max(ys)))
                xs, ys = [], []
            elif xs and abs(x - xs[-1]) > 1 and abs(y - ys[-1]) > 1:
                self._add_curve(path, outer)
                return
            xs.append(x)
            ys.append(y)
        if len(xs) > 1:
            self.drawing.add_box(self._space.box(min(xs), min(ys), max(xs), max(ys)))

    def _add_curve(self, path: int, outer: Matrix | None) -> None:
        """Adds a curve or slanted line as part of a plot; in a form, the form's box covers it."""
        if outer is None and len(self.drawing.figures) < _MAX_CURVES:
            self.drawing.figures += self._box_of(path)

    def _matrix_of(self, item: int) -> Matrix:
        foreign.object_matrix(item, self._matrix.address)
        return self._matrix.read()
