"""Figures in text with their units: `180 days`, `a full year`, `12 %`, `$11.0 billion`.

Figures of one dimension can be compared: days with months, grams with kilograms. Numbers written as
words count as figures where a unit follows.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from doctune.dataset.lexicon import DASHES

_WORDS = {
    "zero": 0, "one": 1, "a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6,
    "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15,
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90,
    "hundred": 100, "half": 0.5,
}  # fmt: skip
# Dimension, and the unit in the dimension's own.
_UNITS: dict[str, tuple[str, float]] = {
    "second": ("time", 1 / 86400), "minute": ("time", 1 / 1440), "hour": ("time", 1 / 24),
    "day": ("time", 1), "week": ("time", 7), "fortnight": ("time", 14), "month": ("time", 30.4),
    "year": ("time", 365), "millimetre": ("length", 0.001), "mm": ("length", 0.001),
    "centimetre": ("length", 0.01), "cm": ("length", 0.01), "metre": ("length", 1),
    "meter": ("length", 1), "m": ("length", 1), "kilometre": ("length", 1000),
    "km": ("length", 1000), "gram": ("mass", 0.001), "g": ("mass", 0.001),
    "kilogram": ("mass", 1), "kg": ("mass", 1), "litre": ("volume", 1), "liter": ("volume", 1),
    "l": ("volume", 1), "millilitre": ("volume", 0.001), "ml": ("volume", 0.001),
    "watt": ("power", 1), "w": ("power", 1), "kilowatt": ("power", 1000), "volt": ("voltage", 1),
    "v": ("voltage", 1), "ampere": ("current", 1), "amp": ("current", 1),
    "newton": ("force", 1), "decibel": ("loudness", 1), "db": ("loudness", 1),
    "hertz": ("frequency", 1), "hz": ("frequency", 1), "degree": ("degrees", 1),
    "crown": ("money", 1), "dollar": ("money", 1), "euro": ("money", 1), "percent": ("share", 1),
    "%": ("share", 1), "people": ("people", 1), "person": ("people", 1),
    "micrometre": ("pore", 1), "baud": ("baud", 1), "pound": ("money", 1), "pence": ("money", 0.01),
    "cent": ("money", 0.01), "franc": ("money", 1), "yen": ("money", 1), "kronor": ("money", 1),
    "rupee": ("money", 1), "lb": ("mass", 0.4536), "ounce": ("mass", 0.02835),
    "tonne": ("mass", 1000), "inch": ("length", 0.0254), "inches": ("length", 0.0254),
    "foot": ("length", 0.3048), "feet": ("length", 0.3048), "mile": ("length", 1609.3),
    "gallon": ("volume", 3.785), "bar": ("pressure", 1), "psi": ("pressure", 0.0689),
    "kilobyte": ("data", 1e3), "kb": ("data", 1e3), "megabyte": ("data", 1e6), "mb": ("data", 1e6),
    "gigabyte": ("data", 1e9), "gb": ("data", 1e9), "terabyte": ("data", 1e12),
    "tb": ("data", 1e12), "kilohertz": ("frequency", 1e3), "khz": ("frequency", 1e3),
    "megahertz": ("frequency", 1e6), "mhz": ("frequency", 1e6), "gigahertz": ("frequency", 1e9),
    "ghz": ("frequency", 1e9), "kw": ("power", 1000),
}  # fmt: skip
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_FIGURE = re.compile(
    rf"(?<![\w.,-])(?P<sign>-|minus )?(?P<currency>[$€£])?(?P<number>{_NUMBER}|"
    rf"(?:{'|'.join(_WORDS)})\b)(?: (?P<scale>thousand|million|billion)\b)?"
    r"[ -]?(?:full |whole |working |square |cubic )?(?P<unit>%|[A-Za-z]+)?",
    re.IGNORECASE,
)

_DASH = f"(?:[{DASHES}-]| to )"
_SPANS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"^\W*(?:from )?(?P<low>-?(?:{_NUMBER})) ?{_DASH} ?(?P<high>-?(?:{_NUMBER}))\b",
        rf"^\W*(?:below|under|up to|at most|less than|to|until|<=?|\u2264) ?"
        rf"(?P<high>-?(?:{_NUMBER}))",
        rf"^\W*(?:above|over|from|at least|more than|>=?|\u2265) ?(?P<low>-?(?:{_NUMBER}))",
        rf"^\W*(?P<high>-?(?:{_NUMBER}))(?: \w+)? (?:or|and) (?:less|fewer|under|below|younger)\b",
        rf"^\W*(?P<low>-?(?:{_NUMBER}))(?: \w+)?(?:\+| (?:or|and) (?:more|above|over|older)\b)",
    )
)


@dataclass(frozen=True, slots=True)
class Span:
    """A range of values: `7 to 14`, `below 7`, `above 14 degrees`."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure.

    Attributes:
        value: In its dimension's own unit.
        dimension: What it counts; empty for a bare number.
        factor: The unit that it is written in, in its dimension's own.
    """

    value: float
    dimension: str
    text: str
    factor: float = 1.0


def figures(text: str) -> list[Figure]:
    """Returns the figures of a text in order."""
    found = []
    for match in _FIGURE.finditer(text):
        number = match["number"].casefold()
        word = number in _WORDS
        value = float(_WORDS[number]) if word else float(number.replace(",", ""))
        value *= _SCALES.get((match["scale"] or "").casefold(), 1.0)
        if match["sign"]:
            value = -value
        unit = (match["unit"] or "").casefold()
        known = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
        if match["currency"]:
            known = ("money", 1.0)
        if word and not known:
            continue
        if number in ("a", "an") and known and known[0] not in ("time",):
            continue
        dimension, factor = known or ("", 1.0)
        found.append(Figure(value * factor, dimension, match[0].strip(), factor))
    return found


_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "twelfth": 12,
}  # fmt: skip
_PLACE = re.compile(
    rf"\b(?:(?P<word>{'|'.join(_ORDINALS)})|(?P<digits>\d+)(?:st|nd|rd|th)) "
    r"(?P<unit>day|night|week|month|year|time)\b|"
    r"\b(?P<before>day|night|week|month|year) (?P<after>\d{1,3})\b",
    re.IGNORECASE,
)
_ONWARD = re.compile(r"\b(?:from|after|since)\b[^.;]*\bon(?:wards?)?\b|\bor later\b", re.IGNORECASE)


def by_place(question: str, evidence: str) -> bool | None:
    """Whether a place in an order, such as day 2, is one that evidence names; None without any.

    "From the fourth day on" leaves out the second and takes in the fifth.
    """
    asked, said = _places(question), _places(evidence)
    for unit, place in asked.items():
        if unit in said:
            return place >= said[unit] if _ONWARD.search(evidence) else place == said[unit]
    return None


def _places(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for match in _PLACE.finditer(text):
        unit = (match["unit"] or match["before"]).casefold()
        number = match["digits"] or match["after"]
        found[unit] = int(number) if number else _ORDINALS[match["word"].casefold()]
    return found


def span_at_start(text: str) -> Span | None:
    """Returns the range that a text begins with, as the label of a table row does."""
    for pattern in _SPANS:
        if match := pattern.match(text):
            said = {
                name: float(value.replace(",", "")) for name, value in match.groupdict().items()
            }
            return Span(said.get("low", -math.inf), said.get("high", math.inf))
    return None


def same(first: Figure, second: Figure) -> bool:
    """Whether two figures are equal, with months and years converted as calendars do."""
    scale = max(abs(first.value), abs(second.value), 1e-9)
    tolerance = 0.02 if first.dimension == "time" else 1e-6
    return first.dimension == second.dimension and abs(first.value - second.value) <= (
        tolerance * scale
    )
