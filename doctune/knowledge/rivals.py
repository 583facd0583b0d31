"""Mutually exclusive terms: colours, weekdays, sides, materials.

A question about the red cloth is denied by a sentence that speaks of the blue one: no negation and
no figure shows that.
"""

from __future__ import annotations

import re

_KINDS = tuple(
    re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for words in (
        "black|white|gr[ae]y|red|blue|green|yellow|orange|brown|pink|purple|amber|violet",
        "mondays?|tuesdays?|wednesdays?|thursdays?|fridays?|saturdays?|sundays?",
        "january|february|march|april|may(?= \\d|$)|june|july|august|september|october|november|"
        "december",
        "spring|summer|autumn|winter",
        "north(?:ern)?|south(?:ern)?|east(?:ern)?|west(?:ern)?",
        "left|right(?= (?:side|hand|end|cap|edge|button|key|hook)s?\\b)",
        "morning|noon|evening|night|midnight",
        "steel|aluminium|aluminum|plastic|wood(?:en)?|copper|brass|iron|ceramic|glass",
        "hot|cold|lukewarm",
        "daily|weekly|monthly|yearly|annually",
    )
)

# "In another colour", "on any day": no member of the kind is left out.
_ANY = re.compile(
    r"\b(?:another|any|every|each|all|other|different) (?:\w+ )?(?:colou?rs?|days?|months?|"
    r"seasons?|times?|sides?|materials?|metals?)\b",
    re.IGNORECASE,
)


def other_of_its_kind(question: str, evidence: str) -> bool:
    """Whether evidence names a different term of the same kind (another colour, another day)."""
    if _ANY.search(evidence):
        return False
    for kind in _KINDS:
        asked = {_plain(word) for word in kind.findall(question)}
        said = {_plain(word) for word in kind.findall(evidence)}
        if asked and said and not asked & said:
            return True
    return False


def _plain(word: str) -> str:
    return word.casefold().removesuffix("s").removesuffix("ern").replace("gray", "grey")
