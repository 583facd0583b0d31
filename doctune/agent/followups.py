"""Rewrites a follow-up question as a self-contained one, by rules, without a model.

"And on the Nimbrel 12?" takes the question before it, with the Nimbrel 12 in place of what it asked
about; "And how often?" takes its question word; "How long does it take?" gets the thing for "it".
What a rule is not sure of is left as it was written: the index then finds by its words alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from doctune.dataset.text import collapse
from doctune.knowledge.index import NUMBERED

_CODE = re.compile(r"\b(?:[A-Z]{1,4}-?\d{2,5}(?:-?[A-Z])?|[a-z]+(?:\.[a-z]+)+)\b")
_LEAD = re.compile(
    r"^(?:(?:and|but|so|ok|okay|also|then|or|well|hm+|thanks|thank you)\b[,.! ]*)*"
    r"(?:(?:what|how) about\b|what if it(?:'s| is)\b)?\s*",
    re.IGNORECASE,
)
_MARKED = re.compile(
    r"^(?:and|but|so|also|or|then|ok(?:ay)?,? and)\b|^(?:what|how) about\b|^what if it", re.I
)
_WH_ALONE = re.compile(
    r"^(?P<wh>(?:since |until |from |by |at |for |to |with )?(?:why|when|where|who|whom|"
    r"how(?: (?:often|long|much|many|far|big|heavy|hot|cold|high|deep|fast|soon|come|exactly|so)"
    r"(?: \w+)?)?|(?:what|which) (?:\w+ )?\w+|what))"
    r"(?: (?:not|so|exactly|then|though|that|is that|please))?\s*\?*$",
    re.IGNORECASE,
)
_WH_PHRASE = re.compile(
    r"^(?:how (?:often|long|much|many(?: \w+)?|far|big|heavy|hot|cold|high|deep|fast|soon)|"
    r"(?:what|which) (?:part|kind|time|day|number|code|size|colour|color)\b|what|when|where|why|"
    r"who|which \w+|how)\b",
    re.IGNORECASE,
)
_VERB = (
    r"is|are|was|were|do|does|did|can|could|may|might|must|should|shall|will|would|has|have|had|"
    r"need|needs|want|costs?|gives?|takes?|lasts?|works?|comes?|gets?|goes|means?|says?|happens?|"
    r"shows?|holds?|keeps?|use|wash|clean|replace|change|set|order|open|close"
)
_SENTENCE = re.compile(rf"\b(?:{_VERB})\b", re.IGNORECASE)
_PREPOSITION = r"in|on|at|for|with|from|to|by|of|during|under|over|after|before|without|near"
_STARTS_PREPOSITION = re.compile(rf"^(?P<word>{_PREPOSITION})\s+", re.IGNORECASE)
_STOPS = (
    rf"{_PREPOSITION}|{_VERB}|order|tell|mean|me|us|find|buy|and|or|but|that|which|who|when|if|per|every|each|until|than|be|been|"
    r"being|into|as|up|out|off|down|again|now|then|too|so|last|not|i|we|you|they|it|there|"
    r"supposed|allowed|exactly|please|anyway"
)
_THING = re.compile(
    rf"\b(?P<determiner>the|an?|my|our|your)\s+"
    rf"(?P<noun>(?!(?:{_STOPS})\b)[A-Za-z][\w'-]*(?:\s+(?!(?:{_STOPS})\b)[\w'-]+){{0,2}}?)"
    rf"(?=\s+(?:{_STOPS}|\w+ed)\b|\s*[?.,;:!)]|\s*$)",
    re.IGNORECASE,
)
_PRONOUN = re.compile(
    r"\b(?:(?P<whose>its|their)|(?P<it>it|they|them|that one|this one|those|these|that|this))\b"
    r"(?=\s+(?:is|are|was|do|does|did|can|could|may|must|should|will|would|has|have|need|needs|"
    r"cost|costs|take|takes|last|lasts|mean|means|happen|happens|come|comes|work|works|weigh|"
    r"weighs|hold|holds|be|get|gets|in|on|at|for|with|from|to|by|again|every|each|a|first|too|"
    r"before|after|when|if|and|or|myself|yourself|out|off|up|down|stand|stay|look|give|gives|"
    r"only|still|then|there|outside|inside|lie|run|runs|so|not|made|called|replaced|cleaned|"
    r"washed|rinsed|changed|covered|allowed|used)\b|\s*[?.,;:!]|\s*$|\s+\w+ed\b)",
    re.IGNORECASE,
)
_WHOSE = re.compile(r"\b(?:its|their)\b(?=\s+\w)", re.IGNORECASE)
_NOTHING = re.compile(
    r"\bis it (?:true|right|correct|possible|necessary|allowed|safe|ok|okay|better|normal|"
    r"dangerous|raining|worth)\b|\b(?:does|will|would) it (?:take|cost|need) (?:\w+ )?to\b|"
    r"\bit (?:rains|snows|freezes|is (?:true|possible|raining|cold|hot|dark))\b|\bthat is\b, ",
    re.IGNORECASE,
)
_ASKS_FOR_ONE = re.compile(r"^(?:so |and )?(?:which|what|who)\b", re.IGNORECASE)
_NUMBER_ALONE = re.compile(r"\b(?P<determiner>the|my|our|a)\s+(?P<number>\d{1,4})\b(?!\s*\w)", re.I)


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question in self-contained form, and its answer."""

    question: str
    answer: str


