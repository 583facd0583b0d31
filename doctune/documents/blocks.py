"""Groups lines in reading order into blocks: paragraphs, headings, lists, tables, ..."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from doctune.documents import fonts
from doctune.documents.arrange import arrange_blocks, insert_figure, insert_turned
from doctune.documents.captions import BEGINS as CAPTION_BEGINS
from doctune.documents.captions import is_caption
from doctune.documents.finish import finish, plain_block
from doctune.documents.footnotes import BEGINS as FOOTNOTE_BEGINS
from doctune.documents.formulas import is_formula, is_part_of_formula
from doctune.documents.headings import ENTRY, LEADERS, is_lone_heading
from doctune.documents.hyphens import Vocabulary, breaks_word
from doctune.documents.lines import Line, ScannedLine
from doctune.documents.model import FURNITURE, Block
from doctune.documents.page_lines import Draft, PageLines
from doctune.documents.paragraphs import (
    BULLET,
    NUMBERED,
    SENTENCE_ENDS,
    continues,
    is_wrapped,
    resumes,
)
from doctune.documents.stages import Stages
from doctune.documents.tables.grid import Grid
from doctune.documents.tables.pieces import has_gaps

_BULLET_SIGN = re.compile(r"^[^\w\s(\[\"'\u201c\u2018\u00bf\u00a1]\s+\S")
_SECTION = re.compile(r"^\d{1,2}(?:\.\d{1,2})+\.?\s+\w")  # set in italics, it is a heading
_HEADING_SIZE = 1.12  # of the body's size
_LEAST_HEADING_SIZE = 0.8
_APART = frozenset({"footnote", "formula"})
_FORMULA_GAP = 2.5  # em, between the parts of one formula
_DRAWN = frozenset({"figure", "code"})  # what stands where it is drawn, line by line
_FLOATS = frozenset({"figure", "caption", "table", "footnote"})
_FIGURE_GAP = 100.0  # points, between the labels of one figure
_PROSE_CHARS = 40
_MAX_HEADING_CHARS = 160
_MAX_BOLD_CHARS = 100


def build_blocks(pages: Sequence[PageLines], body: float, stages: Stages) -> list[list[Block]]:
    """Returns the blocks of each page; one that spans pages is on the page it begins on.

    Args:
        body: The font size of the running text, in points.
        stages: Runs the parsing steps and records faults.
    """
    numbers = [page.number for page in pages]
    throughout = stages.run("bold text", numbers, partial(_is_bold_throughout, pages, body), False)
    bold = 0 if throughout else fonts.BOLD
    vocabulary = Vocabulary(line for page in pages for line in page.lines)

    def finished(pages: Sequence[PageLines]) -> list[list[Block]]:
        result: list[list[Block]] = [[] for _ in pages]
        for draft in _draft(pages, body, bold, stages):
            block = _finish(draft, pages[draft.page], vocabulary, body, stages)
            if block.text:
                result[draft.page].append(block)
        return [_arrange(page, blocks, stages) for page, blocks in zip(pages, result, strict=True)]

    whole = finished(pages)
    for number, page in enumerate(pages):
        for turned in page.turned:
            whole[number] = insert_turned(whole[number], finished([turned])[0])
        for box, text in page.described:
            whole[number] = insert_figure(whole[number], page.number, box, text)
    return whole


def _draft(pages: Sequence[PageLines], body: float, bold: int, stages: Stages) -> list[Draft]:
    """Groups the lines of pages into drafts; on a page where this fails, each line is one draft."""

    def together() -> list[Draft]:
        drafter = _Drafter(body, bold)
        for place, page in enumerate(pages):
            drafter.add_page(page, place)
        return drafter.drafts

    def alone(place: int) -> list[Draft]:
        drafter = _Drafter(body, bold)
        drafter.add_page(pages[place], place)
        return drafter.drafts

    trial = Stages()  # if it fails, the pages are retried one by one to find the faulty one
    drafts = trial.run("blocks", 0, together, None)
    if drafts is not None:
        return drafts
    drafts = []
    for place, page in enumerate(pages):
        plain = [Draft(place, "paragraph", [line]) for line in page.lines]
        drafts += stages.run("blocks", page.number, partial(alone, place), plain)
    return drafts


def _finish(
    draft: Draft, page: PageLines, vocabulary: Vocabulary, body: float, stages: Stages
) -> Block:
    step = partial(finish, draft, page.number, vocabulary, body)
    block = stages.run("hyphens and indents", page.number, step, None)
    block = block or plain_block(draft, page.number)
    if page.confidence:
        sure = [line.confidence for line in draft.lines if isinstance(line, ScannedLine)]
        mean = round(sum(sure) / len(sure), 1) if sure else None
        block = replace(block, engine=page.engine, confidence=mean)
    return block


def _arrange(page: PageLines, blocks: list[Block], stages: Stages) -> list[Block]:
    step = partial(arrange_blocks, blocks, page.figures, page.links, page.shown)
    return stages.run("captions and links", page.number, step, blocks)


def body_size(pages: Iterable[PageLines]) -> float:
    """Returns the font size of most characters."""
    exact: dict[float, int] = {}
    for page in pages:
        for line in page.lines:
            if not line.kind and not line.font & fonts.MONO:
                length = len(line.text)
                # Long lines count more, since tables may have many short and small lines.
                weight = 5 * length if length >= _PROSE_CHARS else length
                exact[line.size] = exact.get(line.size, 0) + weight
    sizes: dict[float, int] = {}
    for size, weight in exact.items():
        rounded = round(size, 1)
        sizes[rounded] = sizes.get(rounded, 0) + weight
    return max(sizes, key=lambda size: sizes[size], default=10.0)


def _is_bold_throughout(pages: Sequence[PageLines], body: float) -> bool:
    """Returns whether most text is bold, or its font wrongly claims so: bold is then ignored."""
    lines = [line for page in pages for line in page.lines if abs(line.size - body) < 0.5]
    bold = sum(len(line.text) for line in lines if line.font & fonts.BOLD)
    return 2 * bold > sum(len(line.text) for line in lines)


class _Drafter:
    """Groups lines into drafts of blocks, page by page."""

    def __init__(self, body: float, bold: int) -> None:
        self.drafts: list[Draft] = []
        self._body, self._bold = body, bold
        self._open: Draft | None = None
        # The last draft of running text: figures, captions and tables do not end it.
        self._flow: Draft | None = None

    def add_page(self, page: PageLines, place: int) -> None:
        placed: set[int] = set()
        for line in page.lines:
            inside = _table_around(line, page.tables) if page.tables else None
            if inside is None:
                self._add_line(line, place)
            elif inside not in placed:
                placed.add(inside)
                self._begin(Draft(place, "table", [], page.tables[inside]))

    def _add_line(self, line: Line, page: int) -> None:
        kind = line.kind or self._kind(line)
        if kind == "paragraph" and self._flow and self._goes_on(self._flow.lines[-1], line):
            self._flow.lines.append(line)
            self._open = self._flow
        elif self._open is not None and _joins(self._open, line, kind, page, self._body):
            self._open.lines.append(line)
        else:
            self._begin(Draft(page, kind, [line]))

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
        """Returns whether a line continues running text that a float or footnotes interrupted."""
        after_notes = self._open is not None and self._open.kind == "footnote"
        # PDFium does not mark a hyphen at the end of a page.
        return (last.hyphen or after_notes or breaks_word(last.text)) and resumes(last, line)

    def _begin(self, draft: Draft) -> None:
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


def _joins(draft: Draft, line: Line, kind: str, page: int, body: float) -> bool:
    """Returns whether a line continues a block."""
    if draft.grid is not None or draft.kind in FURNITURE:
        return False
    if line.latex or draft.lines[-1].latex:
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
        return alike and same_page and -em < gap < 0.8 * em and not NUMBERED.match(line.text)
    if kind in _APART or draft.kind in _APART:
        if kind != draft.kind or not same_page:
            return False
        reach = _FORMULA_GAP if kind == "formula" else 0.8
        return -reach * em < gap < reach * em and not FOOTNOTE_BEGINS.match(line.text)
    if kind == "caption":
        # A line may begin with "Figure 5." in the middle of a sentence.
        runs_on = draft.kind in ("paragraph", "list") and last.text[-1:] not in SENTENCE_ENDS
        wraps = runs_on and same_page and same_size and abs(line.x0 - last.x0) < 2
        return wraps and -0.6 * em < gap < 0.6 * em
    if kind == "list" and not is_wrapped(draft.kind, draft.lines, line, gap, em):
        return False
    # Manuscripts have wide gaps between the lines of a caption.
    if draft.kind == "caption" and same_page and same_size and 0 < gap < em:
        goes_on = abs(line.x0 - last.x0) < 2 and last.text[-1:] not in SENTENCE_ENDS
        return goes_on or continues(last, line, em, gap, same_size)
    if len(draft.lines) == 1:
        if _is_apart_from(last, line) and is_lone_heading(last, body):
            return False
    elif em < last.x0 - draft.lines[0].x0 and abs(line.x0 - draft.lines[0].x0) < 0.5 * em:
        return last.hyphen  # after a hanging indent, the next entry begins
    return continues(last, line, em, gap, same_size)


def _is_apart_from(last: Line, line: Line) -> bool:
    """Returns whether position or font of a line exclude it as a paragraph's second line."""
    centred = line.x0 < last.x0 - 2 * last.size
    return centred or bool(last.font & ~line.font & fonts.ITALIC)


def _is_near(last: Line, line: Line) -> bool:
    across = max(line.x0 - last.x1, last.x0 - line.x1)
    return max(line.y0 - last.y1, last.y0 - line.y1) < _FIGURE_GAP and across < 2 * _FIGURE_GAP
