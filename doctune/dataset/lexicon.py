"""The word lists of the rules, from `lexicon.json`: entries separated by `|`."""

import json
from functools import cache
from pathlib import Path

# Punctuation that looks like ASCII, written as escapes.
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015"
QUOTES = "\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
APOSTROPHES = "'\u2019"
WIDE_COLON = "\uff1a"
WIDE_QUESTION = "\uff1f"


@cache
def _lists() -> dict[str, str]:
    path = Path(__file__).with_name("lexicon.json")
    lists: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return lists


@cache
def lexicon(name: str) -> frozenset[str]:
    """Returns one list of `lexicon.json`."""
    return frozenset(_lists()[name].split("|"))
