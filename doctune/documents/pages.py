"""One page of an open file to its lines in reading order, its tables and figures.

Each look at the page is a stage of its own: one that fails costs what it looks for, not the page.
"""

from functools import partial
from typing import Any

from doctune.documents.drawing import Drawing, read_drawing
from doctune.documents.furniture import mark_figure_text, mark_figures
from doctune.documents.geometry import PageSpace, page_space
from doctune.documents.glyphs import mend_glyphs
from doctune.documents.lines import Line, PageText, glue_fragments
from doctune.documents.margins import mark_line_numbers
from doctune.documents.model import BBox
from doctune.documents.options import ParseOptions
from doctune.documents.order import reading_order
from doctune.documents.page_lines import PageLines
from doctune.documents.pdfium import PdfFile
from doctune.documents.spacing import mend_spacing
from doctune.documents.stages import Stages
from doctune.documents.tables.find import find_tables
from doctune.documents.tables.pieces import cut_lines

_BROKEN_SHARE = 0.5


def read_page(file: PdfFile, index: int, options: ParseOptions, stages: Stages) -> PageLines:
    """Returns what is on the page at an index (from 0); it is empty if PDFium cannot load it."""
    with file.page(index) as page:
        if page is None:
            return PageLines(index + 1, 0.0, 0.0)
        space = page_space(page)
        result = PageLines(index + 1, round(space.width, 2), round(space.height, 2))
        with PageText(page, space) as text:
            result.text = text.raw
            _Reader(file, page, space, text, options, stages, result).read()
    return result


class _Reader:
    """Reads one page into a PageLines."""

    def __init__(
        self,
        file: PdfFile,
        page: Any,
        space: PageSpace,
        text: PageText,
        options: ParseOptions,
        stages: Stages,
        result: PageLines,
    ) -> None:
        self._file, self._page, self._space, self._text = file, page, space, text
        self._options, self._stages, self._result = options, stages, result

    def read(self) -> None:
        result, run = self._result, self._run
        lines = self._read_lines()
        result.links = run("links", lambda: self._file.links(self._page, self._space), [])
        result.char_count = sum(len(line.text) for line in lines)
        result.unmapped_count = sum(
            line.text.count("\ufffd") + line.text.count("\x00") for line in lines
        )
        result.lines = lines
        drawing = run("drawings", lambda: read_drawing(self._page, self._space), Drawing())
        if self._options.ocr == "auto":
            look = partial(_read_scan, self._page, self._space, lines, drawing.images, result)
            if run("a scan", look, False):
                return
        if lines:
            self._lay_out(lines, drawing)

    def _read_lines(self) -> list[Line]:
        run, text = self._run, self._text
        fragments = run("lines", text.lines, None)
        if fragments is None:
            return _plain_lines(text.raw, self._space)
        before = [line.text for line in fragments]
        run("symbols and accents", partial(mend_glyphs, fragments, text, self._file.made_by_tex))
        pairs = zip(before, (line.text for line in fragments), strict=True)
        self._result.mended = [(old, new) for old, new in pairs if old is not new]
        run("spaced letters", partial(mend_spacing, fragments, text))
        lines = run("parts of lines", partial(glue_fragments, fragments), fragments)
        numbers = partial(mark_line_numbers, lines, self._space.width, text)
        return run("line numbers", numbers, lines)

    def _lay_out(self, lines: list[Line], drawing: Drawing) -> None:
        result, run, text = self._result, self._run, self._text
        if self._file.has_fields:
            # A field that was made part of the page looks like a drawing with a label.
            drawing.figures.clear()
        area = self._space.width * self._space.height
        result.figures = run("figures", partial(mark_figures, lines, drawing, area), [])
        run("labels of figures", partial(mark_figure_text, lines))
        if self._options.tables != "none":
            look = partial(find_tables, lines, drawing, text, self._options.tables == "all")
            result.tables = run("tables", look, [])
        boxes = [table.bbox for table in result.tables]

        def in_order() -> list[Line]:
            return reading_order(cut_lines(lines, boxes, text), boxes, text)

        result.lines = run("the reading order", in_order, lines)

    def _run(self, stage: str, look: Any, default: Any = None) -> Any:
        return self._stages.run(stage, self._result.number, look, default)


def _plain_lines(text: str, space: PageSpace) -> list[Line]:
    """The lines of a page without their places."""
    lines = []
    for part in filter(None, map(str.strip, text.splitlines())):
        line = Line(part, 0, False)
        line.x1, line.y1, line.size = space.width, space.height, 10.0
        lines.append(line)
    return lines


def _read_scan(
    page: Any, space: PageSpace, lines: list[Line], images: list[BBox], result: PageLines
) -> bool:
    """Reads a page by OCR if that gives what its own text does not; tells if it did."""
    from doctune.documents import legibility

    if result.unmapped_count >= _BROKEN_SHARE * result.char_count:
        # A page without text is empty, or scanned.
        lines = []
        worth = legibility.shows_text(page, space)
    else:
        worth = legibility.is_garbled(legibility.as_text(lines)) or legibility.shows_more_text(
            page, space, lines, images
        )
    if not worth:
        return False
    from doctune.documents import ocr

    read = ocr.read_page(page, space)
    result.unread = read is None and ocr.find_program() is None
    if read is None or (lines and not legibility.is_better(read, lines)):
        return False
    result.confidence, result.engine = read.confidence, ocr.ENGINE
    result.lines, result.shown = list(read.lines), read.shown
    result.text = ""  # what the page says in its own text stands for nothing
    result.char_count = sum(len(line.text) for line in read.lines)
    result.unmapped_count = 0
    return True
