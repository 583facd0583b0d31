"""Grades answers by rules: the key facts must be there, and nothing may contradict them.

Numbers must match with their unit, after conversion; names and part numbers must match literally;
other facts by word stems that are not negated; a yes/no question needs the right yes or no. An
answer is contradicted if it takes the other side, offers two numbers for one ("90 or 180 days"), or
negates a fact. If no key facts are given, they are derived from the reference: its numbers and part
numbers, or else most of the words that it adds to the question.

The rules are for English. On 300 pairs that a reader labelled before the rules were written, they
agree with kappa 0.9 or more (`tests/evaluation/test_answer_accuracy.py`). They miss true words in
false statements and paraphrases without a shared word; a judge model does not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from doctune.evaluation.behaviour import is_refusal
from doctune.evaluation.quantities import (
    Quantity,
    plain,
    read_names,
    read_quantities,
    without_names,
)
from doctune.evaluation.questions import Expects
from doctune.evaluation.wording import (
    Side,
    clauses,
    content_stems,
    has_all,
    is_negated,
    opening_side,
    opposes,
    shared_words,
    side_of,
    words_of,
)

# If a reference has no number and no name: the least share of the words that it adds to the
# question which an answer must contain.
LEAST_WORDS = 0.6

_SILENT = re.compile(
    r"\b(documents?|text|manuals?|passages?|sources?|reports?|context)\b[^.]*\b(do|does|did)"
    r"(n['\u2019]t| not) (say|state|mention|name|tell|contain|specify|give|cover|answer)"
    r"|\bnot (stated|mentioned|given|specified|found|covered|in the (documents?|text|passages?))\b"
    r"|\bno (information|mention)\b|\bcould ?(n['\u2019]t| not) find\b"
    r"|\bdo(n['\u2019]t| not) know\b",
    re.IGNORECASE,
)
_LINKS = re.compile(r"^\W*(or|to|and|/)\W*$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Grade:
    """Whether an answer is right, and if not, why."""

    right: bool
    refused: bool = False
    missing: tuple[str, ...] = ()  # key facts
    contradicted: tuple[str, ...] = ()  # the parts of the answer that contradict them


def says_nothing(answer: str) -> bool:
    """Returns whether an answer declines, or says that the documents do not have it."""
    return is_refusal(answer) or bool(_SILENT.search(answer))


def grade_answer(
    question: str,
    answer: str,
    *,
    reference: str,
    key_facts: Sequence[str] = (),
    expects: Expects = "answer",
) -> Grade:
    """Grades one answer.

    Args:
        reference: A right answer.
        key_facts: The facts of a right answer; `|` separates wordings of one fact. Derived from
            the reference if empty.
        expects: "refusal" if only a refusal is right.
    """
    refused = says_nothing(answer)
    if expects == "refusal":
        return Grade(right=refused, refused=refused)
    facts = tuple(key_facts) or derive_key_facts(question, reference)
    reader = _Reader(question, answer, reference)
    missing = tuple(fact for fact in facts if not reader.holds(fact))
    if not facts and not reader.holds_most_words():
        missing = (reference,)
    contradicted = tuple(reader.contradictions(facts))
    right = not missing and not contradicted
    return Grade(
        right=right, refused=refused and not right, missing=missing, contradicted=contradicted
    )


def derive_key_facts(question: str, reference: str) -> tuple[str, ...]:
    """Returns the numbers, names and yes or no of a reference; empty if it has none."""
    facts: list[str] = []
    side = opening_side(reference)
    if side:
        facts.append(side)
    asked = read_quantities(question)
    reader = _Reader(question, reference, reference)
    for quantity in read_quantities(reference):
        if not (reader.negates(quantity.start) or any(quantity.same(one) for one in asked)):
            facts.append(quantity.text)
    named = re.sub(r"[\s-]", "", question.lower())
    for start, name in read_names(reference):
        if not (reader.negates(start) or re.sub(r"\s", "", name) in named):
            facts.append(name)
    return tuple(dict.fromkeys(facts))


class _Reader:
    """A parsed answer, against which facts are checked."""

    def __init__(self, question: str, answer: str, reference: str) -> None:
        self._question, self._answer, self._reference = question, plain(answer), reference
        self._words = words_of(self._answer)
        self._wanted = words_of(reference)
        self._clauses = [words_of(part) for _, part in clauses(self._answer)]
        self._quantities = read_quantities(answer)
        self._names = {name for start, name in read_names(self._answer) if not self.negates(start)}

    def holds(self, fact: str) -> bool:
        """Returns whether the answer contains a key fact in one of its wordings."""
        return any(self._holds(wording.strip()) for wording in fact.split("|") if wording.strip())

    def holds_most_words(self) -> bool:
        """Returns whether the answer has most of the words that the reference adds."""
        added = set(content_stems(self._reference)) - set(content_stems(self._question))
        wanted = added or set(content_stems(self._reference))
        said = {word.stem for word in self._words if not word.negated or self._is_negative()}
        return len(wanted & said) >= LEAST_WORDS * len(wanted)

    def contradictions(self, facts: Sequence[str]) -> list[str]:
        """Returns the parts of the answer that contradict the facts."""
        found = []
        side = self._side_wanted(facts)
        if side and self._takes_other(side, facts):
            found.append(f"takes the side {'no' if side == 'yes' else 'yes'}")
        if opposes(self._answer, self._reference):
            found.append("says the opposite")
        for fact in facts:
            for wording in fact.split("|"):
                for wanted in read_quantities(wording):
                    found += self._rivals(wanted)
        return list(dict.fromkeys(found))

    def _holds(self, wording: str) -> bool:
        if wording in ("yes", "no"):
            opened = opening_side(self._answer)
            if opened or not self._relevant((), strict=True):
                return opened == wording
            return side_of(self._answer, self._question) == wording
        names = [name for _, name in read_names(wording)]
        if any(name not in self._names for name in names):
            return False
        wanted = read_quantities(wording)
        if any(not self._has(quantity) for quantity in wanted):
            return False
        if wanted or names:
            rest = self._rest(wording, wanted)
            return not rest or has_all(rest, self._words, reference=self._wanted)
        stems = content_stems(wording)
        negated = is_negated(wording)
        # A name is specific enough; "nothing" or "free" may refer to anything.
        if wording == wording.lower() and not self._relevant(stems, strict=not stems):
            return False
        if not stems:
            return wording.lower() in {word.text for word in self._words}
        return any(
            has_all(stems, clause, negated=negated, reference=self._wanted)
            for clause in self._clauses
        )

    def _rest(self, wording: str, wanted: Sequence[Quantity]) -> list[str]:
        """Returns the stems of a wording that are neither its numbers nor its names."""
        wording = plain(wording)
        for quantity in reversed(wanted):
            wording = wording[: quantity.start] + " " + wording[quantity.end :]
        return content_stems(without_names(wording))

    def _relevant(self, fact: Sequence[str], *, strict: bool) -> bool:
        """Returns whether the answer, without the fact, is about the question."""
        shared, all_of_it = shared_words(self._answer, self._question, self._reference, fact)
        if strict:
            return not all_of_it or shared >= 2 or 2 * shared >= all_of_it
        known = read_quantities(self._reference)
        shared += any(said.same(one) for said in self._quantities for one in known)
        return shared >= 1 or all_of_it <= 2

    def _has(self, wanted: Quantity) -> bool:
        return any(
            said.same(wanted) and not self.negates(said.start) for said in self._quantities
        ) or (not wanted.unit and self._has_number(wanted.written))

    def _has_number(self, number: float) -> bool:
        """Returns whether a number occurs, also in a name: "motions 3 and 7", "pin 7"."""
        plain = [word for word in self._words if word.text[0].isdigit() and not word.negated]
        return any(
            float(word.text.replace(",", "")) == number for word in plain if _is_float(word.text)
        )

    def negates(self, start: int) -> bool:
        """Returns whether the word at a position of the answer is negated."""
        nearest = [word for word in self._words if word.start <= start + 1]
        return bool(nearest) and nearest[-1].negated

    def _side_wanted(self, facts: Sequence[str]) -> Side | None:
        for fact in facts:
            for wording in fact.split("|"):
                if wording.strip() == "yes":
                    return "yes"
                if wording.strip() == "no":
                    return "no"
        return opening_side(self._reference)

    def _takes_other(self, side: Side, facts: Sequence[str]) -> bool:
        opened = opening_side(self._answer)
        if opened:
            return opened != side
        taken = side_of(self._answer, self._question)
        return taken is not None and taken != side and side == "yes" and bool(facts)

    def _is_negative(self) -> bool:
        return is_negated(self._reference)

    def _rivals(self, wanted: Quantity) -> list[str]:
        """Returns the numbers that are offered as alternatives: "90 or 180 days"."""
        allowed = [*read_quantities(self._reference), *read_quantities(self._question)]
        found = []
        for first, second in zip(self._quantities, self._quantities[1:], strict=False):
            pair = (first, second)
            link = self._answer[first.end : second.start]
            if not _LINKS.match(link) or not any(one.same(wanted) for one in pair):
                continue
            for other in pair:
                known = any(other.same(one) for one in allowed)
                if other.measures_like(wanted) and not other.same(wanted) and not known:
                    found.append(self._answer[other.start : other.end].strip())
        return found


def _is_float(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
