"""Which of two things in a table is heavier, dearer or longer: "Is the tank dearer than the box?"

The two are rows of one table, or columns of one row. The figures under the head that the comparison
is about tell the side; without such figures nothing is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from doctune.knowledge.evidence import Evidence
from doctune.knowledge.figures import figures
from doctune.knowledge.lexical import tokens
from doctune.knowledge.passages import Unit
from doctune.knowledge.polarity import Side
from doctune.knowledge.questions import Question

_TRIED = 8  # units among which the rows must be
# What a comparison measures, its words upwards, and its words downwards.
_MEASURES = (
    ("money", "dearer|more expensive|pricier|costlier|costs? more",
     "cheaper|less expensive|costs? less"),
    ("mass", "heavier|weighs? more", "lighter|weighs? less"),
    ("time", "longer|slower|later", "shorter|faster|quicker|sooner|earlier"),
    ("length", "longer|taller|wider|deeper|higher|bigger|larger|thicker|farther|further",
     "shorter|lower|narrower|smaller|thinner|shallower|nearer"),
    ("volume", "bigger|larger|holds? more", "smaller|holds? less"),
    ("loudness", "louder|noisier", "quieter|less noisy"),
    ("degrees", "hotter|warmer", "colder|cooler"),
    ("power", "stronger|more powerful|(?:draws?|uses?|needs?|consumes?) more",
     "weaker|less powerful|(?:draws?|uses?|needs?|consumes?) less"),
    ("", "faster|quicker", "slower"),
    ("", "more|bigger|larger|higher|greater", "less|fewer|smaller|lower"),
)  # fmt: skip
_MEASURED = tuple(
    (
        name,
        re.compile(rf"\b(?:{up})\b.*\bthan\b", re.I),
        re.compile(rf"\b(?:{down})\b.*\bthan\b", re.I),
    )
    for name, up, down in _MEASURES
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison decided: its side, and the rows that show it."""

    side: Side
    rows: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class _Value:
    """A figure that stands for one of the two things, where it is named in the question."""

    named_at: int
    value: float
    row: Evidence


def compare_rows(question: Question, evidence: Sequence[Evidence]) -> Compared | None:
    """Returns the side of a yes/no question that compares two things of a table, if it is told."""
    if question.form != "yes_no":
        return None
    for dimension, up, down in _MEASURED:
        upwards = bool(up.search(question.asking))
        if not upwards and not down.search(question.asking):
            continue
        for one in evidence[:_TRIED]:
            if one.unit.kind != "row":
                continue
            pair = _in_columns(question, one, dimension) or _in_rows(question, one, dimension)
            if pair is not None:
                first, second = sorted(pair, key=lambda value: value.named_at)
                holds = first.value > second.value if upwards else first.value < second.value
                rows = (first.row,) if first.row.at == second.row.at else (first.row, second.row)
                return Compared("yes" if holds else "no", rows)
    return None


def _in_columns(question: Question, one: Evidence, dimension: str) -> list[_Value] | None:
    """Returns the figures of two columns of a row whose heads a question names."""
    found = []
    for head, value in one.unit.cells:
        at, measured = _place(question, head), _measured(value, dimension)
        if at is not None and measured is not None:
            found.append(_Value(at, measured, one))
    return found if len(found) == 2 else None


def _in_rows(question: Question, one: Evidence, dimension: str) -> list[_Value] | None:
    """Returns the figures, in one column, of two rows of a table whose labels a question names."""
    named = [
        (place, at, unit)
        for at, unit in enumerate(one.passage.units)
        if unit.kind == "row" and (place := _place(question, unit.label)) is not None
    ]
    if len(named) != 2:
        return None
    for head in _heads(question, named[0][2]):
        values = [_measured(dict(unit.cells).get(head, ""), dimension) for _, _, unit in named]
        if None not in values:
            return [
                _Value(place, value, replace(one, at=at))
                for (place, at, _), value in zip(named, values, strict=True)
                if value is not None
            ]
    return None


def _heads(question: Question, row: Unit) -> list[str]:
    """Returns the heads of a row, those with most words of the question first."""
    asked = set(tokens(question.asking))
    return sorted((head for head, _ in row.cells), key=lambda head: -len(asked & set(tokens(head))))


def _place(question: Question, name: str) -> int | None:
    """Returns where a question names a row or column, whatever the number; None if nowhere."""
    name = re.split(r"[,(;]", name)[0].strip()  # "Child, 4 to 15"
    if not name:
        return None
    match = re.search(rf"(?<!\w){re.escape(name)}s?(?!\w)", question.text, re.IGNORECASE)
    return match.start() if match else None


def _measured(value: str, dimension: str) -> float | None:
    for figure in figures(value):
        if not dimension or figure.dimension == dimension:
            return figure.value
    return None
