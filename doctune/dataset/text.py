"""Small, language-aware operations on text that every step shares.

Sentences are cut by rules, not by a model: full stops after known abbreviations, single letters,
numbers and before lower-case words do not end one; the full stops of Chinese, Japanese and Hindi
do. Tokens of words are runs of letters and digits; scripts written without spaces count each
character as a word, so that lengths and shingles mean the same for all languages.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

_ABBREVIATIONS = frozenset(
    ["al", "approx", "art", "bzw", "ca", "cf", "ch", "chap", "co", "corp", "dept", "dr", "e.g", "ed", "eds", "eg", "eq", "eqs", "esp", "est", "etc", "ex", "fig", "figs", "gen", "i.e", "ie", "inc", "incl", "jr", "lt", "ltd", "max", "min", "mr", "mrs", "ms", "mt", "no", "nos", "nr", "op", "p", "para", "pp", "prof", "ref", "refs", "rev", "sec", "sect", "sr", "st", "tab", "tel", "u.s", "u.k", "usw", "vgl", "viz", "vol", "vols", "vs", "z.b", "d.h"]
)
_SENTENCE_END = re.compile(
    r"""(?P<wide>[。！？｡।॥؟])[」』”’）)\]]*\s*      # scripts with their own marks need no space
      | (?P<stop>[.!?…])["'”’»)\]]*\s+(?=["'“‘«(\[]*[^\W_a-zß-öø-ÿа-яα-ω])""",
    re.VERBOSE,
)
# Scripts that are written without spaces between words.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002fa1f"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:[.,'’\-][^\W_{_UNSPACED}]+)*")
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_SPACES = re.compile(r"\s+")
_ENUMERATION = re.compile(
    r"""^\s*(?:
        (?:chapter|section|part|appendix|annex|article|schedule|kapitel|abschnitt|teil|anhang|
           chapitre|partie|annexe|cap[ií]tulo|secci[oó]n|sezione|capitolo)\s+
        (?:\d+(?:\.\d+)*|[ivxlc]+|[a-z])\b\s*[.:)–—-]*
      | §\s*\d+[a-z]?
      | (?:[A-Z]\.)?\d+(?:\.\d+)*\s*[.:)]?(?=\s)(?!\s*(?:%|[a-z]{1,2}\b|days?|hours?|years?))
      | (?:[A-Z]\.\d+(?:\.\d+)*|[A-Z][.)]|[IVXLC]+\.|[ivx]+\)|\([a-z0-9]{1,3}\))(?=\s)
      | 第\s*[0-9一二三四五六七八九十百]+\s*[章节節部編篇条條]
    )\s*[–—:-]?\s*""",
    re.VERBOSE | re.IGNORECASE,
)


def collapse(text: str) -> str:
    """Returns the text on one line with single spaces."""
    return _SPACES.sub(" ", text).strip()


def words(text: str) -> list[str]:
    """Returns the words of a text; each character of an unspaced script is one."""
    return _WORD.findall(text)


def normalise(text: str) -> str:
    """Returns what two texts that say the same have in common: words in lower case."""
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
    last = text.rsplit(" ", 1)[-1].lstrip("(\"'“‘[")
    if len(last) == 1:  # an initial: "J. Smith", or the number of a list item
        return last.isalpha() and last.isupper()
    return last.casefold() in _ABBREVIATIONS


def strip_enumeration(heading: str) -> str:
    """Returns a heading without its number: `3.2 Cleaning` gives `Cleaning`."""
    heading = collapse(heading).strip(" .:;–—-•")
    rest = _ENUMERATION.sub("", heading, count=1).strip()
    return rest if any(character.isalpha() for character in rest) else heading


def is_unspaced(text: str) -> bool:
    """Whether most of the letters belong to a script written without spaces."""
    letters = sum(character.isalpha() for character in text)
    return letters > 0 and len(_UNSPACED_CHARACTER.findall(text)) * 2 > letters


def symbol_ratio(text: str) -> float:
    """Returns the share of characters that are neither letters, digits, spaces nor punctuation
    of prose. Letters of every script, and the marks that combine with them, are no symbols.
    """
    if not text:
        return 1.0
    odd = sum(
        1
        for character in text
        if not character.isspace()
        and unicodedata.category(character)[0] not in "LNM"
        and character not in ".,;:'\"()-–—?!%/’‘“”。，、；：？！「」（）€$£"
    )
    return odd / len(text)


def stable_hash(*parts: object) -> int:
    """Returns a 64-bit number that depends on the parts alone: chance without a state."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
