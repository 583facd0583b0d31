"""Writing an answer from evidence: quoted spans in the form that the question asks for.

A yes/no question gets its side first; a question that takes something wrong for granted gets "No:";
a table row is read out with its heads, only the columns that are asked for; a list is quoted whole
with what leads in to it. A sentence that begins with "It" brings the one before it. Nothing is said
that is not in the documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from doctune.knowledge.evidence import Evidence, suits
from doctune.knowledge.passages import Passage, Unit
from doctune.knowledge.polarity import (
    Side,
    contradicts,
    denies_premise,
    is_negated,
    leading_side,
    opposite,
    side_of,
    wrong_figure,
)
from doctune.knowledge.questions import Question
from doctune.knowledge.tables import Row

Stems = Callable[[str], list[str]]
_MOST_WORDS = 75  # of an answer that is no list
_NEAR = 0.3  # how far below the best a further unit may score
_LEANS = re.compile(
    r"^(?:it|its|they|their|them|he|she|this|that|these|those|such|then|otherwise|both|neither|each|"
    r"some|if not|if it|in that|after that|for this|for that|the same|here|there|so|but|and|or|"
    r"also|more|least|less|another|others|none|from (?:that|there)|until then)\b"
    r"(?! (?:is|are) (?:a|no|the)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Composed:
    """An answer's words and the evidence that they stand on."""

    text: str
    used: tuple[Evidence, ...]


def compose(
    question: Question,
    evidence: Sequence[Evidence],
    stems: Stems,
    asked_before: Callable[[str], bool],
) -> Composed:
    """Returns the answer that evidence gives.

    Args:
        question: What is asked.
        evidence: Best first; at least one.
        stems: Words of a text as the index counts them.
        asked_before: Whether a heading asks the same as the question.
    """
    first = evidence[0]
    heading = first.passage.heading[-1] if first.passage.heading else ""
    if heading.endswith("?") and asked_before(heading):
        return _answered_in_text(question, first, heading, stems)
    for one in evidence[: 4 if question.form in ("list", "how_to") else 1]:
        if one.score < first.score - _NEAR:
            break
        if (listed := _whole_list(question, one, stems)) is not None:
            return Composed(_with_side(question, listed, one, stems), (one,))
    quoted = [_quote(question, first)]
    used = [first]
    words = len(quoted[0].split())
    for one in evidence[1:6]:
        if len(used) >= 3 or not _adds(question, one, first, quoted, stems):
            continue
        text = _quote(question, one)
        if words + len(text.split()) > _MOST_WORDS or text in quoted[0]:
            continue
        quoted.append(text)
        used.append(one)
        words += len(text.split())
    return Composed(_with_side(question, " ".join(quoted), first, stems), tuple(used))


def _answered_in_text(question: Question, first: Evidence, heading: str, stems: Stems) -> Composed:
    """Quotes the passage under a heading that asks the same question."""
    text = ""
    for unit in first.passage.units:
        if unit.kind == "list" or not text:
            text = f"{text}\n{unit.text}" if text and unit.kind == "list" else unit.text
        elif unit.kind == "sentence" and len(text.split()) + len(unit.text.split()) <= _MOST_WORDS:
            text = f"{text} {unit.text}"
    side = leading_side(text)
    if question.form == "yes_no" and side is not None:
        asks_opposite = is_negated(question) != _asks_negated(heading)
        if asks_opposite != contradicts(question.asking, heading, stems):
            rest = re.sub(r"^\W*(?:yes|no)\b[\s,.:;]*", "", text, flags=re.IGNORECASE)
            text = f"{opposite(side).capitalize()}. {rest[:1].upper()}{rest[1:]}"
        return Composed(text, (first,))
    return Composed(_with_side(question, text, first, stems), (first,))


def _asks_negated(heading: str) -> bool:
    return is_negated(Question(heading, heading, "yes_no"))


def _with_side(question: Question, text: str, first: Evidence, stems: Stems) -> str:
    if question.form == "yes_no":
        if _chooses(question, text):
            return text
        side: Side = leading_side(text) or side_of(question, _stated(first), stems)
        return text if leading_side(text) else f"{side.capitalize()}. {text}"
    if leading_side(text):
        return text
    if denies_premise(question, _stated(first), stems) or wrong_figure(question, _stated(first)):
        return f"No: {text}"
    return text


