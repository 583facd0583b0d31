"""The kind of thing that would answer a question, and whether a text contains one.

A document that speaks of the director does not say who she is; one that tells to telephone the
workshop does not give its number. So a name, a number to call, a colour, or the very noun that is
asked for ("which breed", "how many eggs") must be there, or something near in meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from doctune.knowledge.lexical import tokens
from doctune.knowledge.questions import Question
from doctune.knowledge.vocabulary import AskedWord

_NAME = re.compile(r"\b[A-Z][a-z]+(?: (?:[A-Z]\.|van|von|de))* [A-Z][a-z]+\b|\bby (?:[A-Z]\w+)")
_NAMED_BY = re.compile(
    r"^who(?:'s|s| is| was| are| were)? (?:the |your |our )?(?:founded|made|wrote|invented|"
    r"designed|owns|owned|won|discovered|built|created|runs|leads|developed|introduced|proposed|author|"
    r"director|founder|owner|head|president|chief|manager|inventor|boss|ceo|chair\w*)\b",
    re.IGNORECASE,
)
# What is asked for, and what it looks like.
_KINDS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(asks, re.IGNORECASE), re.compile(said, flags))
    for asks, said, flags in (
        (r"\b(?:tele)?phone numbers?\b|\bnumber to (?:call|ring)\b", r"\+?\d[\d ()/-]{5,}\d", 0),
        (r"\be-?mail\b", r"\S@\S", 0),
        (
            r"^what(?:'s|s| is| was)? (?:the |your |our )?(?:[a-z]+ )?names? of\b",
            r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)+\b|\bcalled\b|\bnamed\b",
            0,
        ),
        (
            r"\bhow old (?:is|are|was|were)\b",
            r"\b(?:years?|months?|weeks?|days?) old\b|\bage[ds]?\b|\b(?:since|founded|built|"
            r"born|dates?|established|opened|introduced|released)\b|\b(?:1\d|20)\d\d\b",
            re.IGNORECASE,
        ),
        (
            r"\bwhere (?:can|could|do|should) (?:i|we|you|one) (?:buy|purchase|order)\b",
            r"\b(?:buy|bought|buying|sells?|sold|sale|sales|shops?|stores?|order(?:s|ed)?|purchased?|"
            r"dealers?|suppliers?|available)\b",
            re.IGNORECASE,
        ),
        (
            r"\bwhere (?:is|are|was|were) .*\b(?:made|built|produced|manufactured)\b",
            r"\b(?:made|built|produced|manufactured|assembled|factory|works|plants?) "
            r"(?:in|at|by|near)\b",
            re.IGNORECASE,
        ),
        (r"\b(?:web ?site|web page|url)\b", r"\bwww\.|https?://|\.(?:com|org|net)\b", 0),
        (
            r"\b(?:postal |street |home )?address\b|\bpost ?code\b",
            r"\d+ [A-Z]\w+|[A-Z]\w+ (?:Street|Road|Lane|Avenue|Square)|\bBox \d|\b\d{5}\b",
            0,
        ),
        (r"\bpass ?word\b|\bpin code\b", r"\bpass ?word\b|\bpin\b", re.IGNORECASE),
        (
            r"\bwhat time\b|\b(?:opening|closing|office|business) hours\b",
            r"\b\d{1,2}[:.]\d\d\b|\b(?:noon|midnight|o'clock|dawn|dusk|sunrise|sunset)\b|"
            r"\b\d{1,2} ?[ap]\.?m\b|\b(?:any time|any hour|around the clock)\b",
            re.IGNORECASE,
        ),
        (
            r"\b(?:what|which) colou?rs?(?! \w+ (?:should|must|may|can|do|could)\b)\b|"
            r"\bcolou?r options\b",
            r"\b(?:black|white|grey|gray|red|blue|green|yellow|orange|brown|pink|purple|amber|"
            r"violet|silver|golden?|beige)(?:ish)?\b",
            re.IGNORECASE,
        ),
    )
)
_AUXILIARY = (
    r"(?:is|are|was|were|am|do|does|did|can|could|may|might|must|should|shall|will|would|has|have|"
    r"had|i|we|you)"
)
_LINK = r"(?:of|for|in|on|at|to|when|that|from|between|with|by|after|before|if|as|under|did|do)"
# What a document says in other words, or leaves unsaid: "may be taken along" for "allowed".
_GENERAL = (
    r"(?:allowed|permitted|required|needed|included|forbidden|prohibited|recommended|covered|"
    r"supposed|possible|advisable|refundable|when|then|often|even|given|taken)\b"
)
_NOUN = r"(?P<noun>(?:[\w'-]+ ){0,2}?[\w'-]+)"
_ENDS = rf"(?: {_LINK}\b|\W*$)"
_ANYWHERE = (  # verbs of where, which documents put otherwise: "Glass goes to the bank"
    r"(?:get|find|put|go|take|have|keep|look|see|leave|bring|buy|do|be|turn|start|apply|ask|send|"
    r"report|read|learn)\b"
)
_WANTED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bhow many (?P<noun>[\w-]+)",
        rf"\bhow much (?P<noun>[\w-]+) (?:{_AUXILIARY}|there|to)\b",
        rf"^(?:is|are|was|were) (?:the|my|your|our|its) (?:[\w-]+ ){{1,3}}(?!{_GENERAL})"
        r"(?P<noun>[a-z]{4,}(?:ed|able|ible|en|less|proof|ful))\W*$",
        rf"^(?:is|are) (?:the |an? |my |your )?{_NOUN} (?:also |still )?"
        r"(?:allowed|permitted|welcome)\b",
        rf"^(?:\w+ )?(?:which|what)(?: (?:kind|type|sort)s? of)? {_NOUN} {_AUXILIARY}\b",
        rf"^what(?:'s|s| is| are| was| were) (?:the |an? |my |your |its )?{_NOUN} {_LINK}\b",
        rf"^(?:is|are) there (?:an? |any |some )?{_NOUN}{_ENDS}",
        rf"^(?:do|does|can|could|may) (?:you|i|we|it|they) (?:have(?! to\b)|sell|offer|borrow|buy|"
        rf"rent|get|order|hire) (?:an? |any |the |some )?{_NOUN}{_ENDS}",
        r"^who(?: has)? (?P<noun>founded|invented|designed|won|discovered|built|created|developed|"
        r"wrote|leads|teaches|owns|pays)\b",
        rf"^where (?:can|could|do|should|may|must) (?:i|we|you|one) (?!{_ANYWHERE})"
        r"(?P<noun>[a-z]+)",
        rf"^how (?:do|can|could|should|would|must) (?:i|we|you|one) \w+ (?:an? |the |my )?"
        rf"{_NOUN}{_ENDS}",
    )
)
_NEARLY = 0.3  # how near a counted word must be to the one that is asked for
# What stands for no kind of thing: "what is the best way to", "what is the point of".
_NO_NOUN = re.compile(
    r"prices?|costs?|fees?|charges?|surcharges?|supplements?|fines?|penalty|steps?|pieces?|bits?|pairs?|procedures?|instructions?|process|rules?|policy|effects?|"
    r"things?|way|difference|reason|kind|sort|type|happens|point|best|most|name|purpose|use|time|"
    r"much|many|other|first|last|the|an?|do|does|must|should|if|of|out|up|right|correct|proper|good|"
    r"usual|normal|exact|max(?:imum)?|min(?:imum)?|total|current|average|typical|maximal|minimal"
)


def has_kind(question: Question, texts: Sequence[str]) -> bool:
    """Whether texts contain the kind of answer asked for, where its form shows it (a date)."""
    if _NAMED_BY.search(question.asking):
        own = question.text.casefold()
        names = (match[0] for text in texts for match in _NAME.finditer(text))
        return any(name.removeprefix("by ").casefold() not in own for name in names)
    for asks, said in _KINDS:
        if asks.search(question.asking):
            return any(said.search(text) for text in texts)
    return True


def wanted_noun(question: Question) -> list[str]:
    """Returns the noun phrase that a question asks for: `which breed`, `how many eggs`."""
    for pattern in _WANTED:
        if match := pattern.search(question.asking):
            return [
                word for word in match["noun"].casefold().split() if not _NO_NOUN.fullmatch(word)
            ]
    return []


def named(asked: Sequence[AskedWord], noun: Iterable[str], texts: Sequence[set[str]]) -> float:
    """Returns how nearly one of several texts names what a question asks for, from 0 to 1.

    Args:
        noun: Stems of the noun that is asked for; with none, 1 is returned.
        texts: The stems of each text.
    """
    stems = set(noun)
    wanted = [word for word in asked if word.stem in stems]
    if not wanted:
        return 1.0
    return max((sum(word.said(text) for word in wanted) / len(wanted) for text in texts), default=0)


_MANY = re.compile(r"\bhow many (?P<noun>(?:[\w-]+ ){0,2}?[\w-]+)", re.IGNORECASE)
_NUMBER_THEN = re.compile(
    r"(?<![\w.,])(?:\d[\d,.]*|no|none|neither|zero|one|two|three|four|five|six|seven|eight|nine|ten|"
    r"eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|ninety|hundreds?|thousands?|million|"
    r"billion|dozens?|both|single|several|unlimited|any number of)\b(?P<after>(?:\W+[\w-]+){0,4})",
    re.IGNORECASE,
)


def counts(question: Question, asked: Sequence[AskedWord], texts: Sequence[str]) -> bool:
    """Whether texts count what a "how many" asks for: a number and, right after it, the noun.

    "Each member may reserve four tickets" does not say how many members there are. A row of a
    table counts whatever it is about.
    """
    match = _MANY.search(question.asking)
    if match is None:
        return True
    wanted = [word for word in asked if word.stem in set(tokens(match["noun"].split()[0]))]
    if not wanted:
        return True
    for text in texts:
        if re.search(r"(?:: |\u2014 ?)\W?\d", text):
            return True
        for counted in _NUMBER_THEN.finditer(text):
            if any(word.said(tokens(counted["after"])) > _NEARLY for word in wanted):
                return True
    return False
