"""Units of measurement: names, plurals, symbols, SI prefixes and conversions."""

from __future__ import annotations

import re
from functools import cache, partial

# Names and symbols of units that take SI prefixes, by dimension.
_PREFIXED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "length": (("metre", "meter"), ("m",)),
    "mass": (("gram", "gramme"), ("g",)),
    "volume": (("litre", "liter"), ("l", "L")),
    "second": (("second",), ("s",)),
    "power": (("watt",), ("W",)),
    "voltage": (("volt",), ("V",)),
    "current": (("ampere", "amp"), ("A",)),
    "frequency": (("hertz",), ("Hz",)),
    "force": (("newton",), ("N",)),
    "pressure": (("pascal",), ("Pa",)),
    "energy": (("joule",), ("J",)),
    "resistance": (("ohm",), ("Ω", "Ohm")),
    "capacitance": (("farad",), ("F",)),
    "conductance": (("siemens",), ("S",)),
    "data": (("byte",), ("B",)),
}
_PREFIXES = {
    ("", ""): 1.0,
    ("nano", "n"): 1e-9,
    ("micro", "µ"): 1e-6,
    ("micro", "μ"): 1e-6,
    ("micro", "u"): 1e-6,
    ("milli", "m"): 1e-3,
    ("centi", "c"): 1e-2,
    ("kilo", "k"): 1e3,
    ("mega", "M"): 1e6,
    ("giga", "G"): 1e9,
    ("tera", "T"): 1e12,
}
# Dimension, factor, and all spellings.
_OTHERS: tuple[tuple[str, float, str], ...] = (
    ("second", 1, "sec secs"),
    ("second", 60, "min mins minute minutes"),
    ("second", 3600, "h hr hrs hour hours"),
    ("second", 86_400, "day days"),
    ("second", 604_800, "week weeks"),
    ("month", 1, "month months"),
    ("month", 12, "year years"),
    ("percent", 1, "% percent"),
    ("degree", 1, "degree degrees °"),
    ("degree celsius", 1, "°C ℃ celsius"),
    ("degree fahrenheit", 1, "°F fahrenheit"),
    ("dollar", 1, "dollar dollars $ USD US$"),
    ("euro", 1, "euro euros € EUR"),
    ("pound", 1, "pound pounds £ GBP"),
    ("crown", 1, "crown crowns"),
    ("yen", 1, "yen ¥ JPY"),
    ("franc", 1, "franc francs CHF"),
    ("torque", 1, "Nm N·m"),
    ("loudness", 1, "dB decibel decibels"),
    ("data", 1024, "KB KiB"),
    ("data", 1024**2, "MiB"),
    ("data", 1024**3, "GiB"),
    ("baud", 1, "baud"),
    ("speed", 1 / 3.6, "km/h kmh kph"),
    ("length", 0.0254, "inch inches"),
    ("length", 0.3048, "foot feet ft"),
    ("length", 1609.344, "mile miles"),
    ("mass", 1000, "tonne tonnes"),
)
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "bn": 1e9}
_PHRASES = {
    "per cent": "percent",
    "degrees celsius": "°C",
    "degrees fahrenheit": "°F",
    "degree celsius": "°C",
    "degrees c": "°C",
    "newton metres": "Nm",
    "newton meters": "Nm",
    "kilometres per hour": "km/h",
    "kilometers per hour": "km/h",
}


@cache
def _table() -> tuple[dict[str, tuple[str, float]], dict[str, tuple[str, float]]]:
    """Returns the units by name in lower case, and by case-sensitive symbol."""
    names: dict[str, tuple[str, float]] = {}
    symbols: dict[str, tuple[str, float]] = {}
    for dimension, (words, signs) in _PREFIXED.items():
        for (prefix, short), factor in _PREFIXES.items():
            for word in words:
                names[prefix + word] = names[f"{prefix}{word}s"] = (dimension, factor)
            for sign in signs:
                symbols.setdefault(short + sign, (dimension, factor))
    for dimension, factor, spellings in _OTHERS:
        for spelling in spellings.split():
            home = names if spelling.islower() and len(spelling) > 1 else symbols
            home[spelling] = (dimension, factor)
    for common in ("h", "s", "l", "g", "kg", "cm", "mm", "km", "ml", "mg"):
        symbols.setdefault(common.upper() if len(common) > 1 else common, symbols[common])
    return names, symbols


def unit_of(word: str) -> tuple[str, float] | None:
    """Returns a unit's dimension, and its factor to the base unit."""
    names, symbols = _table()
    return symbols.get(word) or names.get(word.lower())


def scale_of(word: str) -> float | None:
    """Returns the factor of a word such as "million"."""
    return _SCALES.get(word.lower())


def with_short_phrases(text: str) -> str:
    """Abbreviates units of several words, keeping the length of the text."""
    for phrase, short in _PHRASES.items():
        pattern = r"\b" + phrase.replace(" ", r"\s+") + r"\b"
        text = re.sub(pattern, partial(_as_long, short), text, flags=re.IGNORECASE)
    return text


def _as_long(short: str, match: re.Match[str]) -> str:
    return short.ljust(len(match[0]))


def alike(first: str, second: str) -> bool:
    """Returns whether two dimensions are comparable; "degrees" may be of either scale."""
    if first == second:
        return True
    both = {first, second}
    return "degree" in both and any(name.startswith("degree ") for name in both)
