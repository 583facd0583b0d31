"""Joins letter-spaced text, which PDFium extracts as words of one letter.

Titles are letter-spaced for looks, and listings set a proportional font in columns of equal width.
The gaps between words are much wider than those within words. A space within a word is replaced by
a zero-width space, so that positions stay valid; `clean_text` drops it.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from doctune.documents import fonts
from doctune.documents.characters import NOTHING
from doctune.documents.glyphs import replace_text
from doctune.documents.lines import Line, PageText

# Without ideographs and Hangul, which have words of one or two characters.
_LETTERS = re.compile(r"(?<!\S)[^\W\d_\u1100-\uffff]{1,2}(?!\S)")
_WIDE = re.compile("[\u1100-\u11ff\u2e80-\uffef]")
_LEAST_LETTERS, _LEAST_SHARE = 4, 0.4  # of the words
_MOST_CHARS = 4  # per space: in all languages with spaces, words are longer on average
_LONGEST_MEAN = 14  # characters: a higher mean shows that whole words were joined
_WIDEST_IN_WORD = 0.21  # em, between two letters of a word: no real space is narrower
_LEAST_JUMP = 1.6  # from the widest gap within words to the narrowest between them
_LEAST_GAPS = 4
_SLACK = 1.1
_SAME_SIZE = 0.2  # points
_NEAR = 1.2  # em, between the lines of one listing


def fix_letter_spacing(lines: Sequence[Line], text: PageText) -> None:
    """Joins the letters of letter-spaced words.

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
            _join_around(lines, index, widest * _SLACK, text)


def _gaps(line: Line, text: PageText) -> list[float]:
    """Returns the gaps between the words of a line, in em."""
    return [(b.x0 - a.x1) / line.size for a, b in pairwise(text.words(line))]


def _widest_in_word(gaps: list[float]) -> float:
    """Returns the widest gap within a word; 0 if the gaps do not form two groups."""
    gaps = sorted(gaps)
    if len(gaps) < _LEAST_GAPS or not 0.0 < gaps[0] <= _WIDEST_IN_WORD:
        return 0.0
    jumps = [(b / a, a) for a, b in pairwise(gaps) if a <= _WIDEST_IN_WORD]
    jump, widest = max(jumps, default=(0.0, 0.0))
    if jump >= _LEAST_JUMP:
        return widest
    # A title of one word has only gaps within the word.
    return gaps[-1] if gaps[-1] <= _WIDEST_IN_WORD else 0.0


def _join_around(lines: Sequence[Line], index: int, widest: float, text: PageText) -> None:
    """Fixes a line, and the lines above and below with the same style."""
    _join_letters(lines[index], widest, text)
    for step in (-1, 1):
        last, place = lines[index], index + step
        while 0 <= place < len(lines) and _is_set_alike(last, lines[place]):
            last = lines[place]
            _join_letters(last, widest, text)
            place += step


def _is_set_alike(line: Line, other: Line) -> bool:
    gap = max(line.y0 - other.y1, other.y0 - line.y1)
    same_style = line.font == other.font and abs(line.size - other.size) < _SAME_SIZE
    return same_style and gap < _NEAR * line.size and not other.turn


def _join_letters(line: Line, widest: float, text: PageText) -> None:
    words = text.words(line)
    if _WIDE.search(line.text):
        return
    start = line.spans[0][1]
    chars = list(line.text)
    for one, other in pairwise(words):
        if other.x0 - one.x1 <= widest * line.size:
            chars[other.position - start - 1] = NOTHING
    replaced = "".join(chars)
    if len(replaced) <= _LONGEST_MEAN * (replaced.count(" ") + 1):
        replace_text(line, replaced)
