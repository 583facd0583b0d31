"""Classifies an English question by the kind of answer that it asks for.

People write as they speak: a sentence of context first, a polite wrapping, no capital, no question
mark. The form is read from the clause that asks; ranking uses everything that was written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from doctune.dataset.lexicon import DASHES
from doctune.dataset.text import collapse, sentences

Form = Literal["yes_no", "list", "how_to", "time", "price", "count", "reason", "definition", "open"]

# As people type and speak: without an apostrophe, or run together.
_SPOKEN = {
    "whats": "what is", "whos": "who is", "wheres": "where is", "whens": "when is",
    "hows": "how is", "whys": "why is", "dont": "don't", "doesnt": "doesn't", "didnt": "didn't",
    "isnt": "isn't", "arent": "aren't", "wasnt": "wasn't", "cant": "can't", "couldnt": "couldn't",
    "shouldnt": "shouldn't", "wouldnt": "wouldn't", "wont": "won't", "im": "I am", "ive": "I have",
    "thats": "that is", "theres": "there is", "u": "you", "ur": "your", "pls": "please",
    "wanna": "want to", "gonna": "going to", "gotta": "have to",
}  # fmt: skip
_SPOKEN_WORD = re.compile(rf"\b(?:{'|'.join(_SPOKEN)})\b(?!['\u2019.-])", re.IGNORECASE)
_AUXILIARY = (
    r"(?:is|are|was|were|am|do|does|did|can|could|may|might|must|should|shall|will|would|has|have|"
    r"had|need|isn't|aren't|doesn't|don't|didn't|can't|won't|shouldn't|isnt|arent|doesnt|dont|cant)"
)
_WH = r"(?:what|whats|what's|which|who|whom|whose|when|where|why|how|hows|how's|wheres|whens)"
_WRAPPING = re.compile(
    r"^(?:(?:please|hi|hello|hey|ok|so|and|but|well|just|um)\b[,!:. ]*)*"
    r"(?:(?:can|could|would|will) (?:you|somebody|someone|anyone) (?:please )?(?:tell|explain|say|"
    r"show|remind|help)(?: (?:to )?me| us)?(?: understand| with| about)?\s*|"
    r"(?:do|does) (?:you|anyone|anybody|somebody) (?:know|remember)\s*|"
    r"(?:i|we)(?: am| are|'m|'re|'d)? (?:want|need|like|would like|wondering|wonder|have to|"
    r"trying)(?: to (?:know|find out|understand|ask))\s*|(?:i|we)(?: am|'m| are|'re)? "
    r"(?:wondering|unsure|not sure)\s*|(?:please )?(?:tell|explain|show)(?: (?:to )?me| us)?\s*|"
    r"any idea\s*|is it (?:true|right|correct) that\s*)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(rf"(?:[,;:{DASHES}]| - |\band\b|\bso\b|\bbut\b)\s*")
_YES_NO = re.compile(rf"^(?:and |so |but )?{_AUXILIARY}\b", re.IGNORECASE)
_WH_START = re.compile(
    rf"^(?:(?:at|in|on|by|for|from|to|up to|within|after|until|since|under|over|"
    rf"above|below|between|with|of|about) )?{_WH}\b",
    re.IGNORECASE,
)
_WHETHER = re.compile(r"^(?:if|whether)\b", re.IGNORECASE)
_TRUE_THAT = re.compile(r"\bis it (?:true|right|correct) that\b", re.IGNORECASE)
_FORMS: tuple[tuple[Form, re.Pattern[str]], ...] = (
    ("reason", re.compile(r"^(?:why|what (?:causes|is the (?:reason|cause))|how come)\b", re.I)),
    (
        "price",
        re.compile(
            r"\b(?:cost|costs|price|priced|prices|pay|fees?|expensive|earns?|salary|wages?|"
            r"sells? for|owe|how much (?:money|is|are|does .* cost)|"
            r"(?:any|a|the|extra|what) charges?|charged? (?:for|me)|"
            r"what(?: is|'s) the (?:[\w-]+ )?(?:surcharge|supplement|fine|penalty|rent))\b",
            re.IGNORECASE,
        ),
    ),
    (
        "time",
        re.compile(
            r"\b(?:how long|how often|how soon|how old|what time|what date|which (?:day|month|"
            r"year|date)|until when|how many (?:days|hours|weeks|months|years|minutes|seconds)|"
            r"what interval|(?:right|best|correct|maximum|minimum|longest|shortest) "
            r"(?:time|duration))\b|^(?:(?:by|until|since|from|and|so) )?when\b",
            re.IGNORECASE,
        ),
    ),
    (
        "count",
        re.compile(
            r"\b(?:how (?:many|much|big|large|heavy|high|tall|far|loud|thick|wide|quiet|"
            r"deep|fast|hot|cold|strong|warm|tight)|what(?: is| are| was)? (?:the )?"
            r"(?:(?:max|min)(?:imum|imal)?|total|average|highest|lowest|recommended|exact|usual)? ?"
            r"(?:percentage|share|number|size|weight|"
            r"distance|speed|temperature|pressure|wind|level|amount|value)|"
            r"whats the (?:size|weight))\b",
            re.IGNORECASE,
        ),
    ),
    (
        "how_to",
        re.compile(
            r"\b(?:how (?:do|can|should|must|would|to) (?:i|we|you|one)?|how to|step by step|steps|"
            r"walk me through|(?:the|best|right|proper|correct) way to|instructions (?:for|on|to)|"
            r"what (?:should|must|do|can) (?:i|we|you|one)(?: have to)? do\b|what to do|procedure)",
            re.IGNORECASE,
        ),
    ),
    (
        "list",
        re.compile(
            r"\b(?:what are|which are|list|name the|name all|what (?:do|must|should) (?:i|we|you) "
            r"(?:need|send|bring|have|give|include|prepare|take)|what (?:is|comes) (?:included|"
            r"in the box|with)|what kinds?|which (?:\w+ )?\w+s\b|what (?:\w+ )?(?:things|parts|"
            r"tools|regions|products|items|reasons|conditions|options|damage|models|values|causes)|"
            r"what all|what (?:belongs|counts)|whats included)\b",
            re.IGNORECASE,
        ),
    ),
)


_TERM = r"[\"']?(?P<term>[\w-]+(?: [\w-]+){0,2}?)[\"']?"
_ENDING = r"(?: (?:exactly|actually|then|please|here|anyway|supposed to be))*\s*[?.!]*$"
_DEFINITIONS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"^(?:what(?:'?s| is| are| was)|who(?:'?s| is| are)) (?:an? |the )?{_TERM}{_ENDING}",
        rf"^what (?:do(?:es)? )(?:an? |the )?(?:word |term |code )?{_TERM} (?:\w+ my display )?"
        rf"(?:mean|stand for)s?\b.*$",
        rf"^what is (?:meant|understood) by (?:an? |the )?{_TERM}{_ENDING}",
        rf"^(?:define|explain|describe) (?:an? |the )?{_TERM}{_ENDING}",
        rf"^(?:the )?{_TERM},? (?:- )?what(?:'?s| is| are) (?:that|this|it|those){_ENDING}",
        rf"^(?:what|who) (?:an? |the )?{_TERM} (?:is|are|means?){_ENDING}",
        rf"^(?:who|what) counts as (?:an? |the )?{_TERM}{_ENDING}",
        rf"^(?:the )?meaning of (?:the )?{_TERM}{_ENDING}",
        rf"^(?:the )?{_TERM},? (?:meaning|definition){_ENDING}",
    )
)
_WHO = re.compile(r"^(?:and |so )?who(?:'s| is| has to| must| should| do(?:es)?)?\b", re.IGNORECASE)
_HOW_PAID = re.compile(
    r"^how (?:do|can|should|must|would|to|is|are) (?:(?:i|we|you|one|they|it) )?(?:[\w' ]+ )?"
    r"(?:pay|paid|claim)\b|^where\b",
    re.IGNORECASE,
)
_MEANING = re.compile(r"\b(?:mean(?:s|ing|t)?|defin\w+|stands? for|understood)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what it asks for.

    Attributes:
        text: All that was written, on one line, contractions in full ("whats" as "what is").
        asking: The clause that asks, without wrapping.
        form: The kind of answer wanted.
        term: Of a definition, what is to be explained; empty of any other.
    """

    text: str
    asking: str
    form: Form
    term: str = ""


