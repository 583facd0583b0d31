"""Composes an answer from quoted evidence, in the form that the question asks for.

A yes/no question gets its side first; a question that takes something wrong for granted gets "No:";
a table row is read out with its heads, only the columns that are asked for; a list is quoted whole
with what leads in to it. A sentence that begins with "It" brings the one before it. Nothing is said
that is not in the documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from doctune.knowledge.evidence import Evidence, names_code
from doctune.knowledge.passages import Passage, Unit
from doctune.knowledge.polarity import (
    Side,
    contradicts,
    denies,
    denies_premise,
    forbids_beside,
    is_negated,
    leading_side,
    opposite,
    side_of,
    wrong_detail,
)
from doctune.knowledge.questions import Question
from doctune.knowledge.tables import Row

Stems = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Named:
    """How closely a question matches a heading.

    Attributes:
        share: Of the heading's words, how many the question says, in these or in near words.
        weight: Of those that it says, the sum of their rarities.
    """

    share: float
    weight: float


_MOST_WORDS = 90  # of an answer that is no list
_PROCEDURE_WORDS, _EXPLANATION_WORDS, _PARAGRAPH_WORDS = 70, 50, 90
_LISTS_TRIED, _STEPS_TRIED = 6, 12
_NAMED = 0.7  # of a heading's words, that a question must say to ask for the steps under it
_ABOUT = 0.3  # of a question's words, by rarity, that what leads to a list must have
_NEAR_DENIAL = 0.35
_ABOUT_IT = 0.45  # of a question's words, by rarity, that what denies it must say
_NEAR = 0.3  # how far below the best a list may score that is quoted in its place
_NEAR_ENOUGH = 0.5  # the same for what is quoted beside the best
_LEANS = re.compile(
    r"^(?:it|its|they|their|them|he|she|this|that|these|those|such|then|otherwise|both|neither|each|"
    r"some|if not|if it|in that|after that|for this|for that|the same|here|there|so|but|and|or|"
    r"also|more|least|less|another|others|none|from (?:that|there)|until then)\b"
    r"(?! (?:is|are) (?:a|no|the)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Composed:
    """An answer's text and the evidence that it quotes."""

    text: str
    used: tuple[Evidence, ...]


def compose(
    question: Question,
    evidence: Sequence[Evidence],
    stems: Stems,
    asked_before: Callable[[str], bool],
    rarity: Callable[[str], float],
    names: Callable[[str], Named],
) -> Composed:
    """Returns the answer that evidence gives.

    Args:
        question: What is asked.
        evidence: Best first; at least one.
        stems: Words of a text as the index counts them.
        asked_before: Whether a heading asks the same as the question.
        rarity: How much a stem tells, by how seldom it is.
        names: How far the question names what a heading does.
    """
    for one in evidence[:3]:
        heading = one.passage.heading[-1] if one.passage.heading else ""
        near = one.score >= evidence[0].score - _NEAR
        if near and heading.endswith("?") and asked_before(heading):
            return _answered_in_text(question, one, heading, stems)
    evidence = _denial_first(question, evidence, stems)
    first = evidence[0]
    if (denied := _denied_beside(question, first, stems)) is not None:
        return Composed(f"No. {denied}", (first,))
    heading = first.passage.heading[-1] if first.passage.heading else ""
    listed = _list_asked(question, evidence, stems, rarity)
    if question.form == "how_to" and (listed is None or listed[0] is not first):
        listed = _named_steps(evidence, names) or listed
    if listed is not None:
        one, text = listed
        return Composed(_with_side(question, text, one, stems), (one,))
    if (
        question.form in ("open", "definition", "how_to", "reason")
        and heading
        and names_code(question.text, heading)
    ):
        return Composed(f"{heading}: {_lead(first.passage)}", (first,))
    quoted = [_continued(question, first)]
    used = [first]
    words = len(quoted[0].split())
    for one in evidence[1:6]:
        if len(used) >= 3 or not _adds(one, first):
            continue
        text = _quote(question, one)
        if words + len(text.split()) > _MOST_WORDS or text in quoted[0]:
            continue
        quoted.append(text)
        used.append(one)
        words += len(text.split())
    return Composed(_with_side(question, " ".join(quoted), first, stems), tuple(used))


def _denial_first(
    question: Question, evidence: Sequence[Evidence], stems: Stems
) -> Sequence[Evidence]:
    """Moves evidence to the front that denies a yes/no question, where the best is only near it."""
    if question.form != "yes_no":
        return evidence
    first = evidence[0]
    for one in evidence[:4]:
        near = one.score >= first.score - _NEAR_DENIAL and one.covered >= first.covered
        if near and denies(question, one.unit.text, stems):
            return [one, *(other for other in evidence if other is not one)]
    return evidence


