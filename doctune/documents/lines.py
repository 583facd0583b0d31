"""The lines of a page: text, box, size and style, from PDFium's text page.

One call a page gives the text; boxes and fonts are asked for only at the first and last character
of each line. That is what makes it fast: about ten foreign calls a line instead of three a
character.
"""

import ctypes
import re
from typing import Any

import pypdfium2.raw as pdfium

from doctune.documents.geometry import PageSpace
from doctune.documents.model import BBox

# A line ends at a line break or at a hyphen that PDFium found to break a word (U+FFFE).
_LINE = re.compile("[^\r\n\x02\ufffe]*(?:\r\n|[\x02\ufffe\r\n])|[^\r\n\x02\ufffe]+\\Z")
_BREAKS = "\r\n\x02\ufffe"
_MONOSPACED_NAME = re.compile(
    r"mono|courier|consol|typewriter|cmtt|cmtl|cmvtt|sftt|menlo|nimbusmon|fixed|tt\d|inconsolata"
)
_BOLD_NAME = re.compile(r"bold|black|heavy|semibd|demi|medi(?!um)|cmbx|sfbx|cmb\d|-b[0i]?$")
_ITALIC_NAME = re.compile(r"ital|obli|cmti|cmsl|sfti|sfsl|slanted|-i$")
# A bullet or number that stands alone is followed by its item, a tab further on.
_MARKER = re.compile(r"^(?:[^\w\s(]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)])$")
_FRAGMENT_GAP, _MARKER_GAP = 1.2, 4.0  # em
_FLAG_FIXED, _FLAG_ITALIC, _FLAG_FORCE_BOLD = 1, 1 << 6, 1 << 18
_BOLD_WEIGHT = 600


class Font:
    """What matters of a font."""

    __slots__ = ("bold", "italic", "math", "mono")

    def __init__(self, handle: Any) -> None:
        buffer = ctypes.create_string_buffer(128)
        pdfium.FPDFFont_GetBaseFontName(handle, buffer, 128)
        name = buffer.value.decode("ascii", "replace").lower().rpartition("+")[2]
        flags = max(0, pdfium.FPDFFont_GetFlags(handle))
        self.mono = bool(flags & _FLAG_FIXED) or bool(_MONOSPACED_NAME.search(name))
        self.bold = (
            bool(flags & _FLAG_FORCE_BOLD)
            or bool(_BOLD_NAME.search(name))
            or pdfium.FPDFFont_GetWeight(handle) >= _BOLD_WEIGHT
        )
        self.italic = bool(flags & _FLAG_ITALIC) or bool(_ITALIC_NAME.search(name))
        self.math = name.startswith(("cmmi", "cmsy", "cmex", "msam", "msbm", "stix", "mathjax"))


class Line:
    """A line, or a piece of one; boxes are from the top left corner of the page as it is shown.

    Attributes:
        hyphen: Whether PDFium found that its last hyphen breaks a word.
        first, last: Its first and last character in PDFium's text page.
        turn: 0 for text that runs to the right, 1 down, 3 up (quarter turns clockwise).
        kind: What it was found to be; "" for running text.
    """

    __slots__ = (
        "bold",
        "first",
        "hyphen",
        "italic",
        "kind",
        "last",
        "math",
        "mono",
        "size",
        "text",
        "turn",
        "x0",
        "x1",
        "y0",
        "y1",
    )

    def __init__(self, text: str, first: int, last: int, hyphen: bool) -> None:
        self.text = text
        self.first = first
        self.last = last
        self.hyphen = hyphen
        self.kind = ""
        self.turn = 0
        self.bold = self.italic = self.mono = self.math = False
        self.size = self.x0 = self.y0 = self.x1 = self.y1 = 0.0


