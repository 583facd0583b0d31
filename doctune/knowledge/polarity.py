"""Whether a sentence affirms or denies a yes/no question.

By rules, clause by clause: the clause that shares most words with the question decides. It denies
by a negation, by a word of opposite meaning, by another figure of the same kind, or, where the
question asks for permission, by naming harm. Where the rules cannot decide, it counts as affirmed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Literal

from doctune.dataset.lexicon import DASHES
from doctune.knowledge.figures import Figure, by_place, figures, same, span_at_start
from doctune.knowledge.questions import Question
from doctune.knowledge.rivals import other_of_its_kind

Side = Literal["yes", "no"]
Stems = Callable[[str], list[str]]

_NEGATION = re.compile(
    r"\b(?:not|never|no|none|nothing|nobody|neither|nor|cannot|without|forbidden|prohibited|"
    r"refuses?|unless|excluded|avoid|only (?:if|when|where|the|by|with|for)|except|rather than|"
    r"instead of|left out|ruled out|kept out|banned|off limits|out of bounds)\b|n't\b|\bdoes no\b",
    re.IGNORECASE,
)
_NEGATED_VERB = re.compile(
    r"\b(?:left|ruled|kept) out\b|\b(?:banned|off limits|out of bounds)\b|"
    r"\b(?:is|are|was|were|be|do|does|did|can|could|may|must|should|shall|will|would|has|have|need)"
    r" (?:\w+ )?not\b|n't\b|\b(?:cannot|never|nobody|nothing|none|no longer|avoid)\b|"
    r"^\W*(?:not|no) ",
    re.IGNORECASE,
)
# What holds a negative word and denies nothing.
_NO_DENIAL = re.compile(
    r"\b(?:no|without|free of|at no) (?:charge|cost|fee|fault|problem|trouble|harm)\b|\bnot only\b|"
    r"\b(?:no|not) (?:more|less|fewer|later|earlier|longer) than\b",
    re.IGNORECASE,
)
_STRONG_NEGATION = re.compile(
    r"\b(?:do not|don't|must not|mustn't|may not|never|cannot|can't|should not|shall not|"
    r"(?:has|have|had|with|needs?|is|are|there is|there are) (?:no|neither|not)|not (?:covered|"
    r"allowed|permitted|taken|possible|advised|required|needed)|need not|no longer|neither|"
    r"nothing|none)\b",
    re.IGNORECASE,
)
_QUESTION_NEGATION = re.compile(
    r"\b(?:not|never|no|without|forbidden|prohibited|nobody|nothing|avoid|refuse|excluded)\b|"
    r"n't\b(?! (?:i|you|we|it|they|that|this)\b)",
    re.IGNORECASE,
)
_RELATIVE = re.compile(r"\b(?:that|which|who)(?: (?:is|are|was|has|have))? $", re.IGNORECASE)
_LEAVE = re.compile(
    r"\b(?:can|may|could|should|shall|must) (?:i|we|you|one|they|somebody|an? |the )|\b(?:ok|okay|"
    r"safe|allowed|fine|alright|possible|permitted|good idea)\b",
    re.IGNORECASE,
)
_HARM = re.compile(
    r"\b(?:rusts?|breaks?|cracks?|damages?|damaged|ruins?|ruined|spoils?|kills?|destroys?|rots?|"
    r"swells?|endangers?|dangerous|harms?|harmful|hurts?|ends the|voids?|eats|stops the|leaks?|"
    r"shatters?|poison\w*|set fire|insecure|not recommended|discouraged|unsafe|"
    r"too (?:high|low|soft|weak|heavy|near))\b",
    re.IGNORECASE,
)
_DUTY = re.compile(
    r"\b(?:(?:do|does|will) (?:i|we|you|one|they) (?:really |always )?(?:have to|need)|"
    r"must (?:i|we|you|one)|required|mandatory|necessary|compulsory)\b",
    re.IGNORECASE,
)
_NO_DUTY = re.compile(
    r"\b(?:optional|voluntary|unnecessary|no need|need not|needn't)\b|"
    r"(?:\bnot|n['\u2019]t) (?:need|have to|necessary|required|needed)\b|"
    r"\bwithout (?:any |our |your |the |a |an |further |prior )*(?:asking|permission|consent|leave|"
    r"notice|approval|booking|appointment|reservation|licen[cs]e|permit|registration|charge)\b",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^\W*(yes|no)\b(?! (?:nimbrel|more|longer|other|one|matter|charge)\b)", re.I)
_CLAUSES = re.compile(
    rf"(?<=[a-zA-Z0-9%)])[,;:.](?=\s)|\s[{DASHES}-]\s|\b(?:but|although|whereas|while)\b"
)
_AGE = re.compile(r"\b(\d{1,2})[ -]years?[ -]olds?\b", re.IGNORECASE)
_LEAST_AGE = re.compile(
    r"\b(?:nobody|no one|no \w+|none|not (?:for|open to) (?:\w+ )?)\b[^.;]{0,20}"
    r"\b(?:under|below|younger than) (\d{1,2})\b|"
    r"\b(?:must be|from|at least|over|aged)(?: the age of)? (\d{1,2})\b(?: years)?"
    r"(?: (?:or|and) (?:older|over|above)| years? (?:old|of age)|\+)|"
    r"\bonly (?:from|over) (\d{1,2})\b",
    re.IGNORECASE,
)
# "Wear parts, which are belts and brushes, are left out" says so of the belts.
_ASIDE = re.compile(r", (which [^,.;:]+),")
# "A washed filter looks clean and filters nothing" denies no more than that it filters.
_OBJECT = re.compile(r"^(.*\S) (\w+ (?:nothing|nobody|none)\b.*)$", re.IGNORECASE | re.DOTALL)
_PROHIBITION = re.compile(r"(?:Do not|Don't|Never|You must not|You may not)\b")
# "The tank may go into the dishwasher. The basket may not": what has its verb from before.
_NOT_SO = re.compile(
    r"(?P<subject>[^.;:,]{1,70}?) (?:can|could|may|must|should|shall|will|would|do|does|did|is|are|"
    r"was|were|has|have|need)(?:not|n't| not)(?=[.,;:]| (?:because|since|as|for|if|unless)\b|$)",
    re.IGNORECASE,
)
# "Nothing is put on it": whatever a question asks leave for.
_WHATEVER = re.compile(
    r"(?:Nothing|Nobody|No one|None) (?:is|are|may|must|can|goes|should|shall|but|except)\b|"
    r"(?:Do not|Don't|Never) [^.;:]*\b(?:any(?:thing|one|body|where)|at all|whatever)\b"
)
_ALONE = re.compile(
    r"\b(?:alone|on (?:my|your|one's|his|her) own|by (?:myself|yourself)|single-handed\w*)\b", re.I
)
_TOGETHER = re.compile(
    r"\b(?:by|takes?|needs?|with) (?:at least )?(?:two|three|four|2|3|4) "
    r"(?:people|persons|men|women|adults|others?|helpers?|of you)\b|\bnever (?:\w+ )?alone\b|"
    r"\bin pairs\b|\b(?:somebody|someone|a second person) (?:else )?(?:holds|helps|must)\b",
    re.IGNORECASE,
)
_OPPOSITES = (
    (
        "increas|rise|rose|grow|grew|higher|climb|up",
        "decreas|fall|fell|shrink|lower|declin|drop|down",
    ),
    ("increas|rise|rose|grow|grew|bigger|larger|stronger", "smaller|weaker|shorter|decreas"),
    ("strong", "weak"),
    ("stronger", "decreas|weaker"),
    ("lose|lost|delet|eras|forget", "surviv|keep|kept|retain|remain"),
    ("open", "clos"),
    ("allow|permit", "forbid|forbidden|prohibit"),
    ("same", "differ"),
    ("before", "after"),
    ("indoor|insid", "outdoor|outsid"),
    ("free", "charg"),
    ("start", "stop"),
    ("wet", "dry"),
    ("smallest", "largest"),
    ("minimum", "maximum"),
    ("always", "never"),
    ("stop", "continu|goe on|works on"),
)
_MORE = re.compile(
    r"\b(?:more than|over|above|longer than|at least|exceed\w*|beyond|after)\b", re.I
)
_LESS = re.compile(
    r"\b(?:less than|under|below|within|at most|up to|no more than|fewer than)\b", re.I
)


def leading_side(text: str) -> Side | None:
    """Returns the side that the first word of a text states: yes or no."""
    match = _LEADING.match(text)
    return None if match is None else ("yes" if match[1].casefold() == "yes" else "no")


def opposite(side: Side) -> Side:
    """Returns the opposite side."""
    return "no" if side == "yes" else "yes"


def is_negated(question: Question) -> bool:
    """Whether a question is negated."""
    return bool(_QUESTION_NEGATION.search(question.asking))


def side_of(question: Question, evidence: str, stems: Stems) -> Side:
    """Returns the side that a piece of evidence takes on a yes/no question."""
    evidence = _NO_DENIAL.sub("", evidence)
    young = too_young(question, evidence)
    figure = _figures_side(question.asking, evidence)
    if young is not None:
        denied = young
    elif figure is not None:
        denied = figure == "no"
    else:
        denied = (
            _denies(question, evidence, stems)
            or contradicts(question.asking, evidence, stems)
            or other_of_its_kind(question.asking, evidence)
            or harms(question, evidence)
            or forbids_all(question, evidence)
            or needs_others(question, evidence)
            or bool(_DUTY.search(question.asking) and _NO_DUTY.search(evidence))
        )
    return "no" if denied != is_negated(question) else "yes"


def denies(question: Question, evidence: str, stems: Stems) -> bool:
    """Whether evidence contradicts a question explicitly, and not by omission."""
    said = _NO_DENIAL.sub("", evidence)
    opposed = contradicts(question.asking, said, stems)
    return harms(question, said) or opposed or _denies(question, said, stems)


def harms(question: Question, evidence: str) -> bool:
    """Whether evidence names harm where a question asks for leave."""
    return bool(_LEAVE.search(question.asking) and _HARM.search(evidence))


def forbids_all(question: Question, evidence: str) -> bool:
    """Whether evidence forbids everything of its kind where a question asks for leave."""
    return bool(_LEAVE.search(question.asking) and _WHATEVER.match(evidence))


def too_young(question: Question, evidence: str) -> bool | None:
    """Whether a question's age is below the one that evidence demands; None where none is told."""
    asked, said = _AGE.search(question.text), _LEAST_AGE.search(evidence)
    if asked is None or said is None:
        return None
    return int(asked[1]) < int(next(filter(None, said.groups())))


