"""Reads one page of an open file: lines in reading order, tables and figures.

Each parsing step runs in `Stages`: if it fails, only its result is missing, not the page.
"""

from functools import partial
from typing import Any

from doctune.documents.display import write_formulas
from doctune.documents.drawing import Drawing, read_drawing
from doctune.documents.form_fields import write_fields
from doctune.documents.furniture import mark_figure_text, mark_figures
from doctune.documents.geometry import PageSpace, page_space
from doctune.documents.glyphs import fix_glyphs
from doctune.documents.hidden import VisibleText, split_hidden
from doctune.documents.layers import level
from doctune.documents.lines import Line, PageText, glue_fragments
from doctune.documents.margins import mark_line_numbers
from doctune.documents.model import BBox
from doctune.documents.monospace import unmark_prose
from doctune.documents.optional_content import hide_optional_content
from doctune.documents.options import ParseOptions
from doctune.documents.order import beside_labels, reading_order
from doctune.documents.page_edges import mark_page_edges
from doctune.documents.page_lines import PageLines
from doctune.documents.pdfium import PdfFile
from doctune.documents.scripts import rebuild_scripts
from doctune.documents.spacing import fix_letter_spacing
from doctune.documents.stages import Stages
from doctune.documents.tables.find import find_tables, lines_outside
from doctune.documents.tables.pieces import cut_lines
from doctune.documents.tags import (
    Description,
    Tags,
    find_descriptions,
    order_by_tags,
    read_tags,
)
from doctune.documents.turned import (
    drop_turned_tables,
    main_turn,
    mark_margins,
    rebuild_lines,
    shown_from,
    turned_groups,
)
from doctune.documents.vertical import is_column, join_columns, join_initials, level_columns

_BROKEN_SHARE = 0.5


