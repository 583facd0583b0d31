"""Text as it should have been written: words whole again, ligatures undone, nothing invisible."""

import re
from collections.abc import Iterable
from functools import cached_property

from doctune.documents.language import detect_language
from doctune.documents.lines import Line

_HYPHENS = "-\u00ad\u2010"
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_FIRST_CJK = "\u3040"
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
# Control characters that fonts without a map leave behind.
_REPLACED.update({chr(code): "" for code in range(32) if code not in (2, 9, 10)})
_NEEDS_CLEANING = re.compile("[" + "".join(map(re.escape, sorted(_REPLACED))) + "]")
_SPACES = re.compile(r"(?<=\S) {2,}")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_LAST_WORD = re.compile(r"[^\W\d_]+(?=-$)")
# Beginnings that are words and far more often part of a longer one.
_PREFIXES = re.compile(
    "a|an|any|be|by|con|counter|down|ever|every|for|fore|hand|in|inter|micro|mid|mini|multi|no|non|"
    "on|one|out|over|per|pre|pro|re|semi|some|sub|super|there|to|trans|under|up|where|with"
)
_MIN_COMPOUND = 3


class Vocabulary:
    """The words of a document, to tell a hyphen that breaks a word from one that belongs to it.

    `multi-⏎threaded` may be either. What the rest of the document writes decides; where it says
    nothing, English keeps the hyphen between two words that stand alone elsewhere, and everything
    else is joined, as typesetters break many more words than they end lines in compounds.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = [line for line in lines if not line.kind]

    @cached_property
    def _words(self) -> set[str]:
        # The halves of broken words are no words. Words that only stand before commas are missed:
        # that is rare, and looking at every character is not.
        whole = (line.text.rpartition(" ")[0] if line.hyphen else line.text for line in self._lines)
        return set("\n".join(whole).lower().split())

    @cached_property
    def _english(self) -> bool:
        middle = len(self._lines) // 3
        return detect_language("\n".join(line.text for line in self._lines[middle:])) == "en"

    def keeps_hyphen(self, text: str, following: str) -> bool:
        """Tells whether the hyphen that `text` ends in belongs between it and `following`."""
        before, after = _LAST_WORD.search(text[-40:]), _FIRST_WORD.match(following)
        if not before or not after:
            return False
        one, other = before.group().lower(), after.group().lower()
        if one + other in self._words:
            return False
        if f"{one}-{other}" in self._words:
            return True
        # A compound of three words or more keeps all its hyphens.
        if following[after.end() : after.end() + 1] == "-":
            return True
        long_enough = min(len(one), len(other)) >= _MIN_COMPOUND and not _PREFIXES.fullmatch(one)
        return long_enough and one in self._words and other in self._words and self._english


def join_lines(parts: list[str], vocabulary: Vocabulary | None = None) -> str:
    """Joins the lines of a paragraph: words broken at a line's end become whole again."""
    if len(parts) == 1:
        return clean_text(parts[0])
    last = parts[0]
    joined = [last]
    for part in parts[1:]:
        end = last[-1:]
        if end in _HYPHENS and breaks_word(last) and part[:1].islower():
            if vocabulary is None or not vocabulary.keeps_hyphen(last, part):
                joined[-1] = joined[-1][:-1]
        elif end < _FIRST_CJK or not _CJK.match(end) or not _CJK.match(part):
            joined.append(" ")
        joined.append(part)
        last = part
    return clean_text("".join(joined))


def clean_text(text: str) -> str:
    """Undoes ligatures and drops characters that show nothing."""
    if text.isascii() and text.isprintable():
        return text
    cleaned = _NEEDS_CLEANING.sub(lambda match: _REPLACED[match.group()], text)
    return _SPACES.sub(" ", cleaned) if cleaned is not text and "  " in cleaned else cleaned


def breaks_word(text: str) -> bool:
    """Tells whether a line ends in a hyphen after a letter."""
    return text[-1:] in _HYPHENS and text[-2:-1].isalpha()
