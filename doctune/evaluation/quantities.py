"""Parses quantities, dates and times of day in English text.

"sixty-six litres", "66 l" and "66 litres a day" are the same quantity; "16 m/s" and "16 km/h" are
not. Numbers that are part of a name ("Nimbrel 7", "TK-0007", "A02") are not quantities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from doctune.evaluation.units import alike, scale_of, unit_of, with_short_phrases
from doctune.evaluation.wording import STOP_WORDS, stem

IDENTIFIER = re.compile(
    r"(?:/[\w-]+(?:\.[\w-]+)*){2,}|\b[A-Za-z]{1,6}-?\d{3,}[\w-]*|\b[A-Za-z]{2,4} 0\d{2,}\b"
    r"|\b[A-Z]{1,3}\d{1,3}\b|\b[A-Z]{1,5}-\d[\w-]*"
)
NAMED = re.compile(r"\b([A-Z][a-z]+) (\d{1,4})\b(?![.,]\d)")

_MONTH_TEXT = (
    "january february march april may june july august september october november december"
)
_MONTHS = _MONTH_TEXT.split()
_MONTH = "|".join(_MONTHS)
_DATES = (
    rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<mon>{_MONTH})\b(?:,? (?P<y>\d{{4}}))?",
    rf"\b(?P<mon>{_MONTH}) (?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\d)(?:,? (?P<y>\d{{4}}))?",
    r"\b(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})\b",
    r"\b(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})\b",
)
_CLOCK = re.compile(
    r"\b(?P<h>\d{1,2}):(?P<m>\d{2})(?::\d{2})?\s*(?P<half>[ap]\.?m\b\.?)?"
    r"|\b(?P<h2>\d{1,2})\s*(?P<half2>[ap]\.?m\b\.?)"
    r"|\b(?P<h3>\d{1,2}) o['\u2019]clock\b",
    re.IGNORECASE,
)
_UNIT_TEXT = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_UNITS = _UNIT_TEXT.split()
_TEN_TEXT = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = _TEN_TEXT.split()
_WORDS = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_SPELLED = rf"(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_UNITS[1:10])}))?|{'|'.join(_UNITS[::-1])}"
_NUMBER = re.compile(
    rf"(?P<money>US\$|[$€£¥])?\s?(?P<sign>(?<![\w)])[-\u2212]|\bminus )?"
    rf"(?:(?P<digits>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)|\b(?P<words>{_SPELLED})\b)"
    r"(?P<half> and a half)?",
    re.IGNORECASE,
)
_AFTER = re.compile(r"[ \u00a0-]?([%°℃$€£¥]\w?|[^\W\d_]+(?:/[^\W\d_]+)?)")
_PER = re.compile(r" ?(?:/|per) ?([^\W\d_]+)", re.IGNORECASE)
_PHRASES = (
    (r"\b(?:a )?quarter of an hour\b", "15 minutes"),
    (r"\bhalf an hour\b", "30 minutes"),
    (r"\bhalf a year\b", "6 months"),
    (r"\b(?:a )?quarter of a year\b", "3 months"),
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit.

    Attributes:
        value: In the base unit of its dimension; for a date yyyymmdd, for a time minutes.
        written: The number as written in the text.
        unit: The dimension, "date", "time", "" for a number without unit, or the noun after it.
        known: Whether `unit` is a dimension rather than a noun.
        per: The unit of a rate's denominator; "" if it is not a rate.
        text: Its text, as normalised by `plain`.
    """

    value: float
    written: float
    unit: str
    known: bool
    per: str
    text: str
    start: int
    end: int

    def measures_like(self, other: Quantity) -> bool:
        """Returns whether two quantities are comparable; a number without unit fits every unit."""
        if not self.unit or not other.unit:
            return not {"date", "time"} & {self.unit, other.unit}
        if self.known != other.known:
            return False
        rates = not self.per or not other.per or self.per == other.per
        return rates and (alike(self.unit, other.unit) if self.known else self.unit == other.unit)

    def same(self, other: Quantity) -> bool:
        """Returns whether two quantities are equal, as far as their units are known."""
        if not self.measures_like(other):
            return False
        if self.unit == "date":
            years = {self.value // 10_000, other.value // 10_000} - {0}
            return self.value % 10_000 == other.value % 10_000 and len(years) < 2
        if not self.unit or not other.unit:
            return _close(self.written, other.written)
        return _close(self.value, other.value)


def read_quantities(text: str) -> list[Quantity]:
    """Returns the quantities of a text in order; positions refer to `plain(text)`."""
    text = plain(text)
    found: list[Quantity] = []
    for reader in (_dates, _times):
        for quantity in reader(text):
            found.append(quantity)
            text = _blank(text, quantity.start, quantity.end)
    for pattern in (IDENTIFIER, NAMED):
        for match in pattern.finditer(text):
            if pattern is IDENTIFIER or _is_name(match, text):
                text = _blank(text, match.start(), match.end())
    found += _numbers(text)
    return sorted(found, key=lambda quantity: quantity.start)


def read_names(text: str) -> list[tuple[int, str]]:
    """Returns names with a number ("tk0007", "nimbrel 7"), with their positions."""
    names = [
        (match.start(), re.sub(r"[\s-]", "", match[0]).lower())
        for match in IDENTIFIER.finditer(text)
    ]
    names += [
        (match.start(), match[0].lower()) for match in NAMED.finditer(text) if _is_name(match, text)
    ]
    return sorted(names)


def without_names(text: str) -> str:
    """Returns a text without the names that `read_names` finds."""
    return NAMED.sub(" ", IDENTIFIER.sub(" ", text))


def plain(text: str) -> str:
    """Normalises phrases such as "half an hour" and "per cent" to figures and symbols."""
    text = re.sub(r"half past (\w+)", _half_past, text, flags=re.IGNORECASE)
    for pattern, plain in _PHRASES:
        text = re.sub(pattern, plain, text, flags=re.IGNORECASE)
    return with_short_phrases(text)


def _half_past(match: re.Match[str]) -> str:
    hour = _WORDS.get(match[1].lower(), match[1])
    return f"{hour}:30"


def _dates(text: str) -> Iterator[Quantity]:
    for pattern in _DATES:
        for match in re.finditer(pattern, text, re.IGNORECASE):
            parts = match.groupdict()
            named = parts.get("mon")
            month = _MONTHS.index(named.lower()) + 1 if named else int(parts["m"])
            value = int(parts.get("y") or 0) * 10_000 + month * 100 + int(parts["d"])
            yield Quantity(value, value, "date", True, "", match[0], *match.span())
            text = _blank(text, *match.span())


def _times(text: str) -> Iterator[Quantity]:
    for match in _CLOCK.finditer(text):
        hour = int(match["h"] or match["h2"] or match["h3"])
        half = (match["half"] or match["half2"] or "").lower()
        if half.startswith("p") and hour < 12:
            hour += 12
        elif half.startswith("a") and hour == 12:
            hour = 0
        minutes = 60 * hour + int(match["m"] or 0)
        yield Quantity(minutes, minutes, "time", True, "", match[0], *match.span())


def _numbers(text: str) -> Iterator[Quantity]:
    for match in _NUMBER.finditer(text):
        value = (
            float(match["digits"].replace(",", ""))
            if match["digits"]
            else float(_spelled(match["words"]))
        )
        if match["half"]:
            value += 0.5
        if match["sign"]:
            value = -value
        quantity = _with_unit(value, match, text)
        # "one" is more often a pronoun than a number.
        if (match["words"] or "").lower() != "one" or quantity.unit:
            yield quantity


def _with_unit(value: float, match: re.Match[str], text: str) -> Quantity:
    end, factor, unit, known, per = match.end(), 1.0, "", False, ""
    money = match["money"]
    if money:
        unit, known = (unit_of(money) or ("dollar", 1.0))[0], True
    for _ in range(3):
        after = _AFTER.match(text, end)
        if after is None:
            break
        word = after[1]
        scale, found = scale_of(word), unit_of(word)
        if found is None and "/" in word and (head := unit_of(word.split("/")[0])):
            found, per = head, _dimension(word.split("/")[1])
        if scale:
            factor *= scale
            end = after.end()
        elif found and not (money and unit):
            unit, known, factor, end = found[0], True, factor * found[1], after.end()
            if rate := _PER.match(text, end):
                per, end = _dimension(rate[1]), rate.end()
            break
        elif unit or word.lower() in STOP_WORDS or not word[0].isalpha():
            break
        elif (next_word := _AFTER.match(text, after.end())) and unit_of(next_word[1]):
            end = after.end()  # "12 working days"
        else:
            unit, end = _noun(word, text, after.end())
            break
    written = text[match.start() : end].strip()
    return Quantity(value * factor, value, unit, known, per, written, match.start(), end)


def _noun(word: str, text: str, end: int) -> tuple[str, int]:
    """Returns the noun that a number counts: the last of the words that may be nouns."""
    while (after := _AFTER.match(text, end)) and _may_be_noun(after[1]):
        word, end = after[1], after.end()
    return stem(word.lower()), end


def _may_be_noun(word: str) -> bool:
    return word.isalpha() and word.islower() and word not in STOP_WORDS and word.endswith("s")


def _dimension(word: str) -> str:
    found = unit_of(word)
    return found[0] if found else stem(word.lower())


def _spelled(words: str) -> int:
    return sum(_WORDS[part] for part in re.split(r"[- ]", words.lower()))


def _is_name(match: re.Match[str], text: str) -> bool:
    """Returns whether it is a name ("Nimbrel 7"), unlike "Until 30 September"."""
    if match[1].lower() in STOP_WORDS or match[1].lower() in _MONTHS:
        return False
    after = _AFTER.match(text, match.end())
    return after is None or not (unit_of(after[1]) or scale_of(after[1]))


def _blank(text: str, start: int, end: int) -> str:
    return text[:start] + "\0" * (end - start) + text[end:]


def _close(first: float, second: float) -> bool:
    return abs(first - second) <= 1e-9 * max(abs(first), abs(second), 1.0)
