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

from doctune.knowledge.comparing import compare_rows
from doctune.knowledge.evidence import Evidence, names_code
from doctune.knowledge.passages import Passage, Unit
from doctune.knowledge.polarity import (
    Side,
    contradicts,
    denies,
    denies_premise,
    forbids_beside,
    harms,
    is_negated,
    leading_side,
    opposite,
    side_of,
    wrong_detail,
)
from doctune.knowledge.questions import Question
from doctune.knowledge.steps import (
    NEAR,
    HeadingMatch,
    Stems,
    goes_together,
    list_asked,
    named_steps,
    told_steps,
)
from doctune.knowledge.tables import Row

_MOST_WORDS = 90  # of an answer that is no list
_MOST_QUOTED = 3
_PROCEDURE_WORDS, _EXPLANATION_WORDS = 70, 50
_NEAR_DENIAL = 0.35
_ABOUT_IT = 0.45  # of a question's words, by rarity, that what denies it must say
_NEAR_ENOUGH = 0.5  # the same for what is quoted beside the best
_LEANS = re.compile(
    r"^(?:it|its|they|their|them|he|she|this|that|these|those|such|then|otherwise|both|neither|each|"
    r"some|if not|if it|in that|after that|for this|for that|the same|here|there|so|but|and|or|"
    r"also|more|least|less|another|others|none|from (?:that|there)|until then)\b"
    r"(?! (?:is|are) (?:a|no|the)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ComposedAnswer:
    """An answer's text and the evidence that it quotes."""

    text: str
    used: tuple[Evidence, ...]


def compose(
    question: Question,
    evidence: Sequence[Evidence],
    stems: Stems,
    asked_before: Callable[[str], bool],
    rarity: Callable[[str], float],
    names: Callable[[str], HeadingMatch],
) -> ComposedAnswer:
    """Returns the answer that the evidence supports.

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
        near = one.score >= evidence[0].score - NEAR
        if near and heading.endswith("?") and asked_before(heading):
            return _answered_in_text(question, one, heading, stems)
    if (compared := compare_rows(question, evidence)) is not None:
        rows = " ".join(_quote(question, row) for row in compared.rows)
        return ComposedAnswer(f"{compared.side.capitalize()}. {rows}", compared.rows)
    evidence = _denial_first(question, evidence, stems)
    first = evidence[0]
    if (denied := _denied_beside(question, first, stems)) is not None:
        return ComposedAnswer(f"No. {denied}", (first,))
    heading = first.passage.heading[-1] if first.passage.heading else ""
    refuted = first.unit.kind == "sentence" and _denied(question, first, stems)
    listed = None if refuted else list_asked(question, evidence, stems, rarity)
    if not refuted and question.form == "how_to" and (listed is None or listed[0] is not first):
        listed = named_steps(evidence, names) or listed
    if listed is not None:
        one, text = listed
        return ComposedAnswer(_with_side(question, text, one, stems), (one,))
    if (
        question.form in ("open", "definition", "how_to", "reason")
        and heading
        and names_code(question.text, heading)
    ):
        return ComposedAnswer(f"{heading}: {_lead(first.passage)}", (replace(first, at=0),))
    quoted, used = _first_quoted(question, evidence, stems, names)
    words = sum(len(text.split()) for text in quoted)
    for one in evidence[:6]:
        if len(used) >= _MOST_QUOTED or not _adds(one, first):
            continue
        text = _quote(question, one)
        if words + len(text.split()) > _MOST_WORDS or any(text in said for said in quoted):
            continue
        quoted.append(text)
        used.append(one)
        words += len(text.split())
    return ComposedAnswer(_with_side(question, " ".join(quoted), first, stems), tuple(used))


def _first_quoted(
    question: Question,
    evidence: Sequence[Evidence],
    stems: Stems,
    names: Callable[[str], HeadingMatch],
) -> tuple[list[str], list[Evidence]]:
    """Returns what an answer begins with: the steps asked for, the rows compared, or the best."""
    first = evidence[0]
    if question.form != "how_to" or _denied(question, first, stems):
        steps = None
    else:
        steps = told_steps(question, evidence, names)
    if steps is not None:
        return [steps[1]], [steps[0]]
    rows = _rows_named(question, first)
    return [_continued(question, first), *(_quote(question, one) for one in rows)], [first, *rows]


def _rows_named(question: Question, first: Evidence) -> list[Evidence]:
    """Returns the other rows of a table that a question names, as "Sweden or Germany" does."""
    if first.unit.kind != "row" or not _is_named(question, first.unit):
        return []
    return [
        replace(first, at=at)
        for at, unit in enumerate(first.passage.units)
        if unit.kind == "row" and at != first.at and _is_named(question, unit)
    ][: _MOST_QUOTED - 1]


def _is_named(question: Question, row: Unit) -> bool:
    return bool(row.label) and bool(
        re.search(rf"(?<!\w){re.escape(row.label)}s?(?!\w)", question.text, re.IGNORECASE)
    )


def _denial_first(
    question: Question, evidence: Sequence[Evidence], stems: Stems
) -> Sequence[Evidence]:
    """Moves evidence to the front that denies what is asked, where the best is only near it."""
    first = evidence[0]
    asked, said = set(stems(question.asking)), set(stems(first.unit.text))
    for one in evidence[:4]:
        if one.score < first.score - _NEAR_DENIAL:
            break
        if question.form == "yes_no":
            # "Ballast: sand" against "Sand from the beach rusts the foot", asked of beach sand.
            adds = bool((asked & set(stems(one.unit.text))) - said)
            near = one.covered >= first.covered or (
                adds and _shared(asked, one, stems) >= _shared(asked, first, stems)
            )
            denied = near and denies(question, one.unit.text, stems)
            denied = denied or (adds and harms(question, one.unit.text))
        else:
            denied = one.covered >= max(_ABOUT_IT, first.covered) and denies_premise(
                question, _stated(one), stems
            )
        if denied:
            return [one, *(other for other in evidence if other is not one)]
    return evidence


def _shared(asked: set[str], one: Evidence, stems: Stems) -> int:
    """Returns how many of a question's words a unit says, its headings and lead-in with it."""
    return len(asked & set(stems(f"{one.context} {one.unit.text}")))


def _denied_beside(question: Question, one: Evidence, stems: Stems) -> str | None:
    """Returns a sentence and its neighbour, if the neighbour denies what a yes/no question asks.

    "Scrape a sting out sideways. Do not pull it with two fingers" answers whether one may pull.
    """
    units = one.passage.units
    if question.form != "yes_no" or one.unit.kind != "sentence" or is_negated(question):
        return None
    if side_of(question, one.unit.text, stems) == "no":
        return None
    for at in (one.at + 1, one.at - 1, one.at + 2):
        between = range(min(at, one.at), max(at, one.at) + 1)
        if not 0 <= at < len(units) or not all(
            goes_together(units[number], one.unit) for number in between
        ):
            continue
        beside = units[at].text
        if denies_premise(replace(question, form="open"), beside, stems) or forbids_beside(
            question, one.unit.text, beside, stems
        ):
            return " ".join(units[number].text for number in between)
    return None


def _answered_in_text(
    question: Question, first: Evidence, heading: str, stems: Stems
) -> ComposedAnswer:
    """Quotes the passage whose heading asks the same question."""
    text = ""
    quoted = (replace(first, at=0),)  # where the text begins, which is the page to cite
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
        return ComposedAnswer(text, quoted)
    return ComposedAnswer(_with_side(question, text, first, stems), quoted)


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
        side: Side = leading_side(text) or (
            _side_of_row(question, first.unit, stems) or side_of(question, _stated(first), stems)
        )
        return text if leading_side(text) else f"{side.capitalize()}. {text}"
    if leading_side(text):
        return text
    if _denied(question, first, stems) or wrong_detail(question, _stated(first)):
        return f"No: {text}"
    return text


def _denied(question: Question, one: Evidence, stems: Stems) -> bool:
    """Whether evidence denies what a question takes for granted."""
    return one.covered >= _ABOUT_IT and denies_premise(question, _stated(one), stems)


def _side_of_row(question: Question, row: Unit, stems: Stems) -> Side | None:
    """Returns the yes or no that stands in a table under what a question asks about."""
    said = [
        (len(set(stems(question.asking)) & set(stems(head))), value.casefold())
        for head, value in row.cells
        if value.casefold() in ("yes", "no")
    ]
    shared, value = max(said, default=(0, ""))
    if not value or (not shared and len(said) > 1):
        return None
    side: Side = "yes" if value == "yes" else "no"
    return opposite(side) if is_negated(question) else side


def _stated(one: Evidence) -> str:
    return one.unit.text if one.unit.kind != "list" else f"{one.unit.lead} {one.unit.text}"


def _chooses(question: Question, text: str) -> bool:
    """Whether a question offers a choice, `A or B?`, and the answer names one of the two."""
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


def _continued(question: Question, one: Evidence) -> str:
    """Returns a quoted unit with the sentences after it in its paragraph, up to a limit.

    What a question asks for often stands in the sentence after the one that has its words.
    """
    text = _quote(question, one)
    if one.unit.kind not in ("sentence", "item"):
        return text
    most = _PROCEDURE_WORDS if question.form == "how_to" else _EXPLANATION_WORDS
    for unit in one.passage.units[one.at + 1 :]:
        if unit.kind != "sentence" or unit.box != one.unit.box:
            break
        if len(text.split()) + len(unit.text.split()) > most:
            break
        text = f"{text} {unit.text}"
    return text


def _quote(question: Question, one: Evidence) -> str:
    """Returns the text of a unit as answers quote it."""
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
    """Returns the cells whose heads a question names, if the heads are things, not properties."""
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
    """Whether a further unit belongs in the answer: a score nearly as high, and no other row."""
    if one.unit.kind == "list" or one.score < first.score - _NEAR_ENOUGH:
        return False
    same_table = one.unit.kind == first.unit.kind == "row"
    return not (same_table and one.hit.passage == first.hit.passage)


def passage_text(passage: Passage, most: int = 120) -> str:
    """Returns the beginning of a passage, cut at a word boundary."""
    words = passage.text.split(" ")
    return passage.text if len(words) <= most else " ".join(words[:most]) + " …"
