"""Positions, sizes and fonts of characters, from PDFium's text page.

`read_lines` and `find_words` run on every page, so _native.c implements them too; it is used where
it was compiled.
"""

import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from doctune.documents import foreign, native
from doctune.documents.geometry import PageSpace
from doctune.documents.model import BBox

# A line ends at a line break or at a hyphen that PDFium found to break a word (U+FFFE).
_LINE = re.compile("[^\r\n\x02\ufffe]+[\x02\ufffe]?|[\x02\ufffe]")
_HYPHENS = "\x02\ufffe"
_WORD = re.compile(r"\S+")
ROW_STEP = 0.9  # of a line's height: a larger vertical step is another row, not a subscript
# A box whose height is outside these multiples of the font's size means that the text is scaled.
_LEAST_HEIGHT, _MOST_HEIGHT = 0.7, 1.9

# A line: its stripped text, the position of its first character, whether it ends in a hyphen that
# breaks a word; left, top, right, bottom, size in points; quarter turns clockwise; whether it
# continues in another row; the font handles of its first and last character.
Reading = tuple[str, int, bool, float, float, float, float, float, int, bool, int, int]

# A character: itself, the box of its ink, its baseline and size in points, its font handle.
Ink = tuple[str, float, float, float, float, float, float, int]
# PDFium fills these; they are read at once, and PDFium has one thread.
_BOX, _MATRIX = foreign.Floats(4), foreign.Floats(6)
_EDGES, _ORIGIN = foreign.Doubles(4), foreign.Doubles(2)

