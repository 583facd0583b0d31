"""Reranks the best units by what the question asks for, and chooses the evidence of an answer.

Vectors and words find what a question is about; they do not know that "how long" wants a time, that
the Nimbrel 3 is not the Nimbrel 7, or that a question in a text is answered by the sentence after
it. These rules do, on the eighty best units.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from doctune.dataset.lexicon import lexicon
from doctune.dataset.text import normalise
from doctune.knowledge.figures import figures, span_at_start
from doctune.knowledge.filters import EVERYTHING, Filter
from doctune.knowledge.index import NUMBERED, Hit, KnowledgeIndex
from doctune.knowledge.lexical import tokens
from doctune.knowledge.passages import Passage, Unit
from doctune.knowledge.questions import Question

CANDIDATES = 80
_TYPE_BONUS, _CONFLICT, _SHORT, _WHOLE_LIST, _NAMES_CODE = 0.12, 0.35, 0.3, 0.12, 0.25
_ROW, _OWN_DOCUMENT, _SPAN = 0.12, 0.15, 0.3
_BONUSES = {"definition": 0.5, "how_to": 0.25}  # for what suits the form; else _TYPE_BONUS
_COVERED = 0.3  # for a unit that has all words of the question, by rarity
TYPED = frozenset({"time", "price", "count"})
_LEAST_NUMBERED = 2  # things of one name, for an unknown number to tell that there is no such
_CODE = re.compile(r"\b[A-Z]{1,4}-?\d{1,5}(?:-?[A-Z])?\b")
_REASON = re.compile(
    r"\b(?:because|since|so that|due to|therefore|that is why|caused?|in order to|driven by|for "
    r"(?:the|this) reason|as a result|otherwise|, for)\b",
    re.IGNORECASE,
)
_PURPOSE = re.compile(r"To (?!the\b|an?\b|\d)[a-z]+ [^.:]+[,:] ")  # "To join two colonies, lay ..."
# "Dip the tip", "Knock out the puck", "Grind 18 grams": a verb that no list has, and its object.
_VERB_FIRST = re.compile(
    r"(?!(?:when|if|after|before|in|on|at|under|above|over|with|without|for|from|to|of|as|since|"
    r"because|while|until|unless|all|both|only|not|such|is|are|was|were|has|have|had|does|did|may|"
    r"can|could|must|should|will|would|that|which|who|whose|where|what|how|why|by|during|between|"
    r"and|or|but|nor|so|than|then|also|even|once|twice|this|these|those|it|they|we|you|he|she|i|"
    r"half|below|beside|behind|within|through|about|near|like|per|plus|via|whether|though|although|"
    r"except|despite|against|among|across|along|around|into|onto|out|off|up|down|towards?|upon|"
    r"every|each|no|any|some|most|more|less|either|neither|one|two|three|four|five|six|there|here|"
    r"whoever|whatever|just|exactly|nearly|almost|roughly|approximately)\b)"
    r"[a-z]{2,}(?<!ed)(?<!ing)(?<!ly)(?<![^s]s)"
    r"(?: (?:out|off|up|down|in|on|over|back|away|through))? "
    r"(?:the|an?|your|it|them|each|both|all|any|\d+)\b",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    r"\b\d{1,2}:\d\d\b|\b(?:january|february|march|april|may|june|july|august|september|october|"
    r"november|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday|every (?:day|"
    r"morning|night|spring|summer|autumn|winter)|(?:19|20)\d\d|at once|spring|autumn)\b",
    re.IGNORECASE,
)
_LONG_THING = re.compile(r"\bhow long (?:is|are|was|were) (?:the|an?|my|your)\b", re.IGNORECASE)
# "Open a hive when the willow is in flower" is a time for who asks when, not for who asks how long.
_WHEN = re.compile(r"^(?:\w+ )?when\b", re.IGNORECASE)
_EVENT = re.compile(r"\b(?:when|once|as soon as|after|before|until|while)\b", re.IGNORECASE)
_DIMENSIONS = tuple(
    (dimension, re.compile(rf"\b(?:{words})\b", re.IGNORECASE))
    for dimension, words in (
        ("mass", "heavy|weighs?|weight|mass"),
        ("length", "tall|high|far|wide|deep|height|distance|apart"),
        ("loudness", "loud|quiet|noise|noisy"),
        ("degrees", "hot|cold|warm|temperature"),
        ("power", "watts?|power"),
        ("time", "many (?:days|hours|weeks|months|years|minutes|seconds)"),
        ("share", "percent|percentage|share"),
    )
)
_FREE = re.compile(
    r"\bfree\b|\bfor nothing\b|\b(?:no|without) (?:charge|cost|fee)\b|\bcosts nothing\b|[$€£]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A unit with the passage that contains it.

    Attributes:
        at: The unit's place among its passage's units.
        covered: Share of the question's words, by rarity, that the unit and its lead-in say, in
            these or in near words.
    """

    hit: Hit
    passage: Passage
    at: int
    score: float
    covered: float

    @property
    def unit(self) -> Unit:
        return self.passage.units[self.at]

    @property
    def context(self) -> str:
        """The context of the unit: its headings and its lead-in."""
        return " ".join([*self.passage.heading, self.unit.lead])


