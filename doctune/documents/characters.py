"""Where characters stand, and in what size and font: what PDFium's text page is asked for.

`measure_lines` and `find_words` are asked for every line of a page. They are taken from _native.c
where it was compiled.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from doctune.documents import foreign, native
from doctune.documents.geometry import PageSpace
from doctune.documents.model import BBox

_WORD = re.compile(r"\S+")
ROW_STEP = 0.9  # of a line's height: more is no subscript but another row
# A box this much lower or higher than the font's size tells that the text is scaled.
_LEAST_HEIGHT, _MOST_HEIGHT = 0.7, 1.9

# Left, top, right, bottom, size in points; quarter turns clockwise; whether it goes on in another
# row; the fonts of its first and last character, as PDFium's handles.
Measure = tuple[float, float, float, float, float, int, int, int, int]


class Word(NamedTuple):
    """A word and its box on the page as it is shown."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    position: int  # of its first character in PDFium's text


class Characters:
    """The characters of a page as it is shown.

    Args:
        handle: The address of PDFium's text page.
        maps: Whether PDFium leaves characters out of the text, so that positions in it are not
            those of characters.
    """

    def __init__(self, handle: int, maps: bool, space: PageSpace) -> None:
        self._handle, self._maps, self._space = handle, maps, space
        self._box, self._matrix = foreign.Floats(4), foreign.Floats(6)

    def measure_lines(self, spans: list[tuple[int, int]]) -> Sequence[Measure | None]:
        """The boxes, sizes and fonts of lines; None for one that PDFium does not know.

        Args:
            spans: Position in the text and number of characters of each line.
        """
        if native.module:
            return native.module.measure_lines(self._handle, self._maps, self._space, spans)
        return [self._measure(position, length) for position, length in spans]

    def find_words(self, spans: list[tuple[str, int]]) -> list[Word]:
        """The words of pieces of text, each with the box around its first and last character.

        Args:
            spans: Text and its position of each piece.
        """
        if native.module:
            return native.module.find_words(self._handle, self._maps, self._space, spans, Word)
        return [
            Word(
                found.group(),
                *self._word_box(position + found.start(), found),
                position + found.start(),
            )
            for text, position in spans
            for found in _WORD.finditer(text)
        ]

    def box(self, position: int) -> BBox:
        """The box of the character at a position of the text."""
        index = self.index(position)
        return self._box_at(index) if index >= 0 else (0.0, 0.0, 0.0, 0.0)

    def index(self, position: int) -> int:
        """The character at a position of the text; less than 0 if there is none."""
        return foreign.char_index(self._handle, position) if self._maps else position

    def font(self, position: int) -> int:
        """PDFium's font of the character at a position of the text; 0 if there is none."""
        index = self.index(position)
        return self._font_at(index) if index >= 0 else 0

    def _word_box(self, position: int, word: re.Match[str]) -> BBox:
        x0, y0, x1, y1 = self.box(position)
        length = word.end() - word.start()
        if length > 1:
            ex0, ey0, ex1, ey1 = self.box(position + length - 1)
            return min(x0, ex0), min(y0, ey0), max(x1, ex1), max(y1, ey1)
        return x0, y0, x1, y1

    def _measure(self, position: int, length: int) -> Measure | None:
        first, last = self.index(position), self.index(position + length - 1)
        if first < 0 or last < first:
            return None
        x0, y0, x1, y1 = self._box_at(first)
        height, turn, broken = y1 - y0, 0, 0
        if last != first:
            ex0, ey0, ex1, ey1 = self._box_at(last)
            rise = ey0 - y0
            # Nearly all lines end at the height that they begin at.
            if abs(rise) > 0.5:
                if abs(rise) > 2 * max(1.0, height) and abs(ex0 - x0) < 2 * (x1 - x0) + 1:
                    turn = 1 if rise > 0 else 3
                    height = x1 - x0
                    y0, y1 = min(y0, ey0), max(y1, ey1)
                elif abs(rise) > ROW_STEP * height:
                    broken = 1
            x0, x1 = min(x0, ex0), max(x1, ex1)
        size = foreign.char_size(self._handle, first)
        if not _LEAST_HEIGHT * size < height < _MOST_HEIGHT * size:
            matrix = self._matrix
            if foreign.char_matrix(self._handle, first, matrix.address):
                _, _, c, d, _, _ = matrix.read()
                size *= math.sqrt(c * c + d * d)
        return x0, y0, x1, y1, size, turn, broken, self._font_at(first), self._font_at(last)

    def _box_at(self, index: int) -> BBox:
        foreign.char_box(self._handle, index, self._box.address)
        left, top, right, bottom = self._box.read()
        return self._space.box(left, bottom, right, top)

    def _font_at(self, index: int) -> int:
        item = foreign.char_object(self._handle, index)
        return (foreign.object_font(item) or 0) if item else 0