NOTHING = "\u200b"  # stands for a character that was dropped


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
        doubled: Positions of characters beyond U+FFFF, each of which PDFium counts as two.
    """

    def __init__(
        self, handle: int, maps: bool, space: PageSpace, doubled: Sequence[int] = ()
    ) -> None:
        self._handle, self._maps, self._space, self._doubled = handle, maps, space, doubled
        # The compiled functions know nothing of doubled characters, which are rare.
        self._native = None if doubled else native.module
        self._box, self._matrix = _BOX, _MATRIX
        self._edges, self._origin = _EDGES, _ORIGIN

    def read_lines(self, text: str) -> list[Reading]:
        """Returns the visible lines of the text whose position PDFium knows."""
        if self._native:
            return self._native.read_lines(self._handle, self._maps, self._space, text)
        lines = []
        for match in _LINE.finditer(text):
            body, start = match.group(), match.start()
            hyphen = body[-1] in _HYPHENS
            if hyphen:
                body = body[:-1] + "-"
            stripped = body.strip()
            start += len(body) - len(body.lstrip())
            line = self.measure(stripped, start, hyphen) if stripped else None
            if line:
                lines.append(line)
        return lines

    def find_words(self, spans: list[tuple[str, int]]) -> list[Word]:
        """Returns the words of pieces of text, each with the box around its characters.

        Args:
            spans: The text and the position of each piece.
        """
        if self._native:
            return self._native.find_words(self._handle, self._maps, self._space, spans, Word)
        return [
            Word(
                found.group(),
                *self._word_box(position + found.start(), found),
                position + found.start(),
            )
            for text, position in spans
            for found in _WORD.finditer(text)
        ]

    def read_inks(self, spans: list[tuple[str, int]]) -> list[Ink]:
        """Returns the characters of pieces of text, without white space."""
        if self._native and hasattr(self._native, "read_inks"):
            return self._native.read_inks(self._handle, self._maps, self._space, spans)
        found = []
        last, font, size = 0, 0, 0.0
        for part, start in spans:
            for position, char in enumerate(part, start):
                if char.isspace() or char == NOTHING:
                    continue
                index = self.index(position)
                item = (foreign.char_object(self._handle, index) or 0) if index >= 0 else 0
                if not item or item != last:
                    last, font, size = item, self.font(position), self.em(position)
                box, base = self.ink(position)
                found.append((char, *box, base, size, font))
        return found

    def fonts(self, positions: list[int]) -> list[int]:
        """Returns the font handle at each position of the text."""
        if self._native and hasattr(self._native, "read_fonts"):
            return self._native.read_fonts(self._handle, self._maps, positions)
        return [self.font(position) for position in positions]

    def styles(self, positions: list[int]) -> list[int]:
        """Returns how the characters at positions are painted: bits of INVISIBLE and WHITE."""
        if self._native and hasattr(self._native, "read_styles"):
            return self._native.read_styles(self._handle, self._maps, positions)
        return [self._style(self.index(position)) for position in positions]

    def _style(self, index: int) -> int:
        item = foreign.char_object(self._handle, index) if index >= 0 else 0
        return foreign.style_of(item) if item else 0

    def box(self, position: int) -> BBox:
        """Returns the box of the character at a position of the text."""
        index = self.index(position)
        return self._box_at(index) if index >= 0 else (0.0, 0.0, 0.0, 0.0)

    def index(self, position: int) -> int:
        """Returns the character index of a position of the text; negative if there is none."""
        if self._doubled:
            position += bisect_left(self._doubled, position)
        return foreign.char_index(self._handle, position) if self._maps else position

    def font(self, position: int) -> int:
        """Returns PDFium's font handle at a position of the text; 0 if there is none."""
        index = self.index(position)
        return self._font_at(index) if index >= 0 else 0

    def _word_box(self, position: int, word: re.Match[str]) -> BBox:
        x0, y0, x1, y1 = self.box(position)
        length = word.end() - word.start()
        if length > 1:
            ex0, ey0, ex1, ey1 = self.box(position + length - 1)
            return min(x0, ex0), min(y0, ey0), max(x1, ex1), max(y1, ey1)
        return x0, y0, x1, y1

    def measure(self, text: str, position: int, hyphen: bool) -> Reading | None:
        """Measures the line at a position; None if PDFium does not know where it is."""
        marker = _marker_length(text)
        first, last = self.index(position + marker), self.index(position + len(text) - 1)
        if first < 0 or last < first:
            return None
        x0, y0, x1, y1 = self._box_at(first)
        height, turn, broken = y1 - y0, 0, False
        if last != first:
            ex0, ey0, ex1, ey1 = self._box_at(last)
            rise = ey0 - y0
            # Nearly all lines begin and end at the same height.
            if abs(rise) > 0.5:
                if abs(rise) > 2 * max(1.0, height) and abs(ex0 - x0) < 2 * (x1 - x0) + 1:
                    turn = 1 if rise > 0 else 3
                    height = x1 - x0
                    y0, y1 = min(y0, ey0), max(y1, ey1)
                else:
                    broken = abs(rise) > ROW_STEP * height
            x0, x1 = min(x0, ex0), max(x1, ex1)
        if marker:
            x0 = min(x0, self.box(position)[0])
        size = self._size(first, height)
        ends = self._font_at(first), self._font_at(last)
        return text, position, hyphen, x0, y0, x1, y1, size, turn, broken, *ends

    def _size(self, index: int, height: float) -> float:
        """Returns the font size in points of a character with a given box height."""
        size = foreign.char_size(self._handle, index)
        if _LEAST_HEIGHT * size < height < _MOST_HEIGHT * size:
            return size
        if not foreign.char_matrix(self._handle, index, self._matrix.address):
            return size
        _, _, c, d, _, _ = self._matrix.read()
        return size * math.sqrt(c * c + d * d)

    def ink(self, position: int) -> tuple[BBox, float]:
        """Returns the box around the ink of a character, and its baseline."""
        index = self.index(position)
        edges, origin = self._edges, self._origin
        if index < 0 or not foreign.char_ink(self._handle, index, *edges.addresses):
            return (0.0, 0.0, 0.0, 0.0), 0.0
        left, right, bottom, top = edges.read()
        foreign.char_origin(self._handle, index, *origin.addresses)
        x, y = origin.read()
        base = self._space.box(x, y, x, y)[3]
        return self._space.box(left, bottom, right, top), base

    def em(self, position: int) -> float:
        """Returns the font size in points, with all scaling, at a position of the text."""
        index = self.index(position)
        if index < 0 or not foreign.char_matrix(self._handle, index, self._matrix.address):
            return 0.0
        _, _, c, d, _, _ = self._matrix.read()
        return float(foreign.char_size(self._handle, index)) * math.hypot(c, d)

    def _box_at(self, index: int) -> BBox:
        foreign.char_box(self._handle, index, self._box.address)
        left, top, right, bottom = self._box.read()
        return self._space.box(left, bottom, right, top)

    def _font_at(self, index: int) -> int:
        item = foreign.char_object(self._handle, index)
        return (foreign.object_font(item) or 0) if item else 0


def _marker_length(text: str) -> int:
    """Returns the length of a bullet, which may be small, and spaces before a line's text."""
    if len(text) < 3 or text[0].isalnum() or not text[1].isspace():
        return 0
    return len(text) - len(text[1:].lstrip())
