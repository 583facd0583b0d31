"""Letter-spaced text: letters set apart come out as words of one letter each.

Titles are spaced out for looks, and listings put a proportional font into columns of one width. The
gaps tell words from letters: those between words are wider by far than any within one. What stood
for a space between letters becomes a zero-width space, so that positions hold; `clean_text` drops
it.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from doctune.documents import fonts
from doctune.documents.glyphs import NOTHING, replace_text
from doctune.documents.lines import Line, PageText

# Ideographs and Hangul are words of one or two characters by nature.
_LETTERS = re.compile(r"(?<!\S)[^\W\d_\u1100-\uffff]{1,2}(?!\S)")
_WIDE = re.compile("[\u1100-\u11ff\u2e80-\uffef]")
_LEAST_LETTERS, _LEAST_SHARE = 4, 0.4  # of the words
_MOST_CHARS = 4  # for each space: words are longer than that in any language that sets spaces
_LONGEST_MEAN = 14  # characters: longer words were made of whole ones
_WIDEST_IN_WORD = 0.21  # em, between two letters of a word: no space that was meant is narrower
_LEAST_JUMP = 1.6  # from the widest gap within words to the narrowest between them
_LEAST_GAPS = 4
_SLACK = 1.1
_SAME_SIZE = 0.2  # points
_NEAR = 1.2  # em, between the lines of one listing


def mend_spacing(lines: Sequence[Line], text: PageText) -> None:
    """Puts the letters of words that were set apart together again.

    Args:
        lines: Of one page, in the file's order.
    """
    for index, line in enumerate(lines):
        found = line.text
        if _MOST_CHARS * found.count(" ") < len(found) or line.font & fonts.MATH or line.turn:
            continue
        letters = len(_LETTERS.findall(found))
        if letters < max(_LEAST_LETTERS, _LEAST_SHARE * len(found.split())) or _WIDE.search(found):
            continue
        widest = _widest_in_word(_gaps(line, text))
        if widest:
            _mend_around(lines, index, widest * _SLACK, text)


def _gaps(line: Line, text: PageText) -> list[float]:
    """The gaps between the words of a line, in em."""
    return [(b.x0 - a.x1) / line.size for a, b in pairwise(text.words(line))]


def _widest_in_word(gaps: list[float]) -> float:
    """The widest gap that is within a word; 0 where gaps do not fall into two kinds."""
    gaps = sorted(gaps)
    if len(gaps) < _LEAST_GAPS or not 0.0 < gaps[0] <= _WIDEST_IN_WORD:
        return 0.0
    jumps = [(b / a, a) for a, b in pairwise(gaps) if a <= _WIDEST_IN_WORD]
    jump, widest = max(jumps, default=(0.0, 0.0))
    if jump >= _LEAST_JUMP:
        return widest
    # A title of one word has gaps of one kind.
    return gaps[-1] if gaps[-1] <= _WIDEST_IN_WORD else 0.0


def _mend_around(lines: Sequence[Line], index: int, widest: float, text: PageText) -> None:
    """Mends a line and those above and below that are set as it is."""
    _mend(lines[index], widest, text)
    for step in (-1, 1):
        last, place = lines[index], index + step
        while 0 <= place < len(lines) and _is_set_alike(last, lines[place]):
            last = lines[place]
            _mend(last, widest, text)
            place += step


def _is_set_alike(line: Line, other: Line) -> bool:
    gap = max(line.y0 - other.y1, other.y0 - line.y1)
    same_style = line.font == other.font and abs(line.size - other.size) < _SAME_SIZE
    return same_style and gap < _NEAR * line.size and not other.turn


def _mend(line: Line, widest: float, text: PageText) -> None:
    words = text.words(line)
    if _WIDE.search(line.text):
        return
    start = line.spans[0][1]
    chars = list(line.text)
    for one, other in pairwise(words):
        if other.x0 - one.x1 <= widest * line.size:
            chars[other.position - start - 1] = NOTHING
    mended = "".join(chars)
    if len(mended) <= _LONGEST_MEAN * (mended.count(" ") + 1):
        replace_text(line, mended)
