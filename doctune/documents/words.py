"""Text as it should have been written: hyphens mended, ligatures and accents put together."""

import re
import unicodedata

_BREAK_HYPHEN = re.compile(r"[^\W\d_][-\u00ad\u2010]$")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_REPLACED = {
    0xFB00: "ff",
    0xFB01: "fi",
    0xFB02: "fl",
    0xFB03: "ffi",
    0xFB04: "ffl",
    0xFB05: "ft",
    0xFB06: "st",
    0xA0: " ",
    0xAD: None,
    0xFFFE: "-",
    0x02: "-",
    0x200B: None,
    0xFEFF: None,
}
# Control characters that fonts without a map leave behind.
_REPLACED.update({code: None for code in range(32) if code not in (2, 9, 10)})
# TeX sets an accent as a character of its own, before its letter.
_SPACING_ACCENTS = {
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
    "\u02d9": "\u0307",
}
_ACCENTED = re.compile("([" + "".join(_SPACING_ACCENTS) + "]) ?([A-Za-z\u0131])")


def join_lines(parts: list[str]) -> str:
    """Joins the lines of a paragraph: words broken at a line's end become whole again."""
    text = parts[0]
    for part in parts[1:]:
        if _BREAK_HYPHEN.search(text) and part[:1].islower():
            text = text[:-1] + part
        elif _CJK.match(text[-1:]) and _CJK.match(part[:1]):
            text += part
        else:
            text += " " + part
    return clean_text(text)


def clean_text(text: str) -> str:
    """Puts ligatures and accents together and drops characters that show nothing."""
    if text.isascii() and text.isprintable():
        return text
    text = text.translate(_REPLACED)
    if _ACCENTED.search(text):
        text = _ACCENTED.sub(_compose, text)
    return text


def breaks_word(text: str) -> bool:
    """Tells whether a line ends in a hyphen after a letter."""
    return bool(_BREAK_HYPHEN.search(text))


def _compose(match: re.Match[str]) -> str:
    accent, letter = match.groups()
    letter = "i" if letter == "\u0131" else letter
    return unicodedata.normalize("NFC", letter + _SPACING_ACCENTS[accent])