def needs_others(question: Question, evidence: str) -> bool:
    """Whether a question asks to do something alone that takes several people."""
    return bool(_ALONE.search(question.asking) and _TOGETHER.search(evidence))


def _denies(question: Question, evidence: str, stems: Stems) -> bool:
    """Whether the question's words appear in negated clauses of the evidence and in no others."""
    asked = set(stems(question.asking))
    denied: set[str] = set()
    affirmed: set[str] = set()
    for clause in _CLAUSES.split(_ASIDE.sub(r" \1 ", evidence)):
        before, after = _negated_part(clause or "", asked, stems)
        denied |= asked & set(stems(after))
        affirmed |= asked & set(stems(before))
    return bool(denied - affirmed)


def _negated_part(clause: str, asked: set[str], stems: Stems) -> tuple[str, str]:
    """Returns the part of a clause outside the scope of its negation, and the part within.

    A negated verb takes the whole clause with it, "no", "not the" and "without" what follows.
    """
    match = _NEGATION.search(clause)
    if match is None:
        return clause, ""
    if match[0].casefold().startswith("only"):
        # "Only the blue cloth" allows the blue cloth and forbids every other.
        after = stems(clause[match.end() :])[:2]
        return (clause, "") if set(after) <= asked else ("", clause)
    if _NEGATED_VERB.search(clause):
        parts = _OBJECT.match(clause)
        return (parts[1], parts[2]) if parts else ("", clause)
    return clause[: match.start()], clause[match.end() :]