def standalone(question: str, earlier: Sequence[Turn]) -> str:
    """Rewrites a question so that it can be understood without the earlier turns."""
    question = collapse(question)
    if not earlier:
        return question
    last = earlier[-1]
    bare = _LEAD.sub("", question).strip()
    if not bare.strip("?!. "):
        return question
    if (match := _WH_ALONE.match(bare)) and not _SENTENCE.search(bare):
        return _with_question_word(match["wh"], last.question)
    if _MARKED.match(question) and not _SENTENCE.search(_without_thing(bare)):
        return _in_place(bare.rstrip("?!. "), last)
    return _with_antecedent(question, earlier)


def _without_thing(text: str) -> str:
    return _THING.sub(" ", text)


def _with_question_word(wh: str, before: str) -> str:
    rest = before.rstrip("?!. ")
    if (match := _WH_PHRASE.match(rest)) and rest[match.end() :].strip():
        return f"{wh[:1].upper()}{wh[1:]}{rest[match.end() :]}?"
    return f"{wh[:1].upper()}{wh[1:]} {rest[:1].lower()}{rest[1:]}?"


def _in_place(phrase: str, last: Turn) -> str:
    """Returns the previous question, with a phrase in place of the one of the same kind."""
    before = last.question.rstrip("?!. ")
    if (new := NUMBERED.search(phrase)) and (old := NUMBERED.search(before)):
        return f"{before[: old.start()]}{new[0]}{before[old.end() :]}?"
    if (alone := _NUMBER_ALONE.search(f"{phrase} ")) or phrase.isdecimal():
        number = alone["number"] if alone else phrase
        if old := NUMBERED.search(before):
            return f"{before[: old.start()]}{old[1]} {number}{before[old.end() :]}?"
        if old_number := _NUMBER_ALONE.search(before):
            start, end = old_number.span("number")
            return f"{before[:start]}{number}{before[end:]}?"
    if (new := _CODE.search(phrase)) and (old := _CODE.search(before)):
        return f"{before[: old.start()]}{new[0]}{before[old.end() :]}?"
    if starts := _STARTS_PREPOSITION.match(phrase):
        same = re.search(
            rf"\b{starts['word']}\s+.+?(?=\s+(?:{_PREPOSITION})\b|$)", before, re.IGNORECASE
        )
        return (
            f"{before[: same.start()]}{phrase}{before[same.end() :]}?"
            if same
            else (f"{before} {phrase}?")
        )
    if (new := _THING.search(phrase)) and (old := _THING.search(before)):
        return f"{before[: old.start()]}{new[0]}{before[old.end() :]}?"
    return f"{before}, {phrase}?"


def _with_antecedent(question: str, earlier: Sequence[Turn]) -> str:
    match = _PRONOUN.search(question) or _WHOSE.search(question)
    if match is None or _NOTHING.search(question):
        return question
    own = question[: match.start()]
    if _THING.search(f"{own.rstrip()} .") or NUMBERED.search(own) or _CODE.search(own):
        return question
    thing = _topic(earlier)
    if not thing:
        return question
    possessive = match[0].lower() in ("its", "their")
    return f"{own}{thing}{chr(39) + 's' if possessive else ''}{question[match.end() :]}"


def _topic(earlier: Sequence[Turn]) -> str:
    """Returns the topic of the conversation; "" if no rule finds one."""
    for turn in reversed(earlier):
        if _ASKS_FOR_ONE.match(turn.question):
            known = turn.question.casefold()
            new = [code for code in _CODE.findall(turn.answer) if code.casefold() not in known]
            if len(set(new)) == 1:
                return new[0]
        if thing := _THING.search(turn.question):
            determiner = (
                "the" if thing["determiner"].lower() in ("a", "an") else thing["determiner"]
            )
            return f"{determiner} {thing['noun']}"
        if code := _CODE.search(turn.question):
            return code[0]
        if named := NUMBERED.search(turn.question):
            return f"the {named[0]}"
        if bare := _nouns(turn.question):
            return bare
    return ""


def _nouns(question: str) -> str:
    """Returns a noun phrase without an article, such as "spare parts"."""
    rest = _WH_PHRASE.sub("", question.rstrip("?!. "), count=1)
    runs = re.split(rf"\b(?:{_STOPS}|tell|me|us|my|our|their)\b", rest, flags=re.IGNORECASE)
    return max((run.strip(" ,") for run in reversed(runs)), key=len, default="")
