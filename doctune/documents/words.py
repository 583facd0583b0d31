"""Cleans text: joins broken words, replaces ligatures, drops invisible characters."""

import re
import unicodedata

from doctune.documents.hyphens import HYPHENS, Vocabulary, breaks_word, is_suspended

# Ideographs, kana and their punctuation, which are written without spaces.
_CJK = re.compile(
    "[\u2e80-\u312f\u31a0-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
_FIRST_CJK = "\u2e80"
_REPLACED = {
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "ft",
    "\ufb06": "st",
    "\xa0": " ",
    "\xad": "",
    "\ufffe": "-",
    "\x02": "-",
    "\u200b": "",
    "\ufeff": "",
    "\ufffd": "",
}
# Other hyphens, bullets of symbol fonts, thin spaces, direction marks.
_REPLACED.update(dict.fromkeys("\u2010\u2011", "-"))
_REPLACED.update(dict.fromkeys("\uf0b7\uf0a7\uf076\uf0d8", "\u2022"))
_REPLACED.update({chr(code): " " for code in (*range(0x2000, 0x200B), 0x202F, 0x205F)})
_REPLACED.update(
    {chr(code): "" for code in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x206A))}
)
# Kangxi radicals, which fonts with an incomplete map have in place of ideographs.
_REPLACED.update({chr(c): unicodedata.normalize("NFKC", chr(c)) for c in range(0x2F00, 0x2FD6)})
# Small capitals and old-style figures of fonts that name them in Adobe's private area.
_REPLACED.update({chr(0xF761 + place): chr(ord("a") + place) for place in range(26)})
_REPLACED.update({chr(0xF730 + place): str(place) for place in range(10)})
# Control characters that fonts without a map leave behind.
_REPLACED.update({chr(code): "" for code in range(32) if code not in (2, 9, 10)})
_NEEDS_CLEANING = re.compile("[" + "".join(map(re.escape, sorted(_REPLACED))) + "]")
_SPACES = re.compile(r"(?<=\S) {2,}")


# Letters that are read to the left: Hebrew, Arabic and their kin.
_LEFTWARD = re.compile("\\W*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


def is_leftward(text: str) -> bool:
    """Returns whether the first letter of a text is of a script that is read to the left."""
    return not text.isascii() and _LEFTWARD.match(text) is not None


def join_lines(parts: list[str], vocabulary: Vocabulary | None = None) -> str:
    """Joins the lines of a paragraph, and words that are broken at line ends."""
    if len(parts) == 1:
        return clean_text(parts[0])
    last = parts[0]
    joined = [last]
    for part in parts[1:]:
        end = last[-1:]
        if end in HYPHENS and breaks_word(last):
            if is_suspended(part):
                joined.append(" ")
            elif part[0].islower() and not (vocabulary and vocabulary.keeps_hyphen(last, part)):
                joined[-1] = joined[-1][:-1]
        elif end < _FIRST_CJK or not _CJK.match(end) or not _CJK.match(part):
            joined.append(" ")
        joined.append(part)
        last = part
    return clean_text("".join(joined))


def clean_text(text: str) -> str:
    """Replaces ligatures, composes accents (NFC) and drops invisible characters."""
    if text.isascii() and text.isprintable():
        return text
    cleaned = _NEEDS_CLEANING.sub(lambda match: _REPLACED[match.group()], text)
    if cleaned is not text and "  " in cleaned:
        cleaned = _SPACES.sub(" ", cleaned)
    return unicodedata.normalize("NFC", cleaned)
