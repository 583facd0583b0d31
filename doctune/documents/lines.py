"""The lines of a page: text, box, size and style, from PDFium's text page.

One call a page gives the text; boxes and fonts are asked for only at the first and last character
of each line. That is what makes it fast: a handful of foreign calls a line instead of three a
character. Boxes of words are asked for where a table or a gap between columns may be.
"""

import ctypes
import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from doctune.documents import fonts, foreign
from doctune.documents.foreign import char_box, char_object, char_size, object_font
from doctune.documents.geometry import PageSpace
from doctune.documents.model import BBox

# A line ends at a line break or at a hyphen that PDFium found to break a word (U+FFFE).
_LINE = re.compile("[^\r\n\x02\ufffe]+[\x02\ufffe]?|[\x02\ufffe]")
_HYPHENS = "\x02\ufffe"
_WORD = re.compile(r"\S+")
# A bullet or number that stands alone is followed by its item, a tab further on.
_MARKER = re.compile(r"^(?:[^\w\s(]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)])$")
_FRAGMENT_GAP, _MARKER_GAP = 1.2, 4.0  # em
_OVERLAP_GAP, _PRIME_GAP = -0.35, -1.0
_ROW_STEP = 0.9  # of a line's height: more is no subscript but another row
_WATERMARK_SIZE = 24.0  # points: smaller slanted text may be the head of a column
_LEAST_SLANT = 0.1  # radians
_BROKEN = "broken"
# A box this much lower or higher than the font's size tells that the text is scaled.
_LEAST_HEIGHT, _MOST_HEIGHT = 0.7, 1.9