def gather(
    index: KnowledgeIndex,
    question: Question,
    groups: Collection[str] | None = None,
    only: Filter = EVERYTHING,
    most: int = CANDIDATES,
) -> list[Evidence]:
    """Returns the best units for a question, best first, without duplicates in content.

    Args:
        groups: The access groups of who asks; None sees everything.
        only: The documents to search.
        most: How many units are looked at.
    """
    passages: dict[int, Passage] = {}
    found: dict[tuple[int, int], Evidence] = {}
    firsts: dict[int, int] = {}
    asked = index.asked(question.text)
    rarity = {word.stem: index.unit_words.idf(word.stem) for word in asked}
    for hit in index.best(question.text, most, groups, only):
        if hit.passage not in passages:
            passages[hit.passage] = index.passage(hit.passage)
            firsts[hit.passage] = index.first_unit(hit.passage)
        passage = passages[hit.passage]
        at = _answering(passage, hit.number - firsts[hit.passage])
        one = Evidence(hit, passage, at, 0.0, 0.0)
        title = index.titles[hit.passage]
        said = set(tokens(f"{one.unit.lead} {one.unit.text}"))
        covered = sum(rarity[word.stem] * word.said(said) for word in asked)
        covered /= sum(rarity.values()) or 1
        score = hit.score + _COVERED * covered + _adjustment(question, one, title)
        one = replace(one, score=score, covered=covered)
        key = (hit.passage, at)
        if key not in found or found[key].score < one.score:
            found[key] = one
    ranked = sorted(found.values(), key=lambda one: (-one.score, one.hit.number))
    return _distinct(ranked)


def _answering(passage: Passage, at: int) -> int:
    """Returns the next unit, if the unit found only asks a question or introduces the answer."""
    last = len(passage.units) - 1
    text = passage.units[at].text
    if text.endswith("?") and at < last and passage.units[at].kind == "sentence":
        return at + 1
    if text.endswith(":") and at < last and passage.units[at + 1].kind == "list":
        return at + 1
    return at


def _distinct(ranked: list[Evidence]) -> list[Evidence]:
    seen: set[str] = set()
    kept = []
    for one in ranked:
        text = normalise(one.unit.text)
        if text and text not in seen:
            seen.add(text)
            kept.append(one)
    return kept


def _adjustment(question: Question, one: Evidence, title: str) -> float:
    text = one.unit.text
    total = 0.0
    if suits(question, text):
        total += _BONUSES.get(question.form, _TYPE_BONUS)
    if one.unit.kind == "row" and question.form in ("count", "price"):
        total += _ROW
    if (within := in_span(question.text, one.unit)) is not None:
        total += _SPAN if within else -_SPAN
    if any(f"{name} {number}" in title for name, number in NUMBERED.findall(question.text)):
        total += _OWN_DOCUMENT
    if conflicts(question.text, text, f"{one.context} {title}"):
        total -= _CONFLICT
    if names_code(question.text, f"{text} {one.context}"):
        total += _NAMES_CODE
    if len(text.split()) < 3:
        total -= _SHORT
    if one.unit.kind == "list":
        total += _WHOLE_LIST if question.form in ("list", "how_to") else -_WHOLE_LIST
    return total


