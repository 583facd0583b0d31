"""Lists and the steps of a procedure, as an answer quotes them: whole, and in their order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from doctune.knowledge.evidence import Evidence, instructions
from doctune.knowledge.passages import Passage, Unit
from doctune.knowledge.questions import Question

Stems = Callable[[str], list[str]]

_PARAGRAPH_WORDS = 90
_LISTS_TRIED, _STEPS_TRIED = 6, 12
_NAMED = 0.7  # of a heading's words, that a question must say to ask for the steps under it
_ABOUT = 0.3  # of a question's words, by rarity, that what leads to a list must have
NEAR = 0.3  # how far below the best a list may score that is quoted in its place
_OWN_PARAGRAPH, _A_STEP, _MOST_COUNTED, _UNDER_NAME = 0.15, 0.1, 4, 0.3
_NEVER = re.compile(r"\b(?:never|avoid|do not|don't)\b", re.IGNORECASE)
_TROUBLE = re.compile(r"\bwhat (?:should|must|do|can|to|shall)\b", re.IGNORECASE)
_STEPS_NEAR, _STEPS_WORDS = 0.5, 150
_GOES_ON = re.compile(r"(?:then|next|now|after that|afterwards|finally|last)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HeadingMatch:
    """How closely a question matches a heading.

    Attributes:
        share: Of the heading's words, how many the question says, in these or in near words.
        weight: Of those that it says, the sum of their rarities.
    """

    share: float
    weight: float


def list_asked(
    question: Question, evidence: Sequence[Evidence], stems: Stems, rarity: Callable[[str], float]
) -> tuple[Evidence, str] | None:
    """Returns the list that answers, where a question asks for one or the best unit is one."""
    first = evidence[0]
    if question.form not in ("list", "how_to"):
        return (first, list_text(first.unit)) if first.unit.kind == "list" else None
    for one in evidence[:_LISTS_TRIED]:
        if one.score < first.score - NEAR:
            break
        if one.unit.kind == "list":
            return one, list_text(one.unit)
        if one is first and (at := _whole_list(question, one, stems, rarity)) is not None:
            one = replace(one, at=at)
            return one, list_text(one.unit)
    return None


def named_steps(
    evidence: Sequence[Evidence], names: Callable[[str], HeadingMatch]
) -> tuple[Evidence, str] | None:
    """Returns the list under a heading that names what is to be done: "Washing the cistern".

    None where the heading of the best evidence is named as much.
    """

    def named(one: Evidence) -> HeadingMatch:
        return names(one.passage.heading[-1]) if one.passage.heading else HeadingMatch(0.0, 0.0)

    most = named(evidence[0]).weight
    best: tuple[Evidence, str] | None = None
    for one in evidence[:_STEPS_TRIED]:
        lists = [at for at, unit in enumerate(one.passage.units) if unit.kind == "list"]
        heading = named(one)
        if lists and heading.share >= _NAMED and heading.weight > most:
            # The list's own place, since its page is the one to cite.
            one = replace(one, at=lists[0])
            best, most = (one, list_text(one.unit)), heading.weight
    return best


def goes_together(unit: Unit, other: Unit) -> bool:
    return unit.kind == other.kind == "sentence" and unit.box == other.box


def _whole_list(
    question: Question, first: Evidence, stems: Stems, rarity: Callable[[str], float]
) -> int | None:
    """Returns where the list to quote is, if a question asks for one or its lead-in was found."""
    unit = first.unit
    if unit.kind == "list":
        return first.at
    if question.form not in ("list", "how_to"):
        return None
    wanted = set(stems(question.asking))
    for at, other in enumerate(first.passage.units):
        if other.kind != "list" or (
            unit.kind == "item" and other.lead and other.lead not in unit.lead
        ):
            continue
        about = set(stems(" ".join([*first.passage.heading[-1:], other.lead])))
        shared = sum(map(rarity, wanted & about))
        if shared >= _ABOUT * sum(map(rarity, wanted)) or (unit.kind == "item" and shared):
            return at
    return None


def list_text(unit: Unit) -> str:
    return f"{unit.lead}\n{unit.text}" if unit.lead else unit.text


def told_steps(
    question: Question, evidence: Sequence[Evidence], names: Callable[[str], HeadingMatch]
) -> tuple[Evidence, str] | None:
    """Returns the paragraph that tells how something is done, with those that go on from it.

    Of the passages found, the one that scores best, has instructions, and stands under a heading
    that names the task; "How do I froth milk?" is answered by the first paragraph of "Steaming
    milk" rather than by a warning in its last.
    """
    best: tuple[float, Evidence, str] | None = None
    seen: set[tuple[int, int]] = set()
    # Who says what is wrong and asks what to do gets the paragraph that speaks of it.
    trouble = bool(_TROUBLE.search(question.asking))
    tried = evidence[: 1 if trouble else _LISTS_TRIED]
    for one in tried:
        if one.score < evidence[0].score - _STEPS_NEAR:
            break
        heading = names(one.passage.heading[-1]).share if one.passage.heading else 0.0
        for start, end in _paragraphs(one.passage):
            if (one.hit.passage, start) in seen:
                continue
            seen.add((one.hit.passage, start))
            units = one.passage.units[start:end]
            told = sum(instructions(unit.text) - len(_NEVER.findall(unit.text)) for unit in units)
            if trouble and not start <= one.at < end:
                continue
            if (not told and not trouble) or sum(
                len(unit.text.split()) for unit in units
            ) > _PARAGRAPH_WORDS:
                continue
            own = _OWN_PARAGRAPH if start <= one.at < end else 0.0
            score = one.score + own + _A_STEP * min(told, _MOST_COUNTED) + _UNDER_NAME * heading
            if best is None or score > best[0]:
                best = (score, replace(one, at=start), _with_next(one.passage, start, end))
    return best[1:] if best else None


def _paragraphs(passage: Passage) -> list[tuple[int, int]]:
    """Returns the runs of sentences of one block, as (first, after the last)."""
    runs: list[tuple[int, int]] = []
    for at, unit in enumerate(passage.units):
        if unit.kind != "sentence":
            continue
        if runs and runs[-1][1] == at and goes_together(passage.units[at - 1], unit):
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs


def _with_next(passage: Passage, start: int, end: int) -> str:
    """Returns a paragraph and those after it that begin with "Then" or "Finally"."""
    text = " ".join(unit.text for unit in passage.units[start:end])
    for first, last in _paragraphs(passage):
        if first != end or not _GOES_ON.match(passage.units[first].text):
            continue
        more = " ".join(unit.text for unit in passage.units[first:last])
        if len(f"{text} {more}".split()) > _STEPS_WORDS:
            break
        text, end = f"{text} {more}", last
    return text
