"""Detects displayed formulas by their symbols, fonts and indentation."""

import re

from doctune.documents import fonts
from doctune.documents.lines import Line

# Relations, arrows and large operators. Plus, minus and cross are common in text, too.
_SIGN = re.compile(
    "[=\u2190-\u2211\u2213-\u2216\u2218-\u223b\u223d-\u22ff\u27e8\u27e9\u2a00-\u2aff"
    "\U0001d400-\U0001d7ff]"
)
_WORD = re.compile(r"[^\W\d_]{4,}")
_SHORT_WORD = re.compile(r"[^\W\d_]{3,}")
_NAMES = frozenset({"argmax", "argmin", "cosh", "otherwise", "sinh", "tanh", "where", "with"})
_NUMBER = re.compile(r"\(\d{1,3}(?:\.\d{1,3}){0,2}[a-z]?\)$")
_MAX_CHARS = 160
_MAX_WORD_SHARE = 0.2  # of the characters
_PART_CHARS = 12
_INDENT = 1.5  # em
_COLUMN_GAP = 3.0


def is_formula(line: Line, before: Line | None) -> bool:
    """Returns whether a line is a displayed formula.

    Args:
        before: The line before it in reading order.
    """
    text = line.text
    if not 3 <= len(text) <= _MAX_CHARS or text[0] in ".,;":
        return False
    if not _SIGN.search(text) and not (line.font & fonts.MATH and len(text) > 4):
        return False
    in_words = sum(len(word) for word in _WORD.findall(text) if word.lower() not in _NAMES)
    if in_words > _MAX_WORD_SHARE * len(text):
        return False
    if _NUMBER.search(text) and len(text) > 8:
        return True
    if before is None:
        return True
    # A line of a paragraph may be only mathematics, too, but is not indented.
    beside = line.y0 < before.y1 - 0.5 * line.size and line.y1 > before.y0
    if beside and line.x0 < before.x1 + _COLUMN_GAP * line.size:
        return False
    return line.x0 > before.x0 + _INDENT * line.size or line.x0 > before.x1


def is_part_of_formula(line: Line) -> bool:
    """Returns whether a line next to a formula is part of it, such as a limit or a numerator."""
    return len(line.text) <= _PART_CHARS and not _SHORT_WORD.search(line.text)
