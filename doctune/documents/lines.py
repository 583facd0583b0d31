"""The lines of a page: text, box, size and style, from PDFium's text page.

One call a page gives the text; boxes and fonts are asked for only at the first and last character
of each line. That is what makes it fast: a handful of foreign calls a line instead of three a
character. Boxes of words are asked for where a table or a gap between columns may be.
"""

import ctypes
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from doctune.documents import fonts, foreign
from doctune.documents.geometry import PageSpace
from doctune.documents.model import BBox

# A line ends at a line break or at a hyphen that PDFium found to break a word (U+FFFE).
_LINE = re.compile("[^\r\n\x02\ufffe]*(?:\r\n|[\x02\ufffe\r\n])|[^\r\n\x02\ufffe]+\\Z")
_BREAKS = "\r\n\x02\ufffe"
_WORD = re.compile(r"\S+")
# A bullet or number that stands alone is followed by its item, a tab further on.
_MARKER = re.compile(r"^(?:[^\w\s(]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)])$")
_FRAGMENT_GAP, _MARKER_GAP = 1.2, 4.0  # em
_ROW_STEP = 0.9  # of a line's height: more is no subscript but another row
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


class PageText:
    """The text page of a PDFium page, read into lines. Use it as a context manager."""

    def __init__(self, page: Any, space: PageSpace) -> None:
        self._text_page = pdfium.FPDFText_LoadPage(page)
        self._handle = foreign.address_of(self._text_page)
        self._space = space
        self._upright, self._origin = space.rotation == 0, (space.left, space.top)
        self._count = max(0, pdfium.FPDFText_CountChars(self._text_page)) if self._handle else 0
        self._box = foreign.Floats(4)
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
        buffer = (ctypes.c_ushort * (self._count + 1))()
        written = pdfium.FPDFText_GetText(self._text_page, 0, self._count, buffer)
        return ctypes.string_at(buffer, 2 * max(0, written - 1)).decode("utf-16-le", "replace")

    def lines(self) -> list[Line]:
        """The lines in the file's order; those without any visible character are left out."""
        text = self.text()
        # Where PDFium leaves characters out of the text, its positions are not those of characters.
        self._to_char = None if len(text) == self._count else foreign.char_index
        lines: list[Line] = []
        position = 0
        for raw in _LINE.findall(text):
            start = position
            position += len(raw)
            hyphen = raw[-1] in "\x02\ufffe"
            body = raw.rstrip(_BREAKS)
            if hyphen:
                body += "-"
            stripped = body.strip()
            if stripped:
                line = Line(stripped, start + len(body) - len(body.lstrip()), hyphen)
                if self._measure(line):
                    lines += self._rows(line) if line.kind == _BROKEN else (line,)
        return lines

    def _rows(self, line: Line) -> list[Line]:
        """Splits what PDFium took for one line where it goes on in another row, as in a table."""
        line.kind = ""
        text, start = line.spans[0]
        words = self.words(line)
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

    def words(self, line: Line) -> list[Word]:
        """The words of a line, each with its box."""
        found = []
        for text, position in line.spans:
            for match in _WORD.finditer(text):
                begin, end = position + match.start(), position + match.end() - 1
                x0, y0, x1, y1 = self._char_box(begin)
                if end > begin:
                    ex0, ey0, ex1, ey1 = self._char_box(end)
                    x0, y0, x1, y1 = min(x0, ex0), min(y0, ey0), max(x1, ex1), max(y1, ey1)
                found.append(Word(match.group(), x0, y0, x1, y1, begin))
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
        index = position if self._to_char is None else self._to_char(self._handle, position)
        return self._box_at(index) if index >= 0 else (0.0, 0.0, 0.0, 0.0)

    def _box_at(self, index: int) -> BBox:
        """The box of the character at PDFium's index; the last box asked for if it knows none."""
        foreign.char_box(self._handle, index, self._box.address)
        left, top, right, bottom = self._box.unpack(self._box.buffer)
        if self._upright:
            x, y = self._origin
            return left - x, y - top, right - x, y - bottom
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
        size = foreign.char_size(handle, first)
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
        item = foreign.char_object(self._handle, index)
        handle = foreign.object_font(item) if item else None
        if not handle:
            return fonts.PLAIN
        font = self._fonts.get(handle)
        if font is None:
            font = self._fonts[handle] = fonts.read_font(handle)
        return font


def glue_fragments(lines: list[Line]) -> list[Line]:
    """Joins neighbours on one baseline into one line: superscripts, changes of font."""
    joined: list[Line] = []
    for line in lines:
        if joined and not line.turn and not joined[-1].turn:
            previous = joined[-1]
            overlap = min(line.y1, previous.y1) - max(line.y0, previous.y0)
            height = min(line.y1 - line.y0, previous.y1 - previous.y0)
            gap = line.x0 - previous.x1
            em = max(line.size, previous.size, 4.0)
            reach = _MARKER_GAP if _MARKER.match(previous.text) else _FRAGMENT_GAP
            if height > 0 and overlap > 0.3 * height and -0.35 * em < gap < reach * em:
                _append(previous, line, "" if gap < 0.16 * em else " ")
                continue
        joined.append(line)
    return joined


def _append(line: Line, other: Line, space: str) -> None:
    if len(other.text) > len(line.text):
        # The longer piece says how high the line is and in what style it stands.
        line.y0, line.y1, line.size = other.y0, other.y1, other.size
        line.font = other.font
    line.text += space + other.text
    line.spans += other.spans
    line.hyphen = other.hyphen
    line.x0, line.x1 = min(line.x0, other.x0), max(line.x1, other.x1)