def read_question(text: str) -> Question:
    """Returns a question with its form."""
    text = _SPOKEN_WORD.sub(_written, collapse(text))
    asking = _asking_clause(text)
    bare = _WRAPPING.sub("", asking).strip() or asking
    if _TRUE_THAT.search(asking) or _WHETHER.match(bare) or _YES_NO.match(bare):
        return Question(text, bare, "yes_no")
    if asking.endswith("?") and not re.search(rf"\b{_WH}\b", bare, re.IGNORECASE):
        verb = re.search(rf"\b{_AUXILIARY}\b|\b(?:right|ok|okay|allowed|true)\b", bare, re.I)
        if verb and len(bare.split()) >= 4:  # "So I can wash it, right?"; "The sill's price?"
            return Question(text, bare, "yes_no")
    measured = any(
        pattern.search(bare) for form, pattern in _FORMS if form in ("price", "time", "count")
    )
    if (term := _defined_term(bare)) and (_MEANING.search(bare) or not measured):
        return Question(text, bare, "definition", term)
    for form, pattern in _FORMS:
        # "Who pays for the drain?" asks for somebody, "how do I pay?" for a way, not for a price.
        if pattern.search(bare) and not (
            form == "price" and (_WHO.match(bare) or _HOW_PAID.search(bare))
        ):
            return Question(text, bare, form)
    return Question(text, bare, "open")


def _written(match: re.Match[str]) -> str:
    word = match[0]
    if word.isupper():  # "IM" and "U" of a text are names
        return word
    full = _SPOKEN[word.casefold()]
    return full[0].upper() + full[1:] if word[0].isupper() else full


def _defined_term(asking: str) -> str:
    """Returns the term that a question wants explained, or "" if it asks for something else."""
    for pattern in _DEFINITIONS:
        if match := pattern.match(asking):
            return match["term"].strip(" \"'?.,")
    return ""


def _asking_clause(text: str) -> str:
    """Returns the sentence that asks, from the question word that begins a clause, if any."""
    parts = sentences(text) or [text]
    asking = next((part for part in reversed(parts) if part.endswith("?")), parts[-1])
    bare = _WRAPPING.sub("", asking).strip()
    if _YES_NO.match(bare) or _WH_START.match(bare) or _WHETHER.match(bare):
        return asking
    starts = [match.end() for match in _CLAUSE.finditer(asking)]
    for start in starts:
        clause = asking[start:].strip()
        if _YES_NO.match(clause) or _WH_START.match(clause):
            return clause
    return asking