def read_page(file: PdfFile, index: int, options: ParseOptions, stages: Stages) -> PageLines:
    """Reads the page at an index (from 0); the result is empty if PDFium cannot load it."""
    with file.page(index) as page:
        if page is None:
            return PageLines(index + 1, 0.0, 0.0)
        space = page_space(page)
        result = PageLines(index + 1, round(space.width, 2), round(space.height, 2))
        if file.has_layers and not options.hidden_text:
            step = partial(hide_optional_content, page, space)
            result.off_chars = stages.run("optional content", index + 1, step, 0)
        with PageText(page, space) as text:
            result.text = text.raw
            _Reader(file, page, space, text, options, stages, result).read()
        result.shown_width, result.shown_height = round(space.width, 2), round(space.height, 2)
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
        self._shown_space = space

    def read(self) -> None:
        result, run = self._result, self._run
        lines = self._read_lines()
        turn = run("the direction of the text", partial(main_turn, lines), 0)
        if turn:
            self._turn(turn, result)
            lines = self._read_lines()
        drawing = run("drawings", lambda: read_drawing(self._page, self._space), Drawing())
        lines = self._without_hidden(lines, drawing)
        result.links = run("links", lambda: self._file.links(self._page, self._space), [])
        result.char_count = sum(len(line.text) for line in lines)
        if "\ufffd" in self._text.raw or "\x00" in self._text.raw:
            result.unmapped_count = sum(
                line.text.count("\ufffd") + line.text.count("\x00") for line in lines
            )
        result.lines = lines
        if self._options.ocr != "off":
            choice = self._options.ocr
            step = partial(
                _read_scan, self._page, self._space, lines, drawing.images, result, choice
            )
            if run("a scan", step, False):
                return
        if lines:
            self._lay_out(lines, drawing, result)
            if any(line.turn for line in lines):
                run("turned text", partial(self._read_turned, result))

    def _without_hidden(self, lines: list[Line], drawing: Drawing) -> list[Line]:
        """Returns the visible lines."""
        step = partial(split_hidden, self._page, self._space, lines, drawing, self._text)
        seen = self._run("hidden text", step, VisibleText(lines))
        self._run("code", partial(level if seen.layer else unmark_prose, seen.shown))
        self._result.hidden = [line.text for line in seen.hidden]
        return lines if self._options.hidden_text else seen.shown

    def _read_turned(self, result: PageLines) -> None:
        """Reads rotated text, each direction separately."""
        result.tables = drop_turned_tables(result.tables, result.lines)
        boxes = [table.bbox for table in result.tables]
        page = self._space
        for turn, group in turned_groups(result.lines, boxes).items():
            found = PageLines(result.number, 0.0, 0.0)
            self._space = page
            self._turn(turn, found)
            columns = [line for line in group if is_column(line)]
            wanted = [
                (at, at + len(part))
                for line in group
                if not is_column(line)
                for part, at in line.spans
            ]
            gone = set(map(id, group))
            lines = level_columns(columns, page.width, page.height)
            lines += [line for line in self._read_lines(wanted) if not line.turn]
            if lines:
                self._lay_out(lines, read_drawing(self._page, self._space), found)
                found.figures = []  # already in the page's own result
                result.turned.append(found)
                result.lines = [line for line in result.lines if id(line) not in gone]

    def _turn(self, turn: int, result: PageLines) -> None:
        """Switches to the rotated frame in which text of a direction runs to the right."""
        self._space = self._space.turned(-turn)
        self._text.read_in(self._space)
        result.width, result.height = round(self._space.width, 2), round(self._space.height, 2)
        result.shown = shown_from(self._space, turn)

    def _read_lines(self, wanted: list[tuple[int, int]] | None = None) -> list[Line]:
        """Returns the lines of the page, or only those within ranges of PDFium's text."""
        run, text = self._run, self._text
        fragments = run("lines", text.lines, None)
        if fragments is None:
            return _plain_lines(text.raw, self._space)
        if wanted is not None:
            fragments = [
                line
                for line in fragments
                if any(first <= line.spans[0][1] < stop for first, stop in wanted)
            ]
        before = [line.text for line in fragments]
        run("symbols and accents", partial(fix_glyphs, fragments, text, self._file.made_by_tex))
        run("scripts", partial(rebuild_scripts, fragments, text, self._page, self._space))
        pairs = zip(before, (line.text for line in fragments), strict=True)
        if wanted is None:
            self._result.replaced = [(old, new) for old, new in pairs if old is not new]
        run("spaced letters", partial(fix_letter_spacing, fragments, text))
        if self._space is not self._shown_space:
            fragments = run("turned text", partial(rebuild_lines, fragments, text), fragments)
        if wanted is None and self._space is self._shown_space:
            fragments = run("vertical text", partial(join_columns, fragments), fragments)
        lines = run("parts of lines", partial(glue_fragments, fragments), fragments)
        lines = run("initials", partial(join_initials, lines), lines)
        numbers = partial(mark_line_numbers, lines, self._space.width, text)
        return run("line numbers", numbers, lines)

    def _lay_out(self, lines: list[Line], drawing: Drawing, result: PageLines) -> None:
        run, text = self._run, self._text
        run("stamps in the margins", partial(mark_margins, lines, self._space.width))
        if self._file.has_fields:
            # A flattened form field looks like a drawing with a label.
            drawing.figures.clear()
        if result is self._result:
            width, height = self._space.width, self._space.height
            run("running lines", partial(mark_page_edges, lines, text, width, height))
        area = self._space.width * self._space.height
        result.figures = run("figures", partial(mark_figures, lines, drawing, area), [])
        # The rows of a page on its side are read cell by cell, as the ticks of an axis are.
        on_its_side = result is self._result and self._space is not self._shown_space
        if not on_its_side:
            run("labels of figures", partial(mark_figure_text, lines))
        if self._options.tables != "none":
            step = partial(find_tables, lines, drawing, text, self._options.tables == "all")
            result.tables = run("tables", step, [])
        boxes = [table.bbox for table in result.tables]
        if on_its_side:
            run("labels of figures", partial(mark_figure_text, lines_outside(lines, boxes, text)))
        tags = Tags()
        if self._file.is_tagged and result is self._result:
            tags = run("tags", lambda: read_tags(self._page), tags)
            result.described = run("figures", partial(self._describe, tags, lines), [])

        def in_order() -> list[Line]:
            cut = cut_lines(lines, boxes, text)
            tagged = order_by_tags(cut, tags, text.content_of) if tags.ranks else None
            if tagged is not None:
                return tagged
            # Flattened form fields come after the page's own content.
            mixed = self._file.has_fields or self._space is not self._shown_space
            ordered = reading_order(cut, boxes, text, mixed)
            return beside_labels(ordered) if self._file.has_fields else ordered

        result.lines = run("the reading order", in_order, lines)
        if not self._space.rotation and self._space is self._shown_space:
            formulas = partial(write_formulas, result.lines, drawing, text, boxes)
            result.lines = run("formulas", formulas, result.lines)
        if self._file.fields and result is self._result:
            fields = partial(write_fields, result.lines, self._file.fields, text)
            result.lines = run("form fields", fields, result.lines)

    def _describe(self, tags: Tags, lines: list[Line]) -> list[Description]:
        if not tags.described:
            return []
        contents = [self._text.content_of(line) for line in lines]
        return find_descriptions(self._page, self._shown_space, tags, contents)

    def _run(self, stage: str, step: Any, default: Any = None) -> Any:
        return self._stages.run(stage, self._result.number, step, default)


def _plain_lines(text: str, space: PageSpace) -> list[Line]:
    """Returns the lines of a page's raw text, without positions."""
    lines = []
    for part in filter(None, map(str.strip, text.splitlines())):
        line = Line(part, 0, False)
        line.x1, line.y1, line.size = space.width, space.height, 10.0
        lines.append(line)
    return lines


def _read_scan(
    page: Any,
    space: PageSpace,
    lines: list[Line],
    images: list[BBox],
    result: PageLines,
    choice: str,
) -> bool:
    """Reads a page by OCR if its own text is missing or worse; returns whether it did."""
    from doctune.documents import legibility

    if result.unmapped_count >= _BROKEN_SHARE * result.char_count:
        # A page without text is blank or scanned.
        lines = []
        worth = legibility.shows_text(page, space)
    else:
        worth = legibility.is_garbled(legibility.as_text(lines)) or legibility.shows_more_text(
            page, space, lines, images
        )
    if not worth:
        return False
    from doctune.documents import ocr

    read = ocr.read_page(page, space, choice)
    result.unread = ocr.find_engine(choice) is None
    if not lines and not result.unread:
        # It shows rows of strokes, but little or nothing of them can be read.
        result.unsure = read is None or read.unsure
    if read is None or not read.lines or (lines and not legibility.is_better(read, lines)):
        return False
    result.confidence, result.engine = read.confidence, read.engine
    result.lines, result.shown = list(read.lines), read.shown
    result.text = ""  # the page's own text is discarded
    result.char_count = sum(len(line.text) for line in read.lines)
    result.unmapped_count = 0
    return True
