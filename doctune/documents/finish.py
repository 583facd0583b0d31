"""Turns drafts into blocks: joins lines, keeps the layout of code, computes boxes."""

from itertools import pairwise

from doctune.documents.headings import is_lone_heading
from doctune.documents.hyphens import Vocabulary
from doctune.documents.lines import Line
from doctune.documents.model import BBox, Block, table_markdown
from doctune.documents.page_lines import Draft
from doctune.documents.paragraphs import NUMBERED
from doctune.documents.words import clean_text, join_lines

_TITLE_SIZE = 1.4  # of the body's size: a heading this large may end in a full stop
_STOPS = ".,;\u3002"
_MAX_BOLD_CHARS = 100
_MOST_BLANK_LINES = 3


def finish(draft: Draft, number: int, vocabulary: Vocabulary, body: float) -> Block:
    """Returns the block of a draft.

    Args:
        number: Of the page that it begins on.
        body: The font size of the running text, in points.
    """
    if draft.grid is not None:
        grid = draft.grid
        return Block(
            number,
            "table",
            table_markdown(grid.rows, grid.spans, grid.header_rows),
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
    latex = draft.lines[0].latex
    return Block(number, draft.kind, text, box, level, None, size, latex=latex)


def plain_block(draft: Draft, number: int) -> Block:
    """Returns a block with only the text of a draft; the fallback if `finish` fails."""
    rows = draft.grid.rows if draft.grid else [[line.text] for line in draft.lines]
    text = "\n".join(" ".join(row) for row in rows)
    boxes = [draft.grid.bbox] if draft.grid else [(o.x0, o.y0, o.x1, o.y1) for o in draft.lines]
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return Block(number, "paragraph", text, (min(x0), min(y0), max(x1), max(y1)))


def _is_sentence(text: str, line: Line, body: float) -> bool:
    """Returns whether bold or large text is a sentence, not a heading."""
    number = NUMBERED.match(text)
    title = text[number.end() - 1 :] if number else text
    if len(text) > _MAX_BOLD_CHARS:
        return text[-1:] in _STOPS or ". " in title
    if text[-1:] not in _STOPS:
        return False
    return line.size <= _TITLE_SIZE * body and (number is None or title[0].islower())


def _box_of(lines: list[Line]) -> BBox:
    """Returns the box of a block's lines, up to where it continues in another column or page."""
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
    """Returns the lines of code with their indentation and blank lines."""
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
