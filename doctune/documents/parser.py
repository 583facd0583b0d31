"""One PDF to a Document.

A file is read in parts of a hundred pages, each on its own: what is held in memory is bounded by
the part, and the parts of one huge file can be read by several processes. What needs the whole
document (levels of headings, language) is settled when the parts are put together.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctune.documents.blocks import PageLines, body_size, build_blocks
from doctune.documents.drawing import read_drawing
from doctune.documents.errors import PdfError
from doctune.documents.footnotes import mark_footnotes
from doctune.documents.furniture import mark_figure_text, mark_figures, mark_running_lines
from doctune.documents.geometry import PageSpace, page_space
from doctune.documents.glyphs import mend_glyphs
from doctune.documents.headings import assign_levels
from doctune.documents.language import detect_language
from doctune.documents.lines import Line, PageText, glue_fragments
from doctune.documents.margins import mark_line_numbers, mark_watermarks
from doctune.documents.model import FURNITURE, BBox, Block, Document, Page
from doctune.documents.options import ParseOptions
from doctune.documents.order import reading_order
from doctune.documents.pdfium import OutlineEntry, PdfFile
from doctune.documents.spacing import mend_spacing
from doctune.documents.tables.find import find_tables
from doctune.documents.tables.over_pages import join_over_pages
from doctune.documents.tables.pieces import cut_lines

PAGES_PER_PART = 100
_LANGUAGE_SAMPLE_CHARS = 8_000
_BROKEN_SHARE = 0.5
_UNMAPPED_SHARE = 0.02


@dataclass(frozen=True)
class FileFacts:
    """What the file as a whole says."""

    page_count: int
    metadata: dict[str, str]
    outline: list[OutlineEntry]


@dataclass(frozen=True)
class PartPage:
    """A page as a part gives it: headings have no level yet."""

    number: int
    width: float
    height: float
    blocks: list[Block]
    char_count: int
    unmapped_count: int
    confidence: float = 0.0
    unread: bool = False  # it shows text that nothing here can read


def parse_pdf(path: Path | str, options: ParseOptions | None = None) -> Document:
    """Reads a PDF in this process.

    Raises:
        PdfError: It cannot be read; the message says why.
    """
    options = options or ParseOptions()
    path = Path(path)
    pages: list[PartPage] = []
    with _without_collector():
        with PdfFile(path, options.password) as file:
            facts = _facts(file, path, options)
            pages += _read_pages(file, 0, min(PAGES_PER_PART, facts.page_count), options)
        for first in range(PAGES_PER_PART, facts.page_count, PAGES_PER_PART):
            pages += read_part(path, first, min(first + PAGES_PER_PART, facts.page_count), options)
        return assemble(facts, pages)


def read_facts(path: Path, options: ParseOptions) -> FileFacts:
    """Opens a file and reads what it says as a whole.

    Raises:
        PdfError: It cannot be read, has no page, or has more than `options.max_pages`.
    """
    with PdfFile(path, options.password) as file:
        return _facts(file, path, options)


def read_part(path: Path, first: int, stop: int, options: ParseOptions) -> list[PartPage]:
    """Reads the pages from index `first` up to but not including `stop`.

    The file is opened anew for each part, as PDFium keeps what it has read of an open one.

    Raises:
        PdfError: The file cannot be opened.
    """
    with _without_collector(), PdfFile(path, options.password) as file:
        return _read_pages(file, first, stop, options)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pauses the search for reference cycles: there are none, and it takes a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _facts(file: PdfFile, path: Path, options: ParseOptions) -> FileFacts:
    if file.page_count < 1:
        raise PdfError("damaged", f"{path.name} is damaged: no page can be found in it.")
    if file.page_count > options.max_pages:
        raise PdfError(
            "too large", f"{path.name} has {file.page_count} pages: raise `max_pages` to read it."
        )
    return FileFacts(file.page_count, file.metadata, file.outline)


def _read_pages(file: PdfFile, first: int, stop: int, options: ParseOptions) -> list[PartPage]:
    pages = [_read_page(file, index, options) for index in range(first, stop)]
    body = body_size(pages)
    mark_running_lines([(page.lines, page.height) for page in pages], body)
    mark_watermarks([page.lines for page in pages], body)
    for page in pages:
        mark_footnotes(page.lines, [table.bbox for table in page.tables], page.height, body)
    return [
        PartPage(
            page.number,
            page.width,
            page.height,
            blocks,
            page.char_count,
            page.unmapped_count,
            page.confidence,
            page.unread,
        )
        for page, blocks in zip(pages, build_blocks(pages, body), strict=True)
    ]


def assemble(facts: FileFacts, pages: Sequence[PartPage]) -> Document:
    """Puts the pages of all parts together."""
    joined = join_over_pages([page.blocks for page in pages], [page.height for page in pages])
    leveled = assign_levels(joined, facts.outline)
    whole = tuple(
        Page(page.number, page.width, page.height, tuple(blocks))
        for page, blocks in zip(pages, leveled, strict=True)
    )
    language = detect_language(_sample(whole))
    return Document(whole, facts.metadata, language, tuple(_warnings(pages)))


def _read_page(file: PdfFile, index: int, options: ParseOptions) -> PageLines:
    with file.page(index) as page:
        if page is None:
            return PageLines(index + 1, 0.0, 0.0)
        space = page_space(page)
        result = PageLines(index + 1, round(space.width, 2), round(space.height, 2))
        with PageText(page, space) as text:
            fragments = text.lines()
            mend_glyphs(fragments, text, file.made_by_tex)
            mend_spacing(fragments, text)
            lines = mark_line_numbers(glue_fragments(fragments), space.width, text)
            result.links = file.links(page, space)
            result.char_count = sum(len(line.text) for line in lines)
            result.unmapped_count = sum(
                line.text.count("\ufffd") + line.text.count("\x00") for line in lines
            )
            drawing = read_drawing(page, space)
            if options.ocr == "auto" and _read_scan(page, space, lines, drawing.images, result):
                return result
            if lines:
                if file.has_fields:
                    # A field that was made part of the page looks like a drawing with a label.
                    drawing.figures.clear()
                result.figures = mark_figures(lines, drawing, space.width * space.height)
                mark_figure_text(lines)
                if options.tables != "none":
                    result.tables = find_tables(lines, drawing, text, options.tables == "all")
                boxes = [table.bbox for table in result.tables]
                result.lines = reading_order(cut_lines(lines, boxes, text), boxes, text)
    return result


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
    result.char_count = sum(len(line.text) for line in read.lines)
    result.unmapped_count = 0
    return True


def _sample(pages: Sequence[Page]) -> str:
    """Running text from the middle of the document on, where it is least of it front matter."""
    parts: list[str] = []
    length = 0
    middle = len(pages) // 3
    for page in (*pages[middle:], *pages[:middle]):
        for block in page.blocks:
            if block.kind not in FURNITURE and block.kind not in ("code", "table"):
                parts.append(block.text)
                length += len(block.text)
        if length > _LANGUAGE_SAMPLE_CHARS:
            break
    return "\n".join(parts)


def _warnings(pages: Sequence[PartPage]) -> list[str]:
    found = []
    unread = sum(1 for page in pages if page.unread)
    scanned = [page.confidence for page in pages if page.confidence]
    if unread:
        from doctune.documents import ocr

        found.append(
            f"{unread} of {len(pages)} pages show text that only OCR can read. {ocr.ADVICE}"
        )
    if scanned:
        mean = sum(scanned) / len(scanned)
        found.append(
            f"{len(scanned)} of {len(pages)} pages were read by OCR, {mean:.0f} % sure of words."
        )
    chars = sum(page.char_count for page in pages)
    unmapped = sum(page.unmapped_count for page in pages)
    if unmapped > _UNMAPPED_SHARE * chars:
        found.append(f"{unmapped} of {chars} characters have no Unicode: the font has no map.")
    return found
