"""Fixes characters that PDFium gets wrong: TeX's symbols, and accents drawn separately.

Old TeX fonts have no Unicode map, so that a prime is extracted as "0" and a sum as "X". TeX also
draws an accent as a separate character, which PDFium puts where it was drawn: next to its letter or
at the end of the line. Each fix keeps the number of characters, so that positions stay valid: an
accent that was moved leaves a zero-width space, which `clean_text` drops.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from doctune.documents import fonts
from doctune.documents.characters import NOTHING
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
_WORD_GAP = 0.15  # em: the space between words is wider
# The symbols of TeX's extension font (cmex), by code from "0" on.
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


def fix_glyphs(lines: Iterable[Line], text: PageText, tex: bool) -> None:
    """Fixes the characters of raw lines, before they are joined.

    Args:
        tex: Whether the file was made by TeX, so that its symbol fonts may have no map.
    """
    zeros: list[tuple[Line, list[int]]] = []
    for line in lines:
        found = line.text
        if (not found.isascii() or "`" in found) and _ACCENT.search(found):
            _attach_accents(line, text)
        if tex and "0" in found:
            places = [at for match in _ZEROS.finditer(line.text) for at in range(*match.span())]
            if places:
                zeros.append((line, places))
        elif tex and line.font & fonts.TEX_EXTENSION and len(found) <= 2:
            replace_text(line, "".join(_EXTENSION.get(char, char) for char in found))
    if zeros:
        _fix_primes(zeros, text)


def _fix_primes(zeros: Sequence[tuple[Line, list[int]]], text: PageText) -> None:
    """Replaces zeros in TeX's symbol font by primes.

    Args:
        zeros: Lines with the places of their zeros.
    """
    found = text.fonts_at([line.spans[0][1] + at for line, places in zeros for at in places])
    of_zero = iter(found)
    for line, places in zeros:
        primes = {at for at in places if next(of_zero) & fonts.TEX_SYMBOLS}
        if primes:
            chars = [_PRIME if at in primes else char for at, char in enumerate(line.text)]
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
    """Drops the spaces that PDFium inserts around an accent within a word.

    The gap between the letters on both sides decides.
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
    """Returns the letter under an accent: the one with the nearest middle."""
    middle = (accent.x0 + accent.x1) / 2
    index = accent.position - start
    # Usually the accent is next to its letter in the text, too.
    beside = _nearest_letter(middle, (index - 1, index + 1), line, start, text)
    if beside is not None:
        return beside
    # Letters are in order of position, which allows a binary search.
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
    """Replaces the text of a raw line by one of the same length."""
    line.text = text
    line.spans = [(text, line.spans[0][1])]
