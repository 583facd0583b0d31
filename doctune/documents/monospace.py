"""Decides which lines in a monospaced font are code, and which are typed or scanned prose.

The font alone is not enough: letters and court papers are typed, and the text layers of scans use
one monospaced font for everything. Symbols, words and line lengths decide.
"""

import re
from collections.abc import Sequence

from doctune.documents import fonts
from doctune.documents.language import detect_language
from doctune.documents.lines import Line

_LEAST_LINES = 3  # of prose: fewer may be a comment or a message
_SIGNS = re.compile(r"[{}\[\];=<>\\_|$#&@^~`]|\(\)|->|::|//|--|/\w+/")
_WORD = re.compile(r"[^\W\d_]+")
# Line ends and beginnings that are common in code and rare in prose.
_CODE_LINE = re.compile(
    r"[;{}]$|^\s*(?:[$>#%]\s|//|/\*|\*/|--\w|@\w|def |class |return\b|import |from \w+ import|"
    r"if \(|for \(|while \(|else\b|end$|fi$|done$|\w+\s*=\s*\S|\w+\()"
)
_MOST_CODE_LINES = 0.25
_MOST_SIGNS = 0.06  # for each character
_LEAST_WORDS = 0.7  # of the characters other than spaces are in words
_LEAST_PER_LINE = 4.0  # words
_LEAST_LOWER = 0.5  # of the words
_NEAR = 3.0  # em


def unmark_prose(lines: Sequence[Line]) -> None:
    """Removes the style MONO from lines that are prose.

    Args:
        lines: Of one page, in the file's order.
    """
    run: list[Line] = []
    for line in lines:
        if line.font & fonts.MONO and (not run or _follows(line, run[-1])):
            run.append(line)
        else:
            _unmark(run)
            run = [line] if line.font & fonts.MONO else []
    _unmark(run)


def _follows(line: Line, last: Line) -> bool:
    return abs(line.y0 - last.y1) < _NEAR * line.size


def _unmark(run: Sequence[Line]) -> None:
    if len(run) >= _LEAST_LINES and is_prose([line.text for line in run]):
        for line in run:
            line.font &= ~fonts.MONO


def is_prose(lines: Sequence[str]) -> bool:
    """Returns whether lines are prose, not code, terminal output or a table of codes."""
    text = " ".join(lines)
    words = _WORD.findall(text)
    if len(words) < _LEAST_PER_LINE * len(lines):
        return False
    solid = len(text.replace(" ", ""))
    coded = sum(1 for line in lines if _CODE_LINE.search(line))
    lower = sum(1 for word in words if word.islower())
    return (
        coded <= _MOST_CODE_LINES * len(lines)
        and len(_SIGNS.findall(text)) <= _MOST_SIGNS * solid
        and sum(map(len, words)) >= _LEAST_WORDS * solid
        and lower >= _LEAST_LOWER * len(words)
        # Program output has words, but few of the short ones that sentences need.
        and detect_language(text) != ""
    )
