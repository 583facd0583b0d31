"""Figures in text, with what they count: `180 days`, `a full year`, `12 %`, `$11.0 billion`.

Figures of one dimension can be compared: days with months, grams with kilograms. Numbers written as
words count as figures where a unit follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
    "micrometre": ("pore", 1), "baud": ("baud", 1),
}  # fmt: skip
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_FIGURE = re.compile(
    rf"(?<![\w.,-])(?P<sign>-|minus )?(?P<currency>[$€£])?(?P<number>{_NUMBER}|"
    rf"(?:{'|'.join(_WORDS)})\b)(?: (?P<scale>thousand|million|billion)\b)?"
    r"[ -]?(?:full |whole |working |square |cubic )?(?P<unit>%|[A-Za-z]+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: its value in its dimension's own unit; the dimension is empty for a bare number."""

    value: float
    dimension: str
    text: str


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
        found.append(Figure(value * factor, dimension, match[0].strip()))
    return found


def same(first: Figure, second: Figure) -> bool:
    """Whether two figures say the same, months and years taken as calendars do."""
    scale = max(abs(first.value), abs(second.value), 1e-9)
    tolerance = 0.02 if first.dimension == "time" else 1e-6
    return first.dimension == second.dimension and abs(first.value - second.value) <= (
        tolerance * scale
    )
