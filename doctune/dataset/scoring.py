"""What no reader would ask, and what the passage does not answer: the last look at a made fact.

The rules that make facts go by the form of a sentence or table, and real documents break forms:
heads of columns are cut, cells run together, a figure's unit stands three pages earlier, a noun is
taken for a verb. Each fault has a name, under which the manifest counts what was left out.

- `cut_off`: a question or an answer that ends in the middle.
- `symbol`: it asks what a letter of a formula is.
- `cells_together`: several cells as one value.
- `no_unit`: a figure without its unit or scale.
- `unclear`: the question names nothing (results, "their nature", "when available").
- `not_in_passage`: the answer has a figure that its passage does not have.
"""

from __future__ import annotations

import re

from doctune.dataset.lexicon import DASHES, lexicon
from doctune.dataset.records import Fact
from doctune.dataset.text import collapse, words

_CUT_OFF = re.compile(
    r",+\s*(?:\?|,|:)|\bended (?:[$%]|[A-Z][a-z]+ \d{1,2}(?!\d|,? (?:19|20)\d\d))"
    r"|\b(?:[$%]|(?:19|20)?\d\d,?) change\b|\bended [^?:,]*\bchange\b"
    r"|\b(?:of|for|in) (?:of|for|in)\b|\b(?:and|or|the|an?)\s*\?"
    r"|\b(?:designed|intended|expected|required|able|allowed) to\?$"
)
_SYMBOL = re.compile(
    r"\b(?:what|explain what) (?:is|are|does|the)?\s*(?:the |an? )?(?P<name>[A-Za-z\u0370-\u03ff])"
    r"(?:\d|[\u2080-\u2089'\u2032])?(?: is| are| mean| stand for)?[?,.]",
    re.IGNORECASE,
)
_NUMBER = rf"[-+{DASHES}\u2212]?\d[\d,]*(?:\.\d+)?"
_DECIMAL = rf"[-+{DASHES}\u2212]?\d[\d,]*\.\d+"
# "-0.0131 0.5752" are two cells; "18 53 18.569" may be hours, minutes and seconds.
_TOGETHER = re.compile(
    rf"(?<![\w.]){_DECIMAL}\s+{_DECIMAL}(?!\w|\.\d)"
    rf"|{_NUMBER} (?:kg|km|cm|mm|[mgsKVAW]|Hz|yr|Jy|days?|%) {_DECIMAL}|\]\s+{_NUMBER}\s+{_NUMBER}"
    rf"|\u00b1\s*{_NUMBER}\s+{_NUMBER}|(?:(?<![\w.]){_NUMBER}\s+){{3,}}{_NUMBER}(?!\w|\.\d)"
    r"|(?<!\d)\(?\d[\d,]*\)?\s*\$\s*\(?\d"
)
# A share of thousands: the sign is another column's.
_OVER_ALL = re.compile(r"\d[\d ,]{3,}\d\s*%")
_KEY_WITH_VALUE = re.compile(r"=\s*\S.*\d|\w[*^|\\]\w")
_BARE = re.compile(
    rf"(?::| is| are| has the [^.]{{1,60}}?) \(?(?P<value>{_NUMBER})\)?\.?$", re.IGNORECASE
)
_UNITLESS = re.compile(
    r"\b(?:number|count|quantity|pieces|age|ratio|factor|index|eccentricity|score|grade|class|"
    r"level|step|page|part|year|version|code|no\.|id|position|order|rank|"
    r"albedo|redshift|probability|correlation|coefficient|exponent|days?|weeks?|months?|hours?|"
    r"minutes?|seconds?|people|persons|employees|units|times|items|entries|shares)\b",
    re.IGNORECASE,
)
# What a figure of a period may be without a unit: the period's own words say nothing of it.
_COUNTED = re.compile(
    r"\b(?:number|count|shares|employees|people|units|ratio|per (?:\w+ )?share)\b", re.IGNORECASE
)
_PERIOD = re.compile(r"\b(?:19|20)\d\d\b|\bended\b|\bquarter\b|\bQ[1-4]\b")
_GENERIC = re.compile(
    r"\b(?:about|explain|of) (?:the )?(?:results?|discussions?|conclusions?|summary|methods?|"
    r"introduction|overview|background|signatures?|notes?|general|miscellaneous|exhibits?|"
    r"acknowledge?ments?|references|data|analysis|other|abstract|appendix(?: \w)?|\([^)]*\))"
    r"(?:\?| according to| as described|,)|\b(?:about|explain) overview\b",
    re.IGNORECASE,
)
_ORDINAL = (
    r"(?:latest|final|last|next|first|second|third|only|main|same|other|new|following|best|"
    r"current|present)"
)
# What names no thing: "something similar", "the latest estimate", "the granted for ...".
_NAMELESS = re.compile(
    rf"\bsomething\b|\b(?:is|are|was|were) the {_ORDINAL} [\w-]+\?"
    rf"|\bwhat the {_ORDINAL} [\w-]+ (?:is|are)\b|\bthe \w+ed for\b"
    r"|^what (?:does|do) (?:the |our |an? )?(?:company|firm|authors?|paper|study|section|model|"
    r"method|system|results?|analysis|approach|algorithm|data|team) \w+\?"
    r"|\b(?:was|were) an? [^?]*\?$|\b(?:he|she|his|her|him)\b"
    r"|\bwhat is the (?:reference|source|ref|note|remark)\b",
    re.IGNORECASE,
)
_POINTING = re.compile(r"\b(?:their|they|them|these|those|this|herein|thereof|hereby)\b", re.I)
_EMPTY_CONDITION = re.compile(
    r"^what (?:happens|should i do|must be done) (?:when|if|before|after) "
    r"(?:\w+ing\b|\S+(?: \S+)?\??$|\S+(?: \S+)?, according)",
    re.IGNORECASE,
)
_NO_PLACE = re.compile(
    r"^where (?:is|are|was|were|can|must|should|will|may) .*\b(?:based|cent(?:er|r)ed|focused|"
    r"interested|involved|expressed|grounded|rooted)\b",
    re.IGNORECASE,
)
_TIME_AS_PLACE = re.compile(
    r"\b(?:in|on|at) (?:the|a|an) (?:beginning|end|start|time|moment|case|event|form|sense|way|"
    r"assumption|basis|order|range|light|course|context|process|absence|presence|future|past)\b",
    re.IGNORECASE,
)
_CITED_ONLY = re.compile(r"\[[A-Z][A-Za-z+]*\d{2}\w?\]\.?$")
_PARTED = re.compile(r"\([^()]*$|^[^()]*\)")  # a bracket without its other half
_GOES_ON_LOW = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!etc)(?<!vs)(?<!cf)(?<!al)\. \(?[a-z]{2,}")
_REFERS_ON = re.compile(
    r"\b(?:in (?:that|this) example|we (?:will|shall) (?:first |then |now )?"
    r"(?:describe|discuss|explain|see)|following sections?)\b",
    re.IGNORECASE,
)
_ONLY_REFERS = re.compile(r"^(?:see|refer to|cf\.?) (?:\S+ ?){1,8}$", re.IGNORECASE)
# A remark, a version or a chapter's number in place of a topic.
_NO_TOPIC = re.compile(
    r"\b(?:about|explain) (?:warning|note|caution|tip|important|remark|example)s?\b"
    r"|\(version [\d.]+\)|\((?:[A-Z]{2,}|[IVX]+|\d+)\)(?:\?| according| as described|,| for )",
    re.IGNORECASE,
)
_LABELLED = frozenset({"definition", "fact", "how_to"})
_SHORT_ANSWER_KINDS = frozenset({"table"})
_SPOKEN_WORDS = 6  # of a column's head that may be quoted in a question


def fault_in(fact: Fact) -> str:
    """Returns the name of what makes a fact unfit to be asked; "" for a good one."""
    asked = [_bare_question(question) for question in fact.questions]
    if any(_CUT_OFF.search(question) or _PARTED.search(question) for question in asked):
        return "cut_off"
    if fact.kind == "completion":
        return "cut_off" if _GOES_ON_LOW.search(fact.answer) else ""
    if fact.kind in _LABELLED and any(map(_SYMBOL.search, asked)):
        return "symbol"
    if fact.kind in _SHORT_ANSWER_KINDS:
        return _table_fault(fact, asked)
    if any(map(_is_unclear, asked)) or _refers(fact.answer):
        return "unclear"
    if fact.kind in _LABELLED and any(map(_names_nothing, asked)):
        return "unclear"
    if fact.kind in _LABELLED and any(_POINTING.search(question) for question in asked):
        return "unclear"
    if _CITED_ONLY.search(fact.answer):
        return "unclear"
    wrong_place = asked and asked[0].casefold().startswith("where ")
    if wrong_place and _TIME_AS_PLACE.search(fact.answer):
        return "unclear"
    return ""


def _bare_question(question: str) -> str:
    """Returns a question without the document that it names."""
    question = re.sub(r"^According to (?:the |an? )?(?:\"[^\"]*\"|[^,]+), ", "", question)
    return re.sub(r", according to .*\?$", "?", question)


def _is_unclear(question: str) -> bool:
    forms = (_GENERIC, _NAMELESS, _NO_TOPIC, _EMPTY_CONDITION, _NO_PLACE)
    return any(form.search(question) for form in forms)


def _refers(answer: str) -> bool:
    """Whether an answer tells where to read on, or leans on what stands elsewhere."""
    return bool(_ONLY_REFERS.match(answer) or _REFERS_ON.search(answer))


def _names_nothing(question: str) -> bool:
    """Whether a question has no word but what any document has: "When must care be taken?"."""
    content = [
        word
        for word in words(question.replace("\u2019s", "").replace("'s", "").casefold())
        if word not in lexicon("question_words") and word not in lexicon("small_words")
    ]
    return all(word in lexicon("generic_words") for word in content)


def _table_fault(fact: Fact, asked: list[str]) -> str:
    if any(map(_NAMELESS.search, asked)):
        return "unclear"
    if any(map(_KEY_WITH_VALUE.search, asked)) or _TOGETHER.search(fact.answer):
        return "cells_together"
    if any(_is_data(question, fact.answer) for question in asked):
        return "unclear"
    if _OVER_ALL.search(fact.answer):
        return "no_unit"
    if _lacks_unit(fact.answer):
        return "no_unit"
    return "" if _passage_has(fact) else "not_in_passage"


def _is_data(question: str, answer: str) -> bool:
    """Whether it asks for a figure of a column or a row that only the page explains.

    "What is listed under "Often" for the age?" and "Which variable has the Std. Dev. 1,389?" are
    asked by nobody; a word or a sentence in such a place may be an answer.
    """
    quoted = re.search(r"listed under \"(?P<head>[^\"]+)\"", question)
    if quoted and len(quoted["head"].split()) > _SPOKEN_WORDS:
        return True
    if quoted or question.startswith("Which "):
        return bool(re.search(rf"{_NUMBER}\s*%?\.?$", answer))
    return False


def _lacks_unit(answer: str) -> bool:
    """Whether an answer ends in a figure whose unit or scale nothing in it tells.

    A small whole number may count things ("guy lines: 4"); a figure of a period never does.
    """
    match = _BARE.search(answer)
    if match is None or re.fullmatch(r"(?:19|20)\d\d", match["value"]):
        return False
    said = answer[: match.start("value")]
    if re.search(r"[%$\u20ac\u00a3]|\bpercent", said):
        return False
    if _PERIOD.search(said):
        return not _COUNTED.search(said)
    whole = re.fullmatch(r"\d{1,3}", match["value"])
    return not whole and not _UNITLESS.search(said)


def _passage_has(fact: Fact) -> bool:
    """Whether the passage has the answer's figures."""
    said = _figures(fact.passage)
    return all(figure in said for figure in _figures(fact.answer))


def _figures(text: str) -> set[str]:
    return {figure.strip(".,") for figure in re.findall(r"\d[\d.,]*", collapse(text))}
