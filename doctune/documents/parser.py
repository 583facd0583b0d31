"""Parses one PDF into a Document.

A file is parsed in independent parts of a hundred pages. This bounds memory, and several processes
can share one huge file. Whatever needs the whole document (levels of headings, language) is done
when the parts are assembled.
"""

import gc
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from doctune.documents.account import count_lost, count_page
from doctune.documents.blocks import body_size, build_blocks
from doctune.documents.document_warnings import document_warnings
from doctune.documents.errors import PdfError
from doctune.documents.footnotes import mark_footnotes
from doctune.documents.furniture import mark_running_lines
from doctune.documents.headings import assign_levels
from doctune.documents.language import detect_language
from doctune.documents.margins import mark_watermarks
from doctune.documents.model import FURNITURE, Document, Page
from doctune.documents.options import ParseOptions
from doctune.documents.pages import read_page
from doctune.documents.part_page import PartPage
from doctune.documents.pdfium import OutlineEntry, PdfFile
from doctune.documents.stages import Stages
from doctune.documents.tables.over_pages import join_over_pages

PAGES_PER_PART = 100
_MAX_DEPTH = 3  # of PDFs within PDFs
_LANGUAGE_SAMPLE_CHARS = 8_000


@dataclass(frozen=True)
class FileFacts:
    """Facts about the file as a whole: number of pages, metadata, outline, attached files."""

    page_count: int
    metadata: dict[str, str]
    outline: list[OutlineEntry]
    attached: tuple[str, ...] = ()


def parse_pdf(path: Path | str, options: ParseOptions | None = None) -> Document:
    """Parses a PDF in this process.

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
        document = assemble(facts, pages)
        return _with_attached(document, path, options, depth=0) if options.attachments else document


def _with_attached(document: Document, path: Path, options: ParseOptions, depth: int) -> Document:
    """Returns a document with the PDFs that are attached to it."""
    with PdfFile(path, options.password) as file:
        attachments = file.read_attached(options.output_limit_mb << 20)
    attached: dict[str, Document] = {}
    warnings = list(document.warnings)
    alone = options.model_copy(update={"attachments": False})
    with tempfile.TemporaryDirectory(prefix="doctune-attached-") as folder:
        for number, (name, content) in enumerate(attachments, start=1):
            inner = Path(folder, f"{number}.pdf")
            inner.write_bytes(content)
            key = name if name not in attached else f"{number}-{name}"
            try:
                attached[key] = parse_pdf(inner, alone)
            except PdfError as error:
                warnings.append(f"The attached {str(error).replace(inner.name, name)}")
                continue
            if depth < _MAX_DEPTH:
                attached[key] = _with_attached(attached[key], inner, options, depth + 1)
    return replace(document, attached=attached, warnings=tuple(warnings))


def read_facts(path: Path, options: ParseOptions) -> FileFacts:
    """Opens a file and reads the facts about it as a whole.

    Raises:
        PdfError: It cannot be read, has no page, or has more than `options.max_pages`.
    """
    with PdfFile(path, options.password) as file:
        return _facts(file, path, options)


def read_part(path: Path, first: int, stop: int, options: ParseOptions) -> list[PartPage]:
    """Reads the pages from index `first` up to but not including `stop`.

    The file is reopened for each part, since PDFium caches all that it reads of an open file.

    Raises:
        PdfError: The file cannot be opened.
    """
    with _without_collector(), PdfFile(path, options.password) as file:
        return _read_pages(file, first, stop, options)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Disables garbage collection: there are no reference cycles, and it takes 10 % of the time."""
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
    return FileFacts(file.page_count, file.metadata, file.outline, file.attached)


def _read_pages(file: PdfFile, first: int, stop: int, options: ParseOptions) -> list[PartPage]:
    stages = Stages()
    pages = [read_page(file, index, options, stages) for index in range(first, stop)]
    numbers = [page.number for page in pages]
    body = stages.run("the size of the text", numbers, partial(body_size, pages), 10.0)
    lines = [(page.lines, page.height) for page in pages]
    stages.run("running headers", numbers, partial(mark_running_lines, lines, body), None)
    of_pages = [page.lines for page in pages]
    stages.run("watermarks", numbers, partial(mark_watermarks, of_pages, body), None)
    for page in pages:
        boxes = [table.bbox for table in page.tables]
        notes = partial(mark_footnotes, page.lines, boxes, page.height, body)
        stages.run("footnotes", page.number, notes, None)
    blocks = build_blocks(pages, body, stages)
    texts = [count_page(page) for page in pages]
    lost = stages.run("lost text", numbers, partial(count_lost, texts, blocks), [0] * len(pages))
    return [
        PartPage(
            page.number,
            page.shown_width,
            page.shown_height,
            blocks[place],
            page.char_count,
            page.unmapped_count,
            page.confidence,
            page.unread,
            sum(texts[place].values()),
            lost[place],
            sum(map(len, page.hidden)) + page.off_chars,
            page.unsure,
            stages.on(page.number),
        )
        for place, page in enumerate(pages)
    ]


def assemble(facts: FileFacts, pages: Sequence[PartPage]) -> Document:
    """Assembles the pages of all parts."""
    stages = Stages()
    blocks = [page.blocks for page in pages]
    heights = [page.height for page in pages]
    over_pages = partial(join_over_pages, blocks, heights)
    joined = stages.run("tables over pages", 0, over_pages, blocks)
    levels = partial(assign_levels, joined, facts.outline)
    leveled = stages.run("levels of headings", 0, levels, joined)
    whole = tuple(
        Page(
            page.number,
            page.width,
            page.height,
            tuple(blocks),
            page.text_chars,
            page.lost_chars,
            page.hidden_chars,
        )
        for page, blocks in zip(pages, leveled, strict=True)
    )
    sample = _sample(whole)
    language = stages.run("the language", 0, partial(detect_language, sample), "")
    found = document_warnings(pages, whole, stages.faults, facts.attached)
    return Document(whole, facts.metadata, language, tuple(found))


def _sample(pages: Sequence[Page]) -> str:
    """Returns running text from the middle of the document, after the front matter."""
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