def _stated(one: Evidence) -> str:
    return one.unit.text if one.unit.kind != "list" else f"{one.unit.lead} {one.unit.text}"


def _chooses(question: Question, text: str) -> bool:
    """Whether a question offers a choice of which the answer names one: `A or B?`."""
    match = re.search(
        r"\b([\w.,-]+)(?: \w+)? or (?:an? |the |by |with )?([\w.,-]+)", question.asking
    )
    if not match or match[2].casefold() in ("not", "no"):
        return False
    named = [
        bool(re.search(rf"\b{re.escape(word.rstrip('?,.'))}", text, re.I))
        for word in match.groups()
    ]
    return named[0] != named[1]


def _whole_list(question: Question, first: Evidence, stems: Stems) -> str | None:
    """Returns the list to quote, where a question asks for one or its lead-in is what was found."""
    unit = first.unit
    if unit.kind == "list":
        return _list_text(unit)
    if question.form not in ("list", "how_to"):
        return None
    wanted = set(stems(question.asking))
    for other in first.passage.units:
        if other.kind != "list" or (
            unit.kind == "item" and other.lead and other.lead not in unit.lead
        ):
            continue
        about = set(stems(" ".join([*first.passage.heading[-1:], other.lead])))
        if len(wanted & about) * 2 >= len(wanted) or (unit.kind == "item" and wanted & about):
            return _list_text(other)
    return None


def _list_text(unit: Unit) -> str:
    return f"{unit.lead}\n{unit.text}" if unit.lead else unit.text


def _quote(question: Question, one: Evidence) -> str:
    """Returns a unit as it is quoted."""
    unit = one.unit
    if unit.kind == "row":
        return _row_text(question, unit)
    if unit.kind == "item" and unit.lead.endswith(":"):
        return f"{unit.lead} {unit.text}"
    if unit.kind == "sentence" and one.at and _LEANS.match(unit.text):
        before = one.passage.units[one.at - 1]
        if before.kind == "sentence" and len(before.text.split()) <= 40:
            return f"{before.text} {unit.text}"
    return unit.text


def _row_text(question: Question, unit: Unit) -> str:
    row = Row(unit.label, unit.head, unit.cells)
    text = row.text(_asked_columns(question, unit))
    unscaled = re.search(r"\bshares?\b|\bper\b|%", f"{unit.label} {text}", re.IGNORECASE)
    scale = f" {unit.scale}" if unit.scale and not unscaled else ""
    return f"{text}{scale}."


def _asked_columns(question: Question, unit: Unit) -> frozenset[int] | None:
    """Returns the cells whose heads a question names, where heads are things and not properties."""
    if len(unit.cells) < 2:
        return None
    asked = question.text.casefold()
    named = frozenset(
        at
        for at, (head, _) in enumerate(unit.cells)
        if head and re.search(rf"\b{re.escape(head.casefold())}\b", asked)
    )
    things = sum(any(map(str.isdigit, head)) for head, _ in unit.cells) >= len(unit.cells) - 1
    return named if named and things and len(named) < len(unit.cells) else None


def _adds(
    question: Question, one: Evidence, first: Evidence, quoted: list[str], stems: Stems
) -> bool:
    """Whether a further unit belongs into the answer."""
    if one.unit.kind == "list" or one.score < first.score - _NEAR:
        return False
    same_table = one.unit.kind == first.unit.kind == "row"
    if same_table and one.hit.passage == first.hit.passage:
        return False
    wanted = set(stems(question.asking))
    said = set(stems(" ".join(quoted)))
    new = (set(stems(one.unit.text)) & wanted) - said
    lacking = not suits(question, " ".join(quoted)) and suits(question, one.unit.text)
    return bool(new) or lacking or one.hit.passage == first.hit.passage


def passage_text(passage: Passage, most: int = 120) -> str:
    """Returns the beginning of a passage, cut between words."""
    words = passage.text.split(" ")
    return passage.text if len(words) <= most else " ".join(words[:most]) + " …"
