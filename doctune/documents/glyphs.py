"""Characters that a font does not name rightly: TeX's symbols, and accents set apart.

Old TeX fonts carry no Unicode map, so that a prime comes out as "0" and a sum as "X"; and TeX sets
an accent as a character of its own, which PDFium puts where it was drawn: beside its letter, or at
the line's end. Each mend keeps the number of characters, so that positions hold: what an accent
leaves behind is a zero-width space, which `clean_text` drops.
"""

import re
import unicodedata
from collections.abc import Iterable

from doctune.documents import fonts
from doctune.documents.lines import Line, PageText, Word

_COMBINING = {
    "`": "\u0300",
    "\u00a8": "\u0308",
    "\u00b4": "\u0301",
    "\u02c6": "\u0302",
    "\u02dc": "\u0303",
    "\u02c7": "\u030c",
    "\u00b8": "\u0327",
    "\u02da": "\u030a",
    "\u02d8": "\u0306",
    "\u02dd": "\u030b",
    "\u00af": "\u0304",
    "\u02c9": "\u0304",
    "\u02d9": "\u0307",
}
_ACCENT = re.compile("[" + "".join(_COMBINING) + "]")
NOTHING = "\u200b"
_WORD_GAP = 0.15  # em: the space between words is wider
# What the codes of TeX's extension font (cmex) from "0" on stand for.
_EXTENSION = dict(
    zip(
        map(chr, range(0x30, 0x80)),
        "()[][]||{}{}{}||()()\u27e8\u27e9\u2294\u2294\u222e\u222e\u2299\u2299\u2295\u2295\u2297\u2297"
        "\u2211\u220f\u222b\u22c3\u22c2\u228e\u22c0\u22c1\u2211\u220f\u222b\u22c3\u22c2\u228e\u22c0\u22c1"
        "\u2210\u2210^^^~~~[][][]{}\u221a\u221a\u221a\u221a\u221a\u221a\u221a\u2016\u2191\u2193(){}{}",
        strict=False,
    )
)
_PRIME = "\u2032"
_ZEROS = re.compile(r"(?:^|(?<=[\w)\].]))0+(?![\d.])")


def mend_glyphs(lines: Iterable[Line], text: PageText, tex: bool) -> None:
    """Mends lines as they came from the page, before they are joined.

    Args:
        tex: Whether the file was made by TeX, so that its symbol fonts may have no map.
    """
    for line in lines:
        found = line.text
        if (not found.isascii() or "`" in found) and _ACCENT.search(found):
            _attach_accents(line, text)
        if tex and "0" in found:
            _mend_primes(line, text)
        elif tex and line.font & fonts.TEX_EXTENSION and len(found) <= 2:
            replace_text(line, "".join(_EXTENSION.get(char, char) for char in found))


def _mend_primes(line: Line, text: PageText) -> None:
    """A zero in TeX's symbol font is a prime."""
    chars: list[str] = []
    start = line.spans[0][1]
    for match in _ZEROS.finditer(line.text):
        for index in range(match.start(), match.end()):
            if text.font_at(start + index) & fonts.TEX_SYMBOLS:
                chars = chars or list(line.text)
                chars[index] = _PRIME
    if chars:
        replace_text(line, "".join(chars))


def _attach_accents(line: Line, text: PageText) -> None:
    chars = list(line.text)
    start = line.spans[0][1]
    for match in _ACCENT.finditer(line.text):
        accent = text.letter(match.group(), start + match.start())
        target = _letter_under(accent, line.text, start, text)
        if target is None:
            continue
        base = {"\u0131": "i", "\u0237": "j"}.get(chars[target], chars[target])
        composed = unicodedata.normalize("NFC", base + _COMBINING[accent.text])
        if len(composed) == 1:
            chars[target], chars[match.start()] = composed, NOTHING
            _close_up(chars, match.start(), line, text)
    replace_text(line, "".join(chars).rstrip(f" {NOTHING}"))


def _close_up(chars: list[str], accent: int, line: Line, text: PageText) -> None:
    """Drops the spaces that PDFium sees beside an accent within a word, as it is drawn elsewhere.

    What tells is the gap between the letters on both sides.
    """
    left, right = accent - 1, accent + 1
    while left >= 0 and chars[left] == " ":
        left -= 1
    while right < len(chars) and chars[right] == " ":
        right += 1
    if right - left == 2 or left < 0 or right == len(chars):
        return
    start = line.spans[0][1]
    gap = text.letter("", start + right).x0 - text.letter("", start + left).x1
    if chars[left].isalpha() and chars[right].isalpha() and gap < _WORD_GAP * line.size:
        chars[left + 1 : right] = NOTHING * (right - left - 1)


def _letter_under(accent: Word, line: str, start: int, text: PageText) -> int | None:
    """The letter that an accent stands over: the one whose middle is nearest to its own."""
    middle = (accent.x0 + accent.x1) / 2
    index = accent.position - start
    # An accent mostly stands beside its letter in the text, too.
    beside = _nearest_letter(middle, (index - 1, index + 1), line, start, text)
    if beside is not None:
        return beside
    # Letters stand in the order of their places, so that the search can halve the line.
    low, high = 0, len(line) - 1
    while low < high:
        half = (low + high) // 2
        if text.letter(line[half], start + half).x1 < middle:
            low = half + 1
        else:
            high = half
    return _nearest_letter(middle, range(low - 3, low + 4), line, start, text)


def _nearest_letter(
    middle: float, indexes: Iterable[int], line: str, start: int, text: PageText
) -> int | None:
    best: tuple[float, int] | None = None
    for index in indexes:
        if not 0 <= index < len(line) or not line[index].isalpha() or line[index] in _COMBINING:
            continue
        letter = text.letter(line[index], start + index)
        distance = abs((letter.x0 + letter.x1) / 2 - middle)
        if distance < 0.45 * (letter.x1 - letter.x0) and (best is None or distance < best[0]):
            best = distance, index
    return best[1] if best else None


def replace_text(line: Line, text: str) -> None:
    """Gives a line that came from the page another text; its characters keep their places."""
    line.text = text
    line.spans = [(text, line.spans[0][1])]
