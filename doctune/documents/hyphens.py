"""Hyphens at line ends: decides which ones break a word and which ones belong to it."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from functools import cached_property

from doctune.documents.language import detect_language
from doctune.documents.lines import Line

HYPHENS = "-\u00ad\u2010"
_ENDS = tuple(HYPHENS)
_FIRST_TOKEN = re.compile(r"\S+")
_SAMPLE_LINES = 200
_SOFT = "\u00ad"
_LETTERS = re.compile(r"[^\W\d_]+")
# Prefixes that are also words, but far more often part of a longer one.
_PREFIXES = re.compile(
    "a|an|any|be|by|con|counter|down|ever|every|for|fore|further|hand|how|in|inter|micro|mid|mini|"
    "more|multi|no|non|on|one|out|over|per|pre|pro|re|semi|some|sub|super|there|to|trans|under|up|"
    "what|where|with"
)
# Words after which, and before which, English always keeps the hyphen.
_APART_AFTER = frozenset({"non", "self"})
_APART_BEFORE = frozenset(
    {"based", "compatible", "dependent", "driven", "independent", "oriented", "sized", "specific"}
)
# Words after a suspended hyphen: "Vor- und Nachteile".
_SUSPENDING = re.compile(r"(?:and|bis|oder|sowie|und)(?!\w)")
_MIN_COMPOUND = 3
_MIN_SEEN = 2


class Vocabulary:
    """The words of a document, which decide whether a hyphen at a line end is kept.

    `multi-⏎threaded` may be one word or a compound. The spelling in the rest of the document
    decides. Without evidence, English keeps the hyphen between two words that occur on their own
    elsewhere. Everything else is joined, since broken words are much more common than compounds.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = [line for line in lines if not line.kind]

    def keeps_hyphen(self, text: str, following: str) -> bool:
        """Returns whether the hyphen that `text` ends in belongs between it and `following`."""
        token = text.rpartition(" ")[2]
        before, after = _LETTERS.match(token[-2::-1]), _LETTERS.match(following)
        if not before or not after or token[-1] == _SOFT:
            return False
        if "/" in token:
            return True  # an address or a path
        one, other = before.group()[::-1].lower(), after.group().lower()
        if one + other in self._words:
            return False
        # A compound of three words or more keeps all its hyphens.
        if f"{one}-{other}" in self._words or following[after.end() : after.end() + 1] == "-":
            return True
        known = one in self._words and other in self._words
        if known and token[-2 - len(one) : -1 - len(one)] in _ENDS:
            return True
        if self._beginnings[one] >= _MIN_SEEN and self._surplus_apart(one) > 0:
            return True
        if not self._english:
            return False
        if one in _APART_AFTER:
            return self._surplus_apart(one) >= 0
        if one in self._words and other in _APART_BEFORE:
            return True
        long_enough = min(len(one), len(other)) >= _MIN_COMPOUND and not _PREFIXES.fullmatch(one)
        return long_enough and known

    @cached_property
    def _words(self) -> set[str]:
        # Leaves out the halves of broken words. Words that occur only before commas are missed,
        # which is rare; a finer split would cost more than it gains.
        parts = "\n".join([line.text for line in self._lines]).lower().split("-\n")
        for index in range(1, len(parts)):
            part = parts[index - 1]
            parts[index - 1] = part[: max(part.rfind(" "), part.rfind("\n"), 0)]
            parts[index] = _FIRST_TOKEN.sub("", parts[index], count=1)
        return set("\n".join(parts).split())

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self._words)

    @cached_property
    def _beginnings(self) -> Counter[str]:
        """Returns how many words begin with each prefix and a hyphen."""
        compounds = [word.partition("-") for word in self._words if "-" in word]
        return Counter(first for first, _, rest in compounds if rest[:1].isalpha())

    @cached_property
    def _english(self) -> bool:
        middle = len(self._lines) // 3
        sample = self._lines[middle : middle + _SAMPLE_LINES]
        return detect_language("\n".join(line.text for line in sample)) == "en"

    def _surplus_apart(self, one: str) -> int:
        """Returns how many more words have a hyphen after a prefix than continue without one."""
        words, length = self._sorted, len(one)
        joined = 0
        for place in range(bisect_left(words, one), len(words)):
            if not words[place].startswith(one):
                break
            joined += words[place][length:].isalpha()
        return self._beginnings[one] - joined


def breaks_word(text: str) -> bool:
    """Returns whether a line ends in a hyphen after a letter."""
    return text[-1:] in HYPHENS and text[-2:-1].isalpha()


def is_suspended(following: str) -> bool:
    """Returns whether a hyphen before this text is suspended (stands for a shared word part)."""
    return _SUSPENDING.match(following) is not None