def contradicts(question: str, clause: str, stems: Stems) -> bool:
    """Whether a clause contains an antonym of a word of the question."""
    asked = stems(question)
    parts = [stems(part) for part in _CLAUSES.split(clause) if part]
    for pair in _OPPOSITES:
        for first, second in (pair, pair[::-1]):
            if _has(asked, first) and _says_only(parts, second, first, asked):
                return not _has(asked, second)
    return False


def _says_only(parts: list[list[str]], wanted: str, other: str, asked: list[str]) -> bool:
    """Whether clauses say one of two opposites: of those that say either, the ones about the most.

    "As the core grows, the tilt gets smaller" says of the tilt that it gets smaller.
    """
    about = set(asked[:2])  # a question's subject comes first
    said = [part for part in parts if _has(part, wanted) or _has(part, other)]
    most = max((len(about & set(part)) for part in said), default=0)
    nearest = [part for part in said if len(about & set(part)) == most]
    return any(_has(part, wanted) for part in nearest) and not any(
        _has(part, other) for part in nearest
    )


def _has(found: Collection[str], pattern: str) -> bool:
    expression = re.compile(rf"(?:{pattern})\w{{0,3}}$")
    return any(expression.match(word) for word in found)


def denies_premise(question: Question, evidence: str, stems: Stems) -> bool:
    """Whether evidence forbids or denies what a question presupposes.

    A negation counts where words of the question follow it closely, or stand right before it.
    """
    if is_negated(question) or question.form == "yes_no":
        return False
    asked = set(stems(question.asking))
    for match in _STRONG_NEGATION.finditer(evidence):
        if _RELATIVE.search(evidence[: match.start()]):
            continue
        after = stems(re.split(r"[.;:,]", evidence[match.end() :])[0])[:4]
        shared = asked & set(after)
        before = stems(re.split(r"[.;:,]", evidence[: match.start()])[-1])[-4:]
        if shared and len(shared) + len(asked & set(before)) >= min(2, len(asked)):
            return True
    return False


