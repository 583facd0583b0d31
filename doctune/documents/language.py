"""Detects the language of a text from its script and most common words, without a model."""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
)
_NOT_LATIN = re.compile("[\u0370-\U0010ffff]")
_LEAST_SHARE = 0.05  # of the letters
_WORD = re.compile(r"[^\W\d_]+")
_SAMPLE_CHARS = 8_000
_MIN_LETTERS = 20


def detect_language(text: str) -> str:
    """Returns the ISO 639-1 code of a text's language, or "" if it is unknown."""
    sample = text[:_SAMPLE_CHARS].lower()
    words = _words(sample)
    letters = sum(map(len, words))
    if letters < _MIN_LETTERS:
        return ""
    scripts = () if sample.isascii() else _SCRIPTS
    # Skips the scripts for a few Greek letters in formulas.
    if scripts and len(_NOT_LATIN.findall(sample)) <= _LEAST_SHARE * letters:
        scripts = ()
    for language, pattern in scripts:
        # A few kana are enough: they distinguish Japanese from Chinese.
        share = _LEAST_SHARE if language == "ja" else 0.3
        if len(pattern.findall(sample)) > share * letters:
            return language
    votes: Counter[str] = Counter()
    vocabulary = _vocabulary()
    for word, count in Counter(words).items():
        for language in vocabulary.get(word, ()):
            votes[language] += count
    if not votes:
        return ""
    language, count = votes.most_common(1)[0]
    return language if count >= max(2, 0.03 * len(words)) else ""


def _words(text: str) -> list[str]:
    # Most words stand alone; the pattern costs several times as much as the test for letters.
    found: list[str] = []
    for part in text.split():
        if part.isalpha():
            found.append(part)
        else:
            found += _WORD.findall(part)
    return found


@cache
def _vocabulary() -> dict[str, list[str]]:
    """Returns the languages of each common word."""
    common = json.loads(Path(__file__).with_name("common_words.json").read_text("utf-8"))
    languages: dict[str, list[str]] = {}
    for language, words in common.items():
        for word in words.split():
            languages.setdefault(word, []).append(language)
    return languages