def _denied_beside(question: Question, one: Evidence, stems: Stems) -> str | None:
    """Returns a sentence with the one beside it that denies what a yes/no question asks.

    "Scrape a sting out sideways. Do not pull it with two fingers" answers whether one may pull.
    """
    units = one.passage.units
    if question.form != "yes_no" or one.unit.kind != "sentence" or is_negated(question):
        return None
    if side_of(question, one.unit.text, stems) == "no":
        return None
    for at in (one.at + 1, one.at - 1):
        if not 0 <= at < len(units) or not _goes_together(units[at], one.unit):
            continue
        beside = units[at].text
        if denies_premise(replace(question, form="open"), beside, stems) or forbids_beside(
            question, one.unit.text, beside, stems
        ):
            pair = sorted((at, one.at))
            return " ".join(units[number].text for number in pair)
    return None


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


def _lead(passage: Passage, most: int = _MOST_WORDS) -> str:
    """Returns the first sentences of a passage."""
    text = ""
    for unit in passage.units:
        if unit.kind == "sentence" and len(f"{text} {unit.text}".split()) <= most:
            text = f"{text} {unit.text}".strip()
    return text or passage.units[0].text


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
    denied = first.covered >= _ABOUT_IT and denies_premise(question, _stated(first), stems)
    if denied or wrong_detail(question, _stated(first)):
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


def _list_asked(
    question: Question, evidence: Sequence[Evidence], stems: Stems, rarity: Callable[[str], float]
) -> tuple[Evidence, str] | None:
    """Returns the list that answers, where a question asks for one or the best unit is one."""
    first = evidence[0]
    if question.form not in ("list", "how_to"):
        return (first, _list_text(first.unit)) if first.unit.kind == "list" else None
    for one in evidence[:_LISTS_TRIED]:
        if one.score < first.score - _NEAR:
            break
        if one.unit.kind == "list":
            return one, _list_text(one.unit)
        if one is first and (text := _whole_list(question, one, stems, rarity)) is not None:
            return one, text
    return None


def _named_steps(
    evidence: Sequence[Evidence], names: Callable[[str], Named]
) -> tuple[Evidence, str] | None:
    """Returns the list under a heading that names what is to be done: "Washing the cistern".

    None where the heading of the best evidence is named as much.
    """

    def named(one: Evidence) -> Named:
        return names(one.passage.heading[-1]) if one.passage.heading else Named(0.0, 0.0)

    most = named(evidence[0]).weight
    best: tuple[Evidence, str] | None = None
    for one in evidence[:_STEPS_TRIED]:
        lists = [unit for unit in one.passage.units if unit.kind == "list"]
        heading = named(one)
        if lists and heading.share >= _NAMED and heading.weight > most:
            best, most = (one, _list_text(lists[0])), heading.weight
    return best


def _continued(question: Question, one: Evidence) -> str:
    """Returns a quoted unit with the sentences after it in its paragraph, up to a limit.

    What a question asks for often stands in the sentence after the one that has its words.
    """
    text = _quote(question, one)
    if one.unit.kind not in ("sentence", "item"):
        return text
    if question.form == "how_to" and (paragraph := _paragraph(one)):
        return paragraph
    most = _PROCEDURE_WORDS if question.form == "how_to" else _EXPLANATION_WORDS
    for unit in one.passage.units[one.at + 1 :]:
        if unit.kind != "sentence" or unit.box != one.unit.box:
            break
        if len(text.split()) + len(unit.text.split()) > most:
            break
        text = f"{text} {unit.text}"
    return text


def _paragraph(one: Evidence) -> str:
    """Returns the paragraph of a sentence, steps in their order; nothing where it is long."""
    units = one.passage.units
    first = last = one.at
    while first and _goes_together(units[first - 1], one.unit):
        first -= 1
    while last + 1 < len(units) and _goes_together(units[last + 1], one.unit):
        last += 1
    text = " ".join(unit.text for unit in units[first : last + 1])
    return text if len(text.split()) <= _PARAGRAPH_WORDS else ""


def _goes_together(unit: Unit, other: Unit) -> bool:
    return unit.kind == other.kind == "sentence" and unit.box == other.box


def _whole_list(
    question: Question, first: Evidence, stems: Stems, rarity: Callable[[str], float]
) -> str | None:
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
        shared = sum(map(rarity, wanted & about))
        if shared >= _ABOUT * sum(map(rarity, wanted)) or (unit.kind == "item" and shared):
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


def _adds(one: Evidence, first: Evidence) -> bool:
    """Whether a further unit belongs into the answer: it is nearly as good, and no other row."""
    if one.unit.kind == "list" or one.score < first.score - _NEAR_ENOUGH:
        return False
    same_table = one.unit.kind == first.unit.kind == "row"
    return not (same_table and one.hit.passage == first.hit.passage)


def passage_text(passage: Passage, most: int = 120) -> str:
    """Returns the beginning of a passage, cut between words."""
    words = passage.text.split(" ")
    return passage.text if len(words) <= most else " ".join(words[:most]) + " …"