def forbids_beside(question: Question, evidence: str, beside: str, stems: Stems) -> bool:
    """Whether the sentence beside evidence forbids what the question adds to that evidence.

    "Scrape a sting out. Do not pull it with two fingers" forbids to use the fingers.
    """
    if forbids_all(question, beside) or too_young(question, beside):
        return True
    added = set(stems(question.asking)) - set(stems(evidence))
    if short := _NOT_SO.match(beside):
        return bool(added & set(stems(short["subject"])))
    if not _PROHIBITION.match(beside):
        return False
    return bool(added & set(stems(re.split(r"[.;:,]", beside)[0])))


def wrong_detail(question: Question, evidence: str) -> bool:
    """Whether a question states another figure, colour or day than the evidence."""
    if other_of_its_kind(question.text, evidence):
        return True
    if span_at_start(evidence) is not None:
        return False  # a row that stands for a range of figures
    stated = [figure for figure in figures(question.text) if figure.dimension]
    said = figures(evidence)
    for figure in stated:
        rivals = [other for other in said if other.dimension == figure.dimension]
        if rivals and not any(same(figure, other) for other in said):
            return True
    return False


def _figures_side(question: str, evidence: str) -> Side | None:
    """Returns the side by comparing the question's figures with those of the same dimension."""
    if (named := by_place(question, evidence)) is not None:
        return None if named and _NEGATION.search(evidence) else ("yes" if named else "no")
    stated = [figure for figure in figures(question) if figure.dimension]
    if not stated:
        return None
    figure = stated[-1]
    rivals = [other for other in figures(evidence) if other.dimension == figure.dimension]
    if not rivals:
        return None
    if any(same(figure, other) for other in rivals):
        return None if _NEGATION.search(evidence) else "yes"
    return _compared(question, evidence, figure, rivals)


def _allowed(evidence: str, figure: Figure) -> Side | None:
    """Returns whether a figure lies within what the evidence gives as a range or a lower bound."""
    number = r"(-?\d+(?:\.\d+)?)"
    if span := re.search(rf"(?<![\w.]){number} to {number}\b", evidence):
        low, high = float(span[1]), float(span[2])
        return "yes" if low <= figure.value <= high else "no"
    if floor := re.search(rf"\bdown to {number}", evidence):
        return "yes" if figure.value >= float(floor[1]) else "no"
    return None


def _compared(question: str, evidence: str, figure: Figure, rivals: list[Figure]) -> Side:
    limit = rivals[0]
    if (allowed := _allowed(evidence, figure)) is not None:
        return allowed
    if _MORE.search(question):
        return "yes" if limit.value > figure.value else "no"
    if _LESS.search(question):
        return "yes" if limit.value < figure.value else "no"
    if _LESS.search(evidence):  # "within 21 days": 14 days are within
        return "yes" if figure.value < limit.value else "no"
    if re.search(r"\bat least\b", evidence, re.IGNORECASE):
        return "yes" if figure.value > limit.value else "no"
    return "no"
