"""Language-aware text functions that all steps share.

Sentences are split by rules, not by a model: full stops after known abbreviations, single letters
and numbers, and before lower-case words do not end one; the full stops of Chinese, Japanese and
Hindi do. Words are runs of letters and digits. In scripts without spaces each character counts as a
word, so that lengths and shingles are comparable over languages.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from doctune.dataset.lexicon import APOSTROPHES, DASHES, QUOTES, lexicon

_SENTENCE_END = re.compile(
    # Scripts with their own full stops need no space after them.
    r"(?P<wide>[\u3002\uff01\uff1f\uff61\u0964\u0965\u061f])[\u300d\u300f\u201d\u2019\uff09)\]]*\s*"
    rf"|(?P<stop>[.!?\u2026])[\"'{QUOTES})\]]*\s+"
    rf"(?=[\"'{QUOTES}(\[]*[^\W_a-z\u00df-\u00f6\u00f8-\u00ff\u0430-\u044f\u03b1-\u03c9])"
)
# Scripts that are written without spaces between words.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002fa1f"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:[.,{APOSTROPHES}\-][^\W_{_UNSPACED}]+)*")
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_SPACES = re.compile(r"\s+")
# A number before one of these is a quantity: "5 kg", "30 days".
_UNIT = r"(?-i:%|\u00b0|(?:[kcmM][gmlWVA]|[kMG]?Hz|[kMG]B|[VW]|bar|days?|hours?|years?)\b)"
_ENUMERATION = re.compile(
    rf"""^\s*(?:
        (?:chapter|section|part|appendix|annex|article|schedule|kapitel|abschnitt|teil|anhang|
           chapitre|partie|annexe|cap[i\u00ed]tulo|secci[o\u00f3]n|sezione|capitolo)\s+
        (?:\d+(?:\.\d+)*|[ivxlc]+|[a-z])\b\s*[.:){DASHES}-]*
      | (?:note|item|anmerkung)\s+\d+[a-z]?\b\s*[.:){DASHES}-]*
      | \u00a7\s*\d+[a-z]?
      | (?:[A-Z]\.)?\d+(?:\.\d+)+\s*[.:)]?(?=\s)
      | \d+\s*[.:)]?(?=\s)(?!\s*{_UNIT})
      | (?:[A-Z]\.\d+(?:\.\d+)*|[A-Z][.)]|[IVXLC]+\.|[ivx]+\)|\([a-z0-9]{{1,3}}\))(?=\s)
      | \u7b2c\s*[0-9\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341\u767e]+
        \s*[\u7ae0\u7bc0\u8282\u90e8\u7de8\u7bc7\u6761\u689d]
    )\s*[{DASHES}:-]?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_FOOTNOTE_MARK = re.compile(r"\s+\(\d\)$")
_SENTENCE_MARKS = frozenset(".!?;:\u2026\u3002\uff01\uff1f\uff1a\u0964\u0965\u061f")
# Punctuation that is common in prose of any script.
_PROSE_MARKS = frozenset(".,;:'\"()-?!%/$\u20ac\u00a3" + DASHES + QUOTES) | frozenset(
    "\u3002\uff0c\u3001\uff1b\uff1a\uff1f\uff01\u300c\u300d\u300e\u300f\uff08\uff09\u300a\u300b"
)


def collapse(text: str) -> str:
    """Returns the text on one line with single spaces."""
    return _SPACES.sub(" ", text).strip()


def words(text: str) -> list[str]:
    """Returns the words of a text; each character of an unspaced script is one."""
    return _WORD.findall(text)


def normalise(text: str) -> str:
    """Returns the words of a text in lower case, for comparison."""
    return " ".join(words(unicodedata.normalize("NFKC", text).casefold()))


def sentences(text: str) -> list[str]:
    """Cuts a text into sentences."""
    text = collapse(text)
    found, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        if match["stop"] == "." and _ends_in_abbreviation(text[start : match.start()]):
            continue
        found.append(text[start : match.end()].strip())
        start = match.end()
    if start < len(text):
        found.append(text[start:].strip())
    return found


def _ends_in_abbreviation(text: str) -> bool:
    last = text.rsplit(" ", 1)[-1].lstrip(f"(\"'[{QUOTES}")
    if len(last) == 1:  # an initial: "J. Smith", or the number of a list item
        return last.isalpha() and last.isupper()
    return last.casefold() in lexicon("abbreviations")


def strip_enumeration(heading: str) -> str:
    """Returns a heading without its number: `3.2 Cleaning` gives `Cleaning`."""
    heading = collapse(heading).strip(f" .:;-\u2022{DASHES}")
    heading = _FOOTNOTE_MARK.sub("", heading)
    rest = _ENUMERATION.sub("", heading, count=1).strip()
    return rest if any(character.isalpha() for character in rest) else heading


def is_prose(text: str) -> bool:
    """Whether a text ends like a sentence, unlike labels or cells."""
    return text.rstrip(f"\"')]{QUOTES}")[-1:] in _SENTENCE_MARKS


def is_unspaced(text: str) -> bool:
    """Whether most of the letters belong to a script written without spaces."""
    letters = sum(character.isalpha() for character in text)
    return letters > 0 and len(_UNSPACED_CHARACTER.findall(text)) * 2 > letters


def symbol_ratio(text: str) -> float:
    """Returns the share of characters other than letters, digits, spaces and prose punctuation.

    Letters of all scripts, and their combining marks, are not symbols.
    """
    if not text:
        return 1.0
    odd = sum(
        1
        for character in text
        if not character.isspace()
        and unicodedata.category(character)[0] not in "LNM"
        and character not in _PROSE_MARKS
    )
    return odd / len(text)


def stable_hash(*parts: object) -> int:
    """Returns a 64-bit hash that depends only on the parts: randomness without state."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
