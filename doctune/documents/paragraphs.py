"""Decides which lines continue a paragraph or list item."""

import re
from collections.abc import Sequence

from doctune.documents.hyphens import breaks_word
from doctune.documents.lines import Line
from doctune.documents.words import is_leftward

BULLET = re.compile(
    r"^(?:[\u2022\u25cf\u25aa\u25e6\u25a0\u25cb\u2023\u2043\u2013\u2014*\u00b7\u27a2\u25b6\u25ba\u2713\u2714\u2756\uf076\uf0a7\uf0b7\uf0d8-]"
    r"|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)](?!\s+[A-Z]\.)|\(?[ivx]{1,4}[.)])\s+\S"
)
# The number of a heading.
NUMBERED = re.compile(r"^(?:\d{1,3}(?:\.\d{1,3}){0,5}\.?|[A-Z](?:\.\d{1,3}){1,5}|[IVX]+\.)\s+\S")
SENTENCE_ENDS = ".:!?;\u3002\uff1a"
# May begin an item, or continue a sentence.
_WRAPPED = re.compile(r"^\(?(?:\d{1,3}|[a-zA-Z])[.)]\s+\S")
_MOST_HANGING, _HANGING_SLACK = 3.0, 2.5  # em
_INITIAL = re.compile(r"\b[A-Z]\.$")


def is_wrapped(kind: str, lines: Sequence[Line], line: Line, gap: float, em: float) -> bool:
    """Returns whether a line that looks like a list item continues a sentence.

    It does if the line above is full, ends within a sentence and begins at the same position.
    """
    last = lines[-1]
    if kind not in ("paragraph", "list") or not _WRAPPED.match(line.text):
        return False
    # The first line of an item begins with its number; the other lines are indented.
    if kind == "paragraph":
        aligned = abs(line.x0 - last.x0) < 2 or (line.x0 > last.x0 + em and _hangs(last, line))
    else:
        aligned = line.x0 > last.x0 + 0.8 * em
    if kind == "list" and len(lines) > 1:
        aligned = abs(line.x0 - last.x0) < 2
    full = last.x1 > max(other.x1 for other in lines) - 4 * em
    return aligned and full and _is_open(last.text) and gap < 0.6 * em


def continues(last: Line, line: Line, em: float, gap: float, same_size: bool) -> bool:
    """Returns whether a line continues the paragraph or list item of `last`."""
    lower = line.text[:1].islower()
    if last.hyphen and lower:
        return True
    x0, x1 = line.x0, line.x1
    if is_leftward(line.text) and is_leftward(last.text):
        return _continues_leftward(last, line, em, gap, same_size)
    if x0 >= last.x1 - 2 and abs(line.y0 - last.y0) < 0.5 * max(1.0, line.y1 - line.y0):
        return True
    if same_size and -0.6 * em - 1 < gap < 0.6 * em and x1 > last.x0 and x0 < last.x1:
        if x0 >= last.x0 + em and BULLET.match(last.text) is None:
            return _hangs(last, line)
        return last.x1 > x1 - 0.35 * (last.x1 - last.x0 + 1) - 20
    return line.y0 < last.y0 and resumes(last, line)


def _continues_leftward(last: Line, line: Line, em: float, gap: float, same_size: bool) -> bool:
    if line.y0 < last.y0:
        return resumes(last, line)
    flush = line.x1 > last.x1 - em or BULLET.match(last.text) is not None
    full = last.x0 < line.x0 + 0.35 * (last.x1 - last.x0 + 1) + 20
    return same_size and -0.6 * em - 1 < gap < 0.6 * em and line.x0 < last.x1 and flush and full


def resumes(last: Line, line: Line) -> bool:
    """Returns whether a line resumes running text after a column break, page break or float."""
    if abs(line.size - last.size) >= 0.6 or last.text[-1:] in SENTENCE_ENDS:
        return False
    first = line.text[0]
    return first.islower() or first.isdigit() or (breaks_word(last.text) and first.isalpha())


def _hangs(last: Line, line: Line) -> bool:
    """Returns whether a line is in a hanging indent, not the first line of a paragraph."""
    return (
        _is_open(last.text)
        and line.x0 < last.x0 + _MOST_HANGING * line.size
        and last.x1 > line.x1 - _HANGING_SLACK * line.size
    )


def _is_open(text: str) -> bool:
    """Returns whether a line ends within a sentence; an initial's full stop does not end one."""
    return text[-1:] not in SENTENCE_ENDS or _INITIAL.search(text[-3:]) is not None
