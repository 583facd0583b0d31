"""Reads the lines of a page (text, box, size, style) from PDFium's text page.

For speed, one call per page gets the text, and boxes and fonts are read only for the first and last
character of each line: a handful of calls per line instead of three per character. Boxes of words
are read only where a table or a gap between columns may be.
"""

import ctypes
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pypdfium2.raw as pdfium

from doctune.documents import fonts, foreign
from doctune.documents.characters import ROW_STEP, Characters, Reading, Word
from doctune.documents.geometry import PageSpace
from doctune.documents.latex import Glyph

# A bullet or number on its own is followed by its item, a tab further on.
_MARKER = re.compile(r"^(?:[^\w\s(]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)])$")
_FRAGMENT_GAP, _MARKER_GAP = 1.2, 4.0  # em
_OVERLAP_GAP, _PRIME_GAP = -0.35, -1.0
_WATERMARK_SIZE = 24.0  # points: smaller slanted text may be a column header
_LEAST_SLANT = 0.1  # radians
_WORD_GAP = 0.12  # of a line's height
_FIRST_VERTICAL = "\u2e7f"  # scripts with vertical writing come after it
_UPSIDE_DOWN = 2
_ASKED_FOR_ANGLE = 6  # lines of a page
_BROKEN = 9  # place in a Reading