def in_span(question: str, unit: Unit) -> bool | None:
    """Whether a figure of a question lies in the range that a row stands for; None without any.

    The row "7 to 14 degrees" is the one for a hardness of 10 degrees.
    """
    span = span_at_start(unit.label) if unit.kind == "row" else None
    if span is None:
        return None
    measured = next((one for one in reversed(figures(unit.label)) if one.dimension), None)
    kind, factor = (measured.dimension, measured.factor) if measured else ("", 1.0)
    asked = [
        one.value / (factor if one.dimension else 1.0)
        for one in figures(question)
        if not kind or one.dimension in ("", kind)
    ]
    return any(map(span.holds, asked)) if asked else None


def suits(question: Question, text: str) -> bool:
    """Whether a text contains the kind of answer that a question asks for."""
    match question.form:
        case "time":
            timed = any(figure.dimension == "time" for figure in figures(text))
            if _LONG_THING.search(question.asking):  # a length or a duration, no time of day
                return timed or any(figure.dimension == "length" for figure in figures(text))
            timed = timed or bool(_CLOCK.search(text))
            return timed or bool(_WHEN.search(question.asking) and _EVENT.search(text))
        case "price":
            priced = any(figure.dimension == "money" for figure in figures(text))
            return priced or bool(_FREE.search(text))
        case "count":
            said = figures(text)
            wanted = next((name for name, asks in _DIMENSIONS if asks.search(question.asking)), "")
            if wanted == "mass" and re.search(r"\d pounds?\b", text):
                return True  # which may be money, too
            return any(figure.dimension == wanted for figure in said) if wanted else bool(said)
        case "reason":
            return bool(_REASON.search(text))
        case "how_to":
            return bool(instructions(text))
        case "definition":
            return defines(question.term, text)
    return False


def defines(term: str, text: str) -> bool:
    """Whether a text defines a term: `Sill: the gutter ...`, `A wring is a shake ...`."""
    name = rf"{re.escape(term)}s?"
    return bool(
        re.match(
            rf"(?:(?:the|an?) )?(?:{name})(?:, [^,]{{1,40}},)?"
            r"(?:: | (?:is|are|means) (?!due|not|\d))",
            text,
            re.IGNORECASE,
        )
        or re.search(rf"\b(?:is|are) called (?:an? |the )?{name}\b", text, re.IGNORECASE)
    )


def instructions(text: str) -> int:
    """Returns how many clauses of a text tell somebody to do something."""
    clauses = re.split(r"(?<=[.;:,])\s+(?:and |then )?|\s\u2014\s", text)
    return max(sum(map(_is_instruction, clauses)), int(bool(_PURPOSE.match(text))))


def _is_instruction(clause: str) -> bool:
    first = clause.split(" ", 1)[0].strip(",:.").casefold()
    return first in lexicon("imperatives") or bool(_VERB_FIRST.match(clause))


def conflicts(question: str, text: str, context: str) -> bool:
    """Whether a text names another number or code than the question: another model or error."""
    for name, number in NUMBERED.findall(question):
        if _other_number(name, number, text, context):
            return True
    asked = set(_CODE.findall(question.upper()))
    said = set(_CODE.findall(text))
    if not asked or asked & said or any(code in context for code in asked):
        return False
    kinds = {re.sub(r"\d", "", code) for code in asked}
    return any(re.sub(r"\d", "", code) in kinds for code in said)


def names_code(question: str, text: str) -> bool:
    """Whether a text contains a code that the question names: `R13`, `SK-2040`."""
    asked = set(_CODE.findall(question.upper()))
    return bool(asked & set(_CODE.findall(text)))


def names_unknown(index: KnowledgeIndex, question: str) -> bool:
    """Whether a question is about a thing by a number that no document knows: the `Nimbrel 20`.

    Only where the documents tell several things of the name apart by number does that tell.
    """
    for name, number in NUMBERED.findall(question):
        known = index.numbered.get(name, frozenset())
        if len(known) >= _LEAST_NUMBERED and number not in known:
            return True
    return False


def _other_number(name: str, number: str, text: str, context: str) -> bool:
    pattern = re.compile(rf"\b{re.escape(name)}s? (\d+)", re.IGNORECASE)
    own = set(pattern.findall(text))
    if own:
        # "on the Nimbrel 3, 24 on the Nimbrel 7" and "the Nimbrel 3 at 14, the 7 at 16" name both.
        return number not in own and not re.search(rf"\bthe {number}\b|\b{number} and\b", text)
    around = set(pattern.findall(context))
    return bool(around) and number not in around