class Word(NamedTuple):
    """A word and its box on the page as it is shown."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    position: int  # of its first character in PDFium's text


class Line:
    """A line, or a piece of one; boxes are from the top left corner of the page as it is shown.

    Attributes:
        hyphen: Whether PDFium found that its last hyphen breaks a word.
        spans: The pieces that it was put together from: text, and position in PDFium's text.
        turn: 0 for text that runs to the right, 1 down, 3 up (quarter turns clockwise).
        kind: What it was found to be; "" for running text.
    """

    __slots__ = (
        "font",
        "hyphen",
        "kind",
        "size",
        "spans",
        "text",
        "turn",
        "x0",
        "x1",
        "y0",
        "y1",
    )

    def __init__(self, text: str, position: int, hyphen: bool) -> None:
        self.text = text
        self.spans = [(text, position)]
        self.hyphen = hyphen
        self.kind = ""
        self.turn = 0
        self.font = fonts.PLAIN
        self.size = self.x0 = self.y0 = self.x1 = self.y1 = 0.0

    @property
    def bold(self) -> bool:
        return bool(self.font & fonts.BOLD)

    @property
    def mono(self) -> bool:
        return bool(self.font & fonts.MONO)


class ScannedLine(Line):
    """A line read by OCR.

    Attributes:
        confidence: How sure the reading of its words is, in per cent.
    """

    __slots__ = ("confidence",)

    def __init__(self, text: str, confidence: float) -> None:
        super().__init__(text, 0, False)
        self.confidence = confidence


class PageText:
    """The text page of a PDFium page, read into lines. Use it as a context manager."""

    def __init__(self, page: Any, space: PageSpace) -> None:
        self._text_page = pdfium.FPDFText_LoadPage(page)
        self._handle = foreign.address_of(self._text_page)
        self._space = space
        self._upright, self._left, self._top = space.rotation == 0, space.left, space.top
        self._count = max(0, pdfium.FPDFText_CountChars(self._text_page)) if self._handle else 0
        self._box = foreign.Floats(4)
        self._box_address, self._box_buffer = self._box.address, self._box.buffer
        self._unpack_box = self._box.unpack
        self._matrix = foreign.Floats(6)
        self._fonts: dict[int, int] = {}
        self._to_char: Callable[[int, int], int] | None = None

    def __enter__(self) -> "PageText":
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle:
            pdfium.FPDFText_ClosePage(self._text_page)

    def text(self) -> str:
        """All the text of the page in the file's order, with PDFium's line breaks."""
        if not self._count:
            return ""
        buffer = foreign.room_for_text(self._count + 1)
        written = foreign.page_text(self._handle, 0, self._count, buffer)
        return ctypes.string_at(buffer, 2 * max(0, written - 1)).decode("utf-16-le", "replace")

    def lines(self) -> list[Line]:
        """The lines in the file's order; those without any visible character are left out."""
        text = self.text()
        # Where PDFium leaves characters out of the text, its positions are not those of characters.
        self._to_char = None if len(text) == self._count else foreign.char_index
        lines: list[Line] = []
        for match in _LINE.finditer(text):
            body = match.group()
            start = match.start()
            hyphen = body[-1] in _HYPHENS
            if hyphen:
                body = body[:-1] + "-"
            stripped = body.strip()
            if stripped:
                if body[0] != stripped[0]:
                    start += len(body) - len(body.lstrip())
                line = Line(stripped, start, hyphen)
                if self._measure(line):
                    lines += self._rows(line) if line.kind == _BROKEN else (line,)
        return lines

    def _rows(self, line: Line) -> list[Line]:
        """Splits what PDFium took for one line where it goes on in another row, as in a table."""
        line.kind = ""
        text, start = line.spans[0]
        words = self.words(line)
        if line.size > _WATERMARK_SIZE and self._is_slanted(words[0].position):
            line.kind = "watermark"
            line.x0, line.x1 = min(w.x0 for w in words), max(w.x1 for w in words)
            line.y0, line.y1 = min(w.y0 for w in words), max(w.y1 for w in words)
            return [line]
        begins = [
            other.position
            for one, other in pairwise(words)
            if abs(other.y0 - one.y0) > _ROW_STEP * (one.y1 - one.y0) and other.x0 < one.x1
        ]
        bounds = [start, *begins, start + len(text)]
        rows = []
        for begin, end in pairwise(bounds):
            part = text[begin - start : end - start].rstrip()
            row = Line(part, begin, line.hyphen and end == bounds[-1])
            if part and self._measure(row):
                row.kind = ""
                rows.append(row)
        return rows

    def _is_slanted(self, position: int) -> bool:
        """Tells whether a character stands at an angle other than quarter turns."""
        index = position if self._to_char is None else self._to_char(self._handle, position)
        angle = foreign.char_angle(self._handle, index) % (math.pi / 2)
        return _LEAST_SLANT < angle < math.pi / 2 - _LEAST_SLANT

    def words(self, line: Line) -> list[Word]:
        """The words of a line, each with its box."""
        found = []
        box_at = self._char_box
        for text, position in line.spans:
            for match in _WORD.finditer(text):
                word = match.group()
                begin = position + match.start()
                x0, y0, x1, y1 = box_at(begin)
                if len(word) > 1:
                    ex0, ey0, ex1, ey1 = box_at(begin + len(word) - 1)
                    if ex0 < x0:
                        x0 = ex0
                    if ey0 < y0:
                        y0 = ey0
                    if ex1 > x1:
                        x1 = ex1
                    if ey1 > y1:
                        y1 = ey1
                found.append(Word(word, x0, y0, x1, y1, begin))
        return found

    def letters(self, word: Word) -> list[Word]:
        """The characters of a word, each with its box."""
        return [self.letter(char, word.position + index) for index, char in enumerate(word.text)]

    def letter(self, char: str, position: int) -> Word:
        """A character at a position of PDFium's text, with its box."""
        return Word(char, *self._char_box(position), position)

    def font_at(self, position: int) -> int:
        """The font of the character at a position of PDFium's text."""
        index = position if self._to_char is None else self._to_char(self._handle, position)
        return self._font(index) if index >= 0 else fonts.PLAIN

    def _char_box(self, position: int) -> BBox:
        if self._to_char is None:
            return self._box_at(position)
        index = self._to_char(self._handle, position)
        return self._box_at(index) if index >= 0 else (0.0, 0.0, 0.0, 0.0)

    def _box_at(self, index: int) -> BBox:
        """The box of the character at PDFium's index; the last box asked for if it knows none."""
        char_box(self._handle, index, self._box_address)
        left, top, right, bottom = self._unpack_box(self._box_buffer)
        if self._upright:
            return left - self._left, self._top - top, right - self._left, self._top - bottom
        return self._space.box(left, bottom, right, top)

    def _measure(self, line: Line) -> bool:
        """Asks PDFium for the boxes and fonts at both ends of a line; tells if it knows them."""
        position = line.spans[0][1]
        handle, to_char = self._handle, self._to_char
        first, last = position, position + len(line.text) - 1
        if to_char:
            first, last = to_char(handle, first), to_char(handle, last)
            if first < 0 or last < first:
                return False
        x0, y0, x1, y1 = self._box_at(first)
        height = y1 - y0
        if last != first:
            ex0, ey0, ex1, ey1 = self._box_at(last)
            rise = ey0 - y0
            # Nearly all lines end at the height that they begin at.
            if rise > 0.5 or rise < -0.5:
                turned = abs(rise) > 2 * max(1.0, height) and abs(ex0 - x0) < 2 * (x1 - x0) + 1
                if turned:
                    line.turn = 1 if rise > 0 else 3
                    height = x1 - x0
                    y0, y1 = min(y0, ey0), max(y1, ey1)
                elif abs(rise) > _ROW_STEP * height:
                    line.kind = _BROKEN
            if ex0 < x0:
                x0 = ex0
            if ex1 > x1:
                x1 = ex1
        line.x0, line.y0, line.x1, line.y1 = x0, y0, x1, y1
        size = char_size(handle, first)
        if not _LEAST_HEIGHT * size < height < _MOST_HEIGHT * size:
            matrix = self._matrix
            if foreign.char_matrix(handle, first, matrix.address):
                _, _, c, d, _, _ = matrix.unpack(matrix.buffer)
                size *= (c * c + d * d) ** 0.5
        line.size = size
        font = self._font(first)
        # A line is bold only if it ends so too; only styled lines need asking.
        line.font = font & self._font(last) if font and last != first else font
        return True

    def _font(self, index: int) -> int:
        item = char_object(self._handle, index)
        handle = object_font(item) if item else None
        if not handle:
            return fonts.PLAIN
        font = self._fonts.get(handle)
        if font is None:
            font = self._fonts[handle] = fonts.read_font(handle)
        return font