class PageText:
    """The text page of a PDFium page, read into lines. Use it as a context manager."""

    def __init__(self, page: Any) -> None:
        self.handle = pdfium.FPDFText_LoadPage(page)
        self.char_count = max(0, pdfium.FPDFText_CountChars(self.handle)) if self.handle else 0
        self._fonts: dict[int, Font] = {}

    def __enter__(self) -> "PageText":
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle:
            pdfium.FPDFText_ClosePage(self.handle)

    def text(self) -> str:
        """All the text of the page in the file's order, with PDFium's line breaks."""
        count = self.char_count
        if not count:
            return ""
        buffer = (ctypes.c_ushort * (count + 1))()
        written = pdfium.FPDFText_GetText(self.handle, 0, count, buffer)
        return ctypes.string_at(buffer, 2 * max(0, written - 1)).decode("utf-16-le", "replace")

    def text_in(self, box: BBox) -> str:
        """The text within a box of user space (left, bottom, right, top), on one line."""
        left, bottom, right, top = box
        read = pdfium.FPDFText_GetBoundedText
        count = read(self.handle, left, top, right, bottom, None, 0)
        if count <= 0:
            return ""
        buffer = (ctypes.c_ushort * (count + 1))()
        read(self.handle, left, top, right, bottom, buffer, count)
        text = ctypes.string_at(buffer, 2 * count).decode("utf-16-le", "replace")
        return " ".join(text.replace("\x00", "").replace("\x02", "").split())

    def lines(self, space: PageSpace) -> list[Line]:
        """The lines in the file's order; those without any visible character are left out."""
        text = self.text()
        # Where PDFium leaves characters out of the text, its positions are not those of characters.
        to_char = (
            None if len(text) == self.char_count else pdfium.FPDFText_GetCharIndexFromTextIndex
        )
        handle = self.handle
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
            if not stripped:
                continue
            first = start + len(body) - len(body.lstrip())
            last = start + len(body.rstrip()) - 1
            if to_char:
                first, last = to_char(handle, first), to_char(handle, last)
            if first < 0 or last < first:
                continue
            line = Line(stripped, first, last, hyphen)
            self._measure(line, space)
            lines.append(line)
        return lines

    def _measure(self, line: Line, space: PageSpace) -> None:
        """Asks PDFium for the boxes and fonts at both ends of a line."""
        handle, first, last = self.handle, line.first, line.last
        box_of = pdfium.FPDFText_GetLooseCharBox
        begin = pdfium.FS_RECTF()
        box_of(handle, first, begin)
        end = begin
        if last != first:
            end = pdfium.FS_RECTF()
            box_of(handle, last, end)
        bx0, by0, bx1, by1 = space.box(begin.left, begin.bottom, begin.right, begin.top)
        ex0, ey0, ex1, ey1 = space.box(end.left, end.bottom, end.right, end.top)
        line.x0, line.x1 = min(bx0, ex0), max(bx1, ex1)
        rise = ey0 - by0
        if abs(rise) > 2 * max(1.0, by1 - by0) and abs(ex0 - bx0) < 2 * (bx1 - bx0) + 1:
            line.turn = 1 if rise > 0 else 3
            line.y0, line.y1 = min(by0, ey0), max(by1, ey1)
        else:
            # The first character's height: a line that ends in a superscript is no higher for it.
            line.y0, line.y1 = by0, by1
        matrix = pdfium.FS_MATRIX()
        size = pdfium.FPDFText_GetFontSize(handle, first)
        if pdfium.FPDFText_GetMatrix(handle, first, matrix):
            size *= (matrix.c * matrix.c + matrix.d * matrix.d) ** 0.5
        line.size = size
        text_object = pdfium.FPDFText_GetTextObject
        one, other = text_object(handle, first), text_object(handle, last)
        font = self._font(one)
        closing = font if other == one else self._font(other)
        if font and closing:
            line.bold = font.bold and closing.bold
            line.italic = font.italic and closing.italic
            line.mono = font.mono and closing.mono
            line.math = font.math or closing.math

    def _font(self, text_object: Any) -> Font | None:
        handle = pdfium.FPDFTextObj_GetFont(text_object) if text_object else None
        if not handle:
            return None
        address = ctypes.cast(handle, ctypes.c_void_p).value or 0
        font = self._fonts.get(address)
        if font is None:
            font = self._fonts[address] = Font(handle)
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
        line.mono, line.bold, line.italic = other.mono, other.bold, other.italic
    line.text += space + other.text
    line.hyphen = other.hyphen
    line.x0, line.x1 = min(line.x0, other.x0), max(line.x1, other.x1)
    line.last = other.last
    line.math = line.math or other.math
