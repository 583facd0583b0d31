"""Lines in reading order become blocks: paragraphs, headings, lists, captions, code, tables."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from doctune.documents import fonts
from doctune.documents.annotations import Link
from doctune.documents.arrange import arrange_blocks
from doctune.documents.captions import BEGINS as CAPTION_BEGINS
from doctune.documents.captions import is_caption
from doctune.documents.footnotes import BEGINS as FOOTNOTE_BEGINS
from doctune.documents.formulas import is_formula, is_part_of_formula
from doctune.documents.headings import ENTRY, LEADERS, is_lone_heading
from doctune.documents.hyphens import Vocabulary, breaks_word
from doctune.documents.lines import Line, ScannedLine
from doctune.documents.model import FURNITURE, BBox, Block, table_markdown
from doctune.documents.paragraphs import BULLET, SENTENCE_ENDS, continues, is_wrapped, resumes
from doctune.documents.tables.grid import Grid
from doctune.documents.tables.pieces import has_gaps
from doctune.documents.words import clean_text, join_lines

_BULLET_SIGN = re.compile(r"^[^\w\s(\[\"'\u201c\u2018\u00bf\u00a1]\s+\S")
_NUMBERED = re.compile(r"^(?:\d{1,3}(?:\.\d{1,3}){0,5}\.?|[A-Z](?:\.\d{1,3}){1,5}|[IVX]+\.)\s+\S")
_SECTION = re.compile(r"^\d{1,2}(?:\.\d{1,2})+\.?\s+\w")  # set in italics, it is a heading
_HEADING_SIZE = 1.12  # of the body's size
_LEAST_HEADING_SIZE = 0.8
_TITLE_SIZE = 1.4  # may end in a full stop
_STOPS = ".,;\u3002"
_APART = frozenset({"footnote", "formula"})
_FORMULA_GAP = 2.5  # em, between the parts of one formula
_DRAWN = frozenset({"figure", "code"})  # what stands where it is drawn, line by line
_FLOATS = frozenset({"figure", "caption", "table", "footnote"})
_MOST_BLANK_LINES = 3
_FIGURE_GAP = 100.0  # points, between the labels of one figure
_PROSE_CHARS = 40
_MAX_HEADING_CHARS = 160
_MAX_BOLD_CHARS = 100


@dataclass
class PageLines:
    """A page on its way to blocks: its lines in reading order, and the tables on it."""

    number: int
    width: float
    height: float
    lines: list[Line] = field(default_factory=list)
    tables: list[Grid] = field(default_factory=list)
    char_count: int = 0
    unmapped_count: int = 0
    engine: str = "pdfium"
    confidence: float = 0.0
    unread: bool = False  # it shows text that nothing here can read
    figures: list[BBox] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    shown: Callable[[BBox], BBox] | None = None  # maps boxes of a straightened scan to the page


@dataclass
class _Draft:
    """A block that more lines may join."""

    page: int
    kind: str
    lines: list[Line]
    grid: Grid | None = None


def build_blocks(pages: Sequence[PageLines], body: float) -> list[list[Block]]:
    """Returns the blocks of each page; a paragraph that goes on stands where it begins.

    Args:
        body: The font size of the running text, in points.
    """
    drafter = _Drafter(body, 0 if _is_bold_throughout(pages, body) else fonts.BOLD)
    for page in pages:
        drafter.add_page(page)
    vocabulary = Vocabulary(line for page in pages for line in page.lines)
    result: dict[int, list[Block]] = {page.number: [] for page in pages}
    scanned = {page.number: page.engine for page in pages if page.confidence}
    for draft in drafter.drafts:
        block = _finish(draft, vocabulary, body)
        if draft.page in scanned:
            sure = [line.confidence for line in draft.lines if isinstance(line, ScannedLine)]
            mean = round(sum(sure) / len(sure), 1) if sure else None
            block = replace(block, engine=scanned[draft.page], confidence=mean)
        if block.text:
            result[block.page].append(block)
    return [
        arrange_blocks(result[page.number], page.figures, page.links, page.shown) for page in pages
    ]


def body_size(pages: Iterable[PageLines]) -> float:
    """The font size that most characters have."""
    exact: dict[float, int] = {}
    for page in pages:
        for line in page.lines:
            if not line.kind and not line.font & fonts.MONO:
                length = len(line.text)
                # Prose counts more than short lines of tables, which may be smaller and many.
                weight = 5 * length if length >= _PROSE_CHARS else length
                exact[line.size] = exact.get(line.size, 0) + weight
    sizes: dict[float, int] = {}
    for size, weight in exact.items():
        rounded = round(size, 1)
        sizes[rounded] = sizes.get(rounded, 0) + weight
    return max(sizes, key=lambda size: sizes[size], default=10.0)


def _is_bold_throughout(pages: Sequence[PageLines], body: float) -> bool:
    """Tells whether bold says nothing: most text is, or its font claims to be without being so."""
    lines = [line for page in pages for line in page.lines if abs(line.size - body) < 0.5]
    bold = sum(len(line.text) for line in lines if line.font & fonts.BOLD)
    return 2 * bold > sum(len(line.text) for line in lines)


class _Drafter:
    """Puts the lines of pages, one after the other, into drafts."""

    def __init__(self, body: float, bold: int) -> None:
        self.drafts: list[_Draft] = []
        self._body, self._bold = body, bold
        self._open: _Draft | None = None
        # The last running text: figures, captions and tables stand in it without ending it.
        self._flow: _Draft | None = None

    def add_page(self, page: PageLines) -> None:
        placed: set[int] = set()
        for line in page.lines:
            inside = _table_around(line, page.tables) if page.tables else None
            if inside is None:
                self._add_line(line, page.number)
            elif inside not in placed:
                placed.add(inside)
                self._begin(_Draft(page.number, "table", [], page.tables[inside]))

    def _add_line(self, line: Line, page: int) -> None:
        kind = line.kind or self._kind(line)
        if kind == "paragraph" and self._flow and self._goes_on(self._flow.lines[-1], line):
            self._flow.lines.append(line)
            self._open = self._flow
        elif self._open is not None and _joins(self._open, line, kind, page, self._body):
            self._open.lines.append(line)
        else:
            self._begin(_Draft(page, kind, [line]))

    def _kind(self, line: Line) -> str:
        kind = _kind(line, self._body, self._bold)
        if kind != "paragraph":
            return kind
        if line.text.isascii() and "=" not in line.text and not line.font & fonts.MATH:
            return self._kind_beside_formula(line)
        before = self._open
        last = before.lines[-1] if before is not None and before.lines else None
        return "formula" if is_formula(line, last) else self._kind_beside_formula(line)

    def _kind_beside_formula(self, line: Line) -> str:
        part = self._open is not None and self._open.kind == "formula" and is_part_of_formula(line)
        return "formula" if part else "paragraph"

    def _goes_on(self, last: Line, line: Line) -> bool:
        """Tells whether running text goes on after what stands in it: a float, footnotes."""
        after_notes = self._open is not None and self._open.kind == "footnote"
        # At the end of a page PDFium marks no hyphen.
        return (last.hyphen or after_notes or breaks_word(last.text)) and resumes(last, line)

    def _begin(self, draft: _Draft) -> None:
        self.drafts.append(draft)
        if draft.kind in FURNITURE:
            return
        self._open = draft
        if draft.kind in ("paragraph", "list"):
            self._flow = draft
        elif draft.kind not in _FLOATS:
            self._flow = None


def _table_around(line: Line, tables: list[Grid]) -> int | None:
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    for index, table in enumerate(tables):
        x0, y0, x1, y1 = table.bbox
        if x0 - 2 <= x <= x1 + 2 and y0 - 1 <= y <= y1 + 1:
            return index
    return None


def _kind(line: Line, body: float, bold: int) -> str:
    text = line.text
    if line.turn:
        return "figure"
    if line.font & fonts.MONO:
        return "code"
    first = text[0]
    if first in CAPTION_BEGINS and is_caption(text):
        return "caption"
    large = line.size > _HEADING_SIZE * body
    limit = _MAX_HEADING_CHARS if large else _MAX_BOLD_CHARS if line.font & bold else 0
    if line.size < _LEAST_HEADING_SIZE * body or (not large and "=" in text) or "@" in text:
        limit = 0
    if not limit and first.isalpha() and text[1:2].isalpha():
        return "paragraph"
    if line.font & fonts.ITALIC and _SECTION.match(text):
        limit = _MAX_BOLD_CHARS
    if len(text) < limit and not _BULLET_SIGN.match(text) and any(map(str.isalpha, text)):
        is_entry = LEADERS.search(text) or (ENTRY.search(text) and has_gaps(line))
        return "paragraph" if is_entry else "heading"
    return "list" if BULLET.match(text) else "paragraph"


def _joins(draft: _Draft, line: Line, kind: str, page: int, body: float) -> bool:
    """Tells whether a line goes on with a block."""
    if draft.grid is not None or draft.kind in FURNITURE:
        return False
    last = draft.lines[-1]
    gap = line.y0 - last.y1
    em = line.size if line.size > 6.0 else 6.0
    same_page = page == draft.page
    if kind in _DRAWN or draft.kind in _DRAWN:
        if kind != draft.kind or not same_page:
            return False
        # The labels of a figure come in any order, the lines of code from the top down.
        return -em < gap < 3 * em if kind == "code" else _is_near(last, line)
    same_size = abs(line.size - last.size) < 0.6
    if kind == "heading" or draft.kind == "heading":
        italic = bool(last.font & line.font & fonts.ITALIC) and kind == "paragraph"
        alike = (kind == draft.kind or italic) and same_size and line.bold == last.bold
        return alike and same_page and -em < gap < 0.8 * em and not _NUMBERED.match(line.text)
    if kind in _APART or draft.kind in _APART:
        if kind != draft.kind or not same_page:
            return False
        reach = _FORMULA_GAP if kind == "formula" else 0.8
        return -reach * em < gap < reach * em and not FOOTNOTE_BEGINS.match(line.text)
    if kind == "caption":
        # A sentence may wrap before "Figure 5.".
        runs_on = draft.kind in ("paragraph", "list") and last.text[-1:] not in SENTENCE_ENDS
        wraps = runs_on and same_page and same_size and abs(line.x0 - last.x0) < 2
        return wraps and -0.6 * em < gap < 0.6 * em
    if kind == "list" and not is_wrapped(draft.kind, draft.lines, line, gap, em):
        return False
    # A manuscript sets its captions with wide gaps between the lines.
    if draft.kind == "caption" and same_page and same_size and 0 < gap < em:
        goes_on = abs(line.x0 - last.x0) < 2 and last.text[-1:] not in SENTENCE_ENDS
        return goes_on or continues(last, line, em, gap, same_size)
    if len(draft.lines) == 1:
        if _is_apart_from(last, line) and is_lone_heading(last, body):
            return False
    elif em < last.x0 - draft.lines[0].x0 and abs(line.x0 - draft.lines[0].x0) < 0.5 * em:
        return last.hyphen  # after lines that hang, the next entry begins
    return continues(last, line, em, gap, same_size)


def _is_apart_from(last: Line, line: Line) -> bool:
    """Tells whether a line cannot be the second of a paragraph by its place or its font."""
    centred = line.x0 < last.x0 - 2 * last.size
    return centred or bool(last.font & ~line.font & fonts.ITALIC)


def _is_near(last: Line, line: Line) -> bool:
    across = max(line.x0 - last.x1, last.x0 - line.x1)
    return max(line.y0 - last.y1, last.y0 - line.y1) < _FIGURE_GAP and across < 2 * _FIGURE_GAP


def _is_sentence(text: str, line: Line, body: float) -> bool:
    """Tells a sentence that is set in bold, or large, from a heading."""
    number = _NUMBERED.match(text)
    title = text[number.end() - 1 :] if number else text
    if len(text) > _MAX_BOLD_CHARS:
        return text[-1:] in _STOPS or ". " in title
    if text[-1:] not in _STOPS:
        return False
    return line.size <= _TITLE_SIZE * body and (number is None or title[0].islower())


def _finish(draft: _Draft, vocabulary: Vocabulary, body: float) -> Block:
    if draft.grid is not None:
        grid = draft.grid
        return Block(
            draft.page,
            "table",
            table_markdown(grid.rows),
            _round(grid.bbox),
            rows=grid.rows,
            spans=grid.spans,
            header_rows=grid.header_rows,
        )
    if draft.kind == "code":
        text = _code_text(draft.lines)
    elif draft.kind == "figure":
        text = clean_text("\n".join(line.text for line in draft.lines))
    else:
        text = join_lines([line.text for line in draft.lines], vocabulary)
    if draft.kind == "heading" and _is_sentence(text, draft.lines[0], body):
        draft.kind = "paragraph"
    elif draft.kind in ("paragraph", "list") and len(draft.lines) == 1:
        draft.kind = "heading" if is_lone_heading(draft.lines[0], body) else draft.kind
    level = 1 if draft.kind == "list" else None
    box = _box_around(draft.lines) if draft.kind == "figure" else _box_of(draft.lines)
    size = round(draft.lines[0].size, 2)
    return Block(draft.page, draft.kind, text, box, level, None, size)


def _box_of(lines: list[Line]) -> BBox:
    """The box around the lines of a block, before it goes on in another column or page."""
    last = lines[0]
    x0, y0, x1, y1 = last.x0, last.y0, last.x1, last.y1
    for line in lines[1:]:
        if line.y0 < last.y0 - line.size:
            break
        last = line
        if line.x0 < x0:
            x0 = line.x0
        if line.x1 > x1:
            x1 = line.x1
        if line.y0 < y0:
            y0 = line.y0
        if line.y1 > y1:
            y1 = line.y1
    return _round((x0, y0, x1, y1))


def _box_around(lines: list[Line]) -> BBox:
    return _round(
        (
            min(line.x0 for line in lines),
            min(line.y0 for line in lines),
            max(line.x1 for line in lines),
            max(line.y1 for line in lines),
        )
    )


def _code_text(lines: list[Line]) -> str:
    """The lines of a listing with the indentation and the blank lines that they are drawn with."""
    left = min(line.x0 for line in lines)
    steps = [other.y0 - one.y0 for one, other in pairwise(lines) if other.y0 > one.y0 + 1]
    pitch = min(steps, default=0.0)
    shown = []
    last = lines[0].y0
    for line in lines:
        if pitch:
            shown += [""] * min(round((line.y0 - last) / pitch) - 1, _MOST_BLANK_LINES)
        advance = (line.x1 - line.x0) / max(1, len(line.text))
        indent = round((line.x0 - left) / advance) if advance > 0 else 0
        shown.append(" " * min(indent, 80) + clean_text(line.text))
        last = line.y0
    return "\n".join(shown)


def _round(box: BBox) -> BBox:
    return round(box[0], 1), round(box[1], 1), round(box[2], 1), round(box[3], 1)
