"""Separates the labels of a drawing or image from text that is placed on it.

Cards, slides, call-outs, brochures and newsletters place text on graphics. Labels are short and
scattered; text continues from line to line, in sentences or list items, with headings above.
"""

import re
from collections.abc import Sequence
from statistics import median

from doctune.documents.lines import Line
from doctune.documents.paragraphs import BULLET

_WORD = re.compile(r"[^\W\d_]{2,}")
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]")
_LOWER_WORD = re.compile(r"(?<![^\W\d_])[^\W\d_A-Z]{2,}")
_TEXT_CHARS = 45  # a line this long is text
_STACK_CHARS, _STACK_WORDS = 28, 4.0  # of a line of a paragraph, on average
_SENTENCE_CHARS = 25
_WIDE_CHARS = 14  # ideographs of a line of text
_TEXT_SHARE = 0.5  # of a region's characters: above it, the region is a frame around text
_LEAST_SENTENCES = 90  # characters of a paragraph that stays text in a figure
_SAME_SIZE = 0.6  # points
_NEXT = 0.9  # em, between the lines of a paragraph
_OF_TITLE = 1.15  # of the page's usual size
_FEW = 3  # lines on a picture that may be a title
_LEAST_ITEMS = 2


def labels_among(inside: Sequence[Line], page: Sequence[Line]) -> list[Line]:
    """Returns the lines within a drawing that are its labels.

    Args:
        inside: The lines within it.
        page: All lines of the page.
    """
    stacks = _stacks([line for line in inside if not line.turn])
    text = [stack for stack in stacks if _is_text(stack)]
    items = [stack for stack in stacks if BULLET.match(stack[0].text) and _has_words(stack)]
    if len(items) >= _LEAST_ITEMS:
        text += [stack for stack in items if stack not in text]
    chars = sum(len(line.text) for line in inside)
    if sum(len(line.text) for stack in text for line in stack) >= _TEXT_SHARE * chars:
        return [line for line in inside if line.turn]
    if len(inside) <= _FEW and _is_title(inside, page):
        return []
    kept = {
        id(line)
        for stack in text
        if sum(len(line.text) for line in stack) >= _LEAST_SENTENCES
        for line in stack
    }
    return [line for line in inside if id(line) not in kept]


def _stacks(lines: Sequence[Line]) -> list[list[Line]]:
    """Groups lines that follow each other like those of a paragraph, flush or centred."""
    stacks: list[list[Line]] = []
    for line in lines:
        for stack in stacks[-3:][::-1]:
            if _follows(stack[-1], line) and not BULLET.match(line.text):
                stack.append(line)
                break
        else:
            stacks.append([line])
    return stacks


def _follows(last: Line, line: Line) -> bool:
    if abs(last.size - line.size) > _SAME_SIZE:
        return False
    em = max(line.size, 4.0)
    flush = abs(last.x0 - line.x0) < em or abs(last.x0 + last.x1 - line.x0 - line.x1) < 2 * em
    hangs = last.x0 < line.x0 < last.x0 + 3 * em and BULLET.match(last.text) is not None
    return (flush or hangs) and -0.4 * em < line.y0 - last.y1 < _NEXT * em


def _is_text(stack: Sequence[Line]) -> bool:
    whole = " ".join(line.text for line in stack)
    if len(_WIDE.findall(whole)) >= _WIDE_CHARS * min(2, len(stack)):
        return True
    if not _has_words(stack):
        return False
    words = len(_WORD.findall(whole))
    ends = whole[-1] in ".!?:" and len(whole) >= _SENTENCE_CHARS
    if ends and words >= _STACK_WORDS:
        return True
    if len(stack) == 1:
        return len(whole) >= _TEXT_CHARS
    longest = max(len(line.text) for line in stack)
    return longest >= _STACK_CHARS and words >= _STACK_WORDS * (len(stack) - 1)


def _has_words(stack: Sequence[Line]) -> bool:
    """Returns whether lines have lower-case words and mostly letters, unlike numbers and codes."""
    whole = " ".join(line.text for line in stack)
    letters = sum(len(word) for word in _WORD.findall(whole))
    solid = len(whole.replace(" ", ""))
    return letters >= 0.6 * solid and _LOWER_WORD.search(whole) is not None


def _is_title(inside: Sequence[Line], page: Sequence[Line]) -> bool:
    """Returns whether lines are a title on an image: a few large words."""
    usual = median(line.size for line in page)
    return all(
        line.size > _OF_TITLE * usual and not line.turn and _WORD.search(line.text)
        for line in inside
    )