def glue_fragments(lines: list[Line]) -> list[Line]:
    """Joins neighbours on one baseline into one line: superscripts, changes of font."""
    joined: list[Line] = []
    previous: Line | None = None
    for line in lines:
        # Most lines stand below the one before, which is quickly seen.
        beside = previous is not None and line.y0 < previous.y1 and previous.y0 < line.y1
        if beside and previous and not (line.turn or previous.turn) and _joined(previous, line):
            continue
        joined.append(line)
        previous = line
    return joined


def _joined(previous: Line, line: Line) -> bool:
    """Appends a line to the one before if it goes on there; tells whether it does."""
    overlap = min(line.y1, previous.y1) - max(line.y0, previous.y0)
    height = min(line.y1 - line.y0, previous.y1 - previous.y0)
    if height <= 0 or overlap <= 0.3 * height:
        return False
    gap = line.x0 - previous.x1
    em = max(line.size, previous.size, 4.0)
    # A prime is set over the point of "0.\u203347", which PDFium gives after it.
    least = _PRIME_GAP if previous.text[-1] in "\u2032\u2033" else _OVERLAP_GAP
    if gap >= _MARKER_GAP * em or gap <= least * em:
        return False
    if gap >= _FRAGMENT_GAP * em and not _MARKER.match(previous.text):
        return False
    _append(previous, line, "" if gap < 0.16 * em else " ")
    return True


def _append(line: Line, other: Line, space: str) -> None:
    if len(other.text) > len(line.text):
        # The longer piece says how high the line is and in what style it stands.
        line.y0, line.y1, line.size = other.y0, other.y1, other.size
        line.font = other.font
    line.text += space + other.text
    line.spans += other.spans
    line.hyphen = other.hyphen
    line.x0, line.x1 = min(line.x0, other.x0), max(line.x1, other.x1)