class Line:
    """A line, or a piece of one; boxes are from the top left corner of the page as it is shown.

    Attributes:
        hyphen: Whether PDFium found that its last hyphen breaks a word.
        spans: The pieces that it was joined from: text, and position in PDFium's text.
        turn: Rotation: 0 for text that runs to the right, 1 down, 2 upside down, 3 up.
        kind: Kind of block that it belongs to; "" for running text.
        latex: A formula as LaTeX.
    """

    __slots__ = (
        "font",
        "hyphen",
        "kind",
        "latex",
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
        self.kind = self.latex = ""
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
        confidence: Mean confidence of its words, in per cent.
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
        self._units = 0
        self.raw = self._read()  # PDFium's text, in the file's order, with its line breaks
        # PDFium counts a character beyond U+FFFF twice.
        double = len(self.raw) != self._units
        self._doubled = (
            [at for at, char in enumerate(self.raw) if char > "\uffff"] if double else []
        )
        self.read_in(space)
        self._fonts = {0: fonts.PLAIN}

    def __enter__(self) -> "PageText":
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle:
            pdfium.FPDFText_ClosePage(self._text_page)

    def _read(self) -> str:
        """Returns the text of the page in the file's order, with PDFium's line breaks."""
        self._count = max(0, foreign.char_count(self._handle)) if self._handle else 0
        if not self._count:
            return ""
        buffer = foreign.room_for_text(self._count + 1)
        written = foreign.page_text(self._handle, 0, self._count, buffer)
        self._units = max(0, written - 1)
        return ctypes.string_at(buffer, 2 * self._units).decode("utf-16-le", "replace")

    def read_in(self, space: PageSpace) -> None:
        """Uses another page space for all positions from now on."""
        self._space = space
        # If PDFium leaves characters out of the text, text positions are not character indices.
        maps = self._units != self._count
        self._characters = Characters(self._handle, maps, space, self._doubled)

    def lines(self) -> list[Line]:
        """Returns the lines in the file's order, without those that have no visible character."""
        lines: list[Line] = []
        for reading in self._characters.read_lines(self.raw):
            line = self._line(reading)
            if reading[_BROKEN]:
                lines += self._rows(line)
            else:
                lines.append(line)
        return self._detect_turns(lines)

    def _detect_turns(self, lines: list[Line]) -> list[Line]:
        """Detects the direction of lines by the angle of their letters, if some line is rotated.

        The positions of a line's ends are not enough if PDFium joins several rows into one line, or
        for text upside down. A line whose words have different directions is split.
        """
        step = max(1, len(lines) // _ASKED_FOR_ANGLE)
        if not any(line.turn for line in lines) and not any(
            self.turn_at(line.spans[0][1]) == _UPSIDE_DOWN for line in lines[::step]
        ):
            return lines
        told: list[Line] = []
        for line in lines:
            start = line.spans[0][1]
            turn = self.turn_at(start)
            if line.turn == 1 and turn == 0 and line.text[0] > _FIRST_VERTICAL:
                told.append(line)  # vertical writing, whose letters are upright
                continue
            line.turn = turn
            if self.turn_at(start + len(line.text) - 1) == line.turn:
                told.append(line)
                continue
            words = [(word.position, self.turn_at(word.position)) for word in self.words(line)]
            parts = self._split(line, [b for (_, s), (b, t) in pairwise(words) if s != t])
            for part in parts:
                part.turn = self.turn_at(part.spans[0][1])
            told += parts
        return told

    def turn_at(self, position: int) -> int:
        """Returns the rotation of a character of PDFium's text, in quarter turns clockwise."""
        angle = foreign.char_angle(self._handle, self._characters.index(position))
        # PDFium gives it clockwise, in user space; -1 if unknown.
        return (self._space.rotation + round(max(0.0, angle) / (math.pi / 2))) % 4

    def _line(self, reading: Reading) -> Line:
        text, position, hyphen, x0, y0, x1, y1, size, turn, _, first, last = reading
        line = Line(text, position, hyphen)
        line.x0, line.y0, line.x1, line.y1, line.size, line.turn = x0, y0, x1, y1, size, turn
        known = self._fonts
        font = known[first] if first in known else self._font(first)
        # A line is bold only if its last character is, too.
        if font and last != first:
            font &= known[last] if last in known else self._font(last)
        line.font = font
        return line

    def _rows(self, line: Line) -> list[Line]:
        """Splits a line of PDFium that continues in another row, as in a table."""
        words = self.words(line)
        if line.size > _WATERMARK_SIZE and self._is_slanted(words[0].position):
            line.kind = "watermark"
            line.x0, line.x1 = min(w.x0 for w in words), max(w.x1 for w in words)
            line.y0, line.y1 = min(w.y0 for w in words), max(w.y1 for w in words)
            return [line]
        begins = [
            other.position
            for one, other in pairwise(words)
            if abs(other.y0 - one.y0) > ROW_STEP * (one.y1 - one.y0) and other.x0 < one.x1
        ]
        return self._split(line, begins)

    def _split(self, line: Line, begins: Sequence[int]) -> list[Line]:
        """Splits a line at positions of PDFium's text."""
        text, start = line.spans[0]
        bounds = [start, *begins, start + len(text)]
        rows = []
        for begin, end in pairwise(bounds):
            part = text[begin - start : end - start].rstrip()
            hyphen = line.hyphen and end == bounds[-1]
            reading = self._characters.measure(part, begin, hyphen) if part else None
            if reading:
                rows.append(self._line(reading))
        return rows

    def _is_slanted(self, position: int) -> bool:
        """Returns whether a character is rotated by other than quarter turns."""
        index = self._characters.index(position)
        angle = foreign.char_angle(self._handle, index) % (math.pi / 2)
        return _LEAST_SLANT < angle < math.pi / 2 - _LEAST_SLANT

    def words(self, line: Line) -> list[Word]:
        """Returns the words of a line, each with its box."""
        return self._characters.find_words(line.spans)

    def line_of(self, words: Sequence[Word]) -> Line:
        """Joins adjacent words into a line."""
        first = words[0]
        reading = self._characters.measure(first.text, first.position, False)
        text = first.text
        for one, other in pairwise(words):
            apart = other.x0 - one.x1 > _WORD_GAP * (one.y1 - one.y0)
            text += " " * apart + other.text
        line = Line(text, first.position, text[-1] == "-" and text[-2:-1].isalpha())
        if reading:
            whole = self._line(reading)
            line.font, line.size = whole.font, whole.size
        line.spans = [(word.text, word.position) for word in words]
        line.x0, line.x1 = min(word.x0 for word in words), max(word.x1 for word in words)
        line.y0, line.y1 = min(word.y0 for word in words), max(word.y1 for word in words)
        return line

    def letters(self, word: Word) -> list[Word]:
        """Returns the characters of a word, each with its box."""
        return [self.letter(char, word.position + index) for index, char in enumerate(word.text)]

    def letter(self, char: str, position: int) -> Word:
        """Returns the character at a position of PDFium's text, with its box."""
        return Word(char, *self._characters.box(position), position)

    def styles(self, lines: Sequence[Line]) -> list[int]:
        """Returns how the first character of each line is painted: bits of INVISIBLE and WHITE."""
        return self._characters.styles([line.spans[0][1] for line in lines])

    def object_at(self, position: int) -> int:
        """Returns PDFium's text object at a position of its text; 0 if there is none."""
        index = self._characters.index(position)
        return (foreign.char_object(self._handle, index) or 0) if index >= 0 else 0

    def glyphs(self, line: Line) -> list[Glyph]:
        """Returns the characters of a line with their ink, baseline and size."""
        found = []
        for char, x0, y0, x1, y1, base, size, handle in self._characters.read_inks(line.spans):
            font = self._font(handle) if handle else 0
            # Italic fonts often state a weight that is not theirs.
            bold = font & (fonts.BOLD | fonts.ITALIC) == fonts.BOLD
            if font & (fonts.TEX_SYMBOLS | fonts.TEX_EXTENSION) and char.isalnum():
                char = "\ufffd"  # a symbol by its code, without a map
            found.append(Glyph(char, x0, y0, x1, y1, base, size, bold))
        return found

    def em(self, line: Line) -> float:
        """Returns the font size of a line's first character, with all scaling."""
        return self._characters.em(line.spans[0][1]) or line.size

    def content_of(self, line: Line) -> int:
        """Returns the number by which tags name the content of a line; -1 if it has none."""
        item = self.object_at(line.spans[0][1])
        return foreign.content_of(item) if item else -1

    def font_at(self, position: int) -> int:
        """Returns the font of the character at a position of PDFium's text."""
        return self._font(self._characters.font(position))

    def fonts_at(self, positions: list[int]) -> list[int]:
        """Returns the fonts of the characters at positions of PDFium's text."""
        return [self._font(handle) for handle in self._characters.fonts(positions)]

    def _font(self, handle: int) -> int:
        font = self._fonts.get(handle)
        if font is None:
            font = self._fonts[handle] = fonts.read_font(handle)
        return font


def glue_fragments(lines: list[Line]) -> list[Line]:
    """Joins neighbours on one baseline into one line, such as superscripts and font changes."""
    joined: list[Line] = []
    previous: Line | None = None
    for line in lines:
        # Fast path: most lines are below the previous one.
        beside = previous is not None and line.y0 < previous.y1 and previous.y0 < line.y1
        if beside and previous and not (line.turn or previous.turn) and _joined(previous, line):
            continue
        joined.append(line)
        previous = line
    return joined


def _joined(previous: Line, line: Line) -> bool:
    """Appends a line to the previous one if it continues it; returns whether it did."""
    overlap = min(line.y1, previous.y1) - max(line.y0, previous.y0)
    height = min(line.y1 - line.y0, previous.y1 - previous.y0)
    if height <= 0 or overlap <= 0.3 * height:
        return False
    if len(previous.text) == 1 and previous.y1 > line.y1 + 0.5 * line.size:
        return False  # an initial over several lines
    gap = line.x0 - previous.x1
    em = max(line.size, previous.size, 4.0)
    # A prime is drawn over the point of "0.\u203347", which PDFium returns after it.
    least = _PRIME_GAP if previous.text[-1] in "\u2032\u2033" else _OVERLAP_GAP
    if gap >= _MARKER_GAP * em or gap <= least * em:
        return False
    if gap >= _FRAGMENT_GAP * em and not _MARKER.match(previous.text):
        return False
    _append(previous, line, "" if gap < 0.16 * em else " ")
    return True


def _append(line: Line, other: Line, space: str) -> None:
    if len(other.text) > len(line.text):
        # The longer piece determines height and style of the line.
        line.y0, line.y1, line.size = other.y0, other.y1, other.size
        line.font = other.font
    line.text += space + other.text
    line.spans += other.spans
    line.hyphen = other.hyphen
    line.x0, line.x1 = min(line.x0, other.x0), max(line.x1, other.x1)
