"""Questions that an English sentence answers, found by its form.

Each rule matches one form ("To reset the clock, hold the button" answers "How do I reset the
clock?") and skips all others: a missed question costs little, a wrong one teaches errors. Sentences
that depend on their context ("It also ...", "see below") are left out. No tagger is needed:
function words and short lists of verbs identify the forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from doctune.dataset.lexicon import APOSTROPHES, lexicon
from doctune.dataset.names import Vocabulary
from doctune.dataset.rules.verbs import base_of_third_person, is_imperative, third_persons
from doctune.dataset.text import words


@dataclass(frozen=True)
class Question:
    """Ways to ask what one sentence answers."""

    kind: str  # "definition", "fact" or "how_to"
    texts: tuple[str, ...]
    subject: str  # the words that say what it is about


_COUNT = r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d+)"
_NUMBER = r"(?:-?\d[\d.,/]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half)"
_QUANTITY = (
    r"(?:(?:about|around|approximately|at least|at most|up to|exactly|only|less than|more than|"
    rf"over|under|between|from) )?[\u20ac$\u00a3]?\s?{_NUMBER}\b"
)
_UNITS = rf"(?:{'|'.join(sorted(lexicon('units')))})\b|%|\u00b0"
_PERIOD = r"(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?)\b"
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
)
_WHEN = (
    r"(?:(?:in|on|at|after|from|since|until|by|before|every) "
    r"(?:(?:the|an?|about|early|late|mid) )?"
    rf"(?:\d{{1,2}}(?:st|nd|rd|th)? )?(?:{_MONTH}|(?:19|20)\d\d\b|\d\d?:\d\d|\d+ {_PERIOD}|"
    rf"{_NUMBER} {_PERIOD}|midnight|noon|dawn|dusk|(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    r"(?:morning|evening|night|day|week|month|quarter|year|spring|summer|autumn|winter)\b))"
)
_NOUN_WORD = (
    rf"(?!(?i:{'|'.join(sorted(lexicon('no_noun_words')))})\b)"
    rf"[\w{APOSTROPHES}/+&-]+(?:\.\d+)?"
)
_SUBJECT = rf"(?P<subject>{_NOUN_WORD}(?: {_NOUN_WORD}){{0,7}}?)"
_PARTICIPLE = (
    r"(?P<participle>(?:\w+ly )?(?:\w{2,}ed|made|kept|built|sent|sold|paid|held|found|set|shown|"
    r"written|given|taken|done|run|put|cut|fed|bound|known|born|grown|read|drawn|worn))"
)
_MODAL = r"(?P<modal>must|should|can|may|will)"
_BE = r"(?P<be>is|are|was|were)"
_PREPOSITION = (
    r"(?:of|for|on|in|at|only|under|over|with|from|by|to|as|after|until|when|while|before|about|"
    r"than|that|because|if|and|or|but|into|within|without|between|through|so|more|less|"
    r"is|are|was|were|will|would|can|could|may|might|must|should|shall|has|have|had|do|does|did)\b"
)
_PRONOUN = re.compile(r"\b(?:it|its|them|they|their|this|that|these|those|one|ones)\b")
_LEANING = re.compile(
    r"^(?:it|this|these|they|that|those|he|she|such|here|both|otherwise|however|also|then|thus|"
    r"hence|therefore|instead|in (?:addition|this|that|these|both|either)|at this|for this|"
    r"moreover|furthermore|finally|additionally|as a result|consequently|similarly|likewise|yet|"
    r"and|but|or|so|next|another|others?|its|their|his|her|n?either|we|our|i|my|one|some|"
    r"(?:each|all|most|none|any|some|both|two|three) of|everything|nothing|"
    r"the (?:first|second|third|fourth|fifth|last|former|latter|following|above|same|other|next|"
    r"two|three|four|rest|reason|result|answer|list|order|idea|rule|trick))\b"
    r"|\b(?:see|shown in|listed in|described in|given in|refer to) (?:section|figure|fig\.|table|"
    r"page|chapter|appendix|below|above|the)|\b(?:the following|as follows|aforementioned|hereof|"
    r"thereof|herein|these|those|this|such)\b|\b(?:below|above)$"
    r"|\b(?:fig(?:ure)?s?|tables?|eqn?s?|equations?|sections?|appendix|panels?|refs?)\b"
    r"\.? ?\(?(?-i:[\dA-Z])"
    r"|\b(?:table|figure|section|list|chart|diagram) (?:below|above)\b"
    r"|\b(?:all|the|of) (?:two|three|four|five)$|\b(?:which|it|them|so|one)$|\[\d+\]",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"(?P<subject>(?:The|A|An|Each|Every) [^,;:]{3,50}), [^,;:]{2,40}, "
    r"(?P<rest>(?:is|are|was|were|must|should|can|may|will|has|have) .+)"
)
_DETERMINER = re.compile(r"^(?:The|A|An|Each|Every|All|Any|Your|No|Most|Our)\b")
_MOST_WORDS = 45


def question_of(sentence: str, vocabulary: Vocabulary) -> Question | None:
    """Returns what can be asked of a sentence; None if no form fits for sure."""
    text = sentence.strip().rstrip(".!")
    if sentence[-1:] not in (".", "!") or not 4 <= len(words(text)) <= _MOST_WORDS:
        return None
    if _LEANING.search(text) or "?" in text or text[0].islower() or not text[0].isalnum():
        return None
    # "The sieve, part SI-20, must be ...": the question does not need the apposition.
    aside = _ASIDE.match(text)
    if aside:
        text = f"{aside['subject']} {aside['rest']}"
    for rule in _RULES:
        found = rule(text, vocabulary)
        if found is not None:
            return found if not found.subject.casefold().endswith(_HANGING) else None
    return None


_HANGING = (" of", " for", " in", " on", " at", " with", " by", " to", " the", " a", " an", " from")


def lower_start(text: str, vocabulary: Vocabulary) -> str:
    """Lower-cases the first word unless it is a name."""
    first, second, *_ = (*text.split(" ", 2), "")
    if second[:1].isupper() and not _DETERMINER.match(text):
        return text  # "Greater China"
    if _DETERMINER.match(text) or (first[:1].isupper() and vocabulary.is_common(first)):
        return text[0].lower() + text[1:]
    return text


def _subject_of(match: re.Match[str], vocabulary: Vocabulary, most_words: int = 8) -> str | None:
    """Returns the subject as it stands within a sentence; None if it is no noun phrase for sure."""
    found = match["subject"].split()
    adverb = len(found) > 1 and found[-1].endswith("ly")
    if len(found) > most_words or adverb or is_imperative(match["subject"]):
        return None
    if found[0].casefold() in lexicon("prepositions"):
        return None
    return lower_start(match["subject"], vocabulary)


def first_person(text: str) -> str:
    """`you lose your key` -> `I lose my key`."""
    for pattern, new in (
        (r"\byou are\b", "I am"),
        (r"\byou were\b", "I was"),
        (r"\byou're\b", "I am"),
        (r"\byou\b", "I"),
        (r"\byours\b", "mine"),
        (r"\byourself\b", "myself"),
        (r"\byour\b", "my"),
    ):
        text = re.sub(pattern, new, text, flags=re.IGNORECASE)
    return text


def _purpose(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(r"To (?P<goal>[a-z][^,;:]{4,80}), (?P<rest>\w.+)", text)
    if not match or len(match["goal"].split()) < 2 or _PRONOUN.search(match["goal"]):
        return None
    told = is_imperative(match["rest"]) or match["rest"].startswith(("you ", "first ", "simply "))
    if not told or re.match(r"(?:be|the|an?|some|my|date|avoid)\b", match["goal"]):
        return None
    goal = first_person(match["goal"])
    texts = (f"How do I {goal}?", f"How can I {goal}?", f"What do I have to do to {goal}?")
    return Question("how_to", texts, goal)


def _condition(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(
        r"(?P<word>If|When|Before|After) (?P<condition>[^,;:]{8,90}), (?P<rest>.+)", text
    )
    if not match or match["rest"].startswith(("and ", "or ", "but ", "as ", "even ")):
        return None
    if re.match(r"\w+(?:, \w+)*,? (?:or|and) |\w+, (?:is|are|was|were|has|have) ", match["rest"]):
        return None  # a series goes on: "for daily, weekly, or monthly runs"; an aside has come
    word, condition = match["word"].lower(), first_person(match["condition"])
    # A second clause without a comma: "If it breaks we repair it".
    if _PRONOUN.search(condition) or re.search(
        r"\bwe\b|\w (?<!and )(?<!that )I\b|\bnone\b", condition
    ):
        return None
    if not condition.startswith("I "):
        condition = lower_start(condition, vocabulary)
    texts: tuple[str, ...]
    if is_imperative(match["rest"]) or match["rest"].startswith(("you must", "do not", "never")):
        texts = (f"What should I do {word} {condition}?", f"What must be done {word} {condition}?")
    elif word in ("if", "when"):
        texts = (f"What happens {word} {condition}?",)
    else:
        return None
    return Question("fact", texts, condition)


def _permission(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(
        rf"Only (?:an? |the )?(?P<who>[^,;:]{{3,60}}?) {_MODAL} (?P<rest>[a-z][^,;]+)", text
    )
    if not match or match["rest"].startswith("be ") or _PRONOUN.search(match["rest"]):
        return None
    return Question("fact", (f"Who {match['modal']} {match['rest']}?",), match["rest"])


def _definition(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(
        rf"{_SUBJECT} (?:(?P<be>is|are) (?:a|an|the|one of|any|part of|our)\b"
        r"(?! (?:same|case|reason|result|following|former|latter|opposite|way|time)\b)|"
        r"(?P<verb>refers to|stands for|denotes|means) )",
        text,
    )
    subject = _subject_of(match, vocabulary, most_words=6) if match else None
    if not match or not subject:
        return None
    texts: tuple[str, ...]
    if match["be"]:
        texts = (f"What {match['be']} {subject}?", f"Explain what {subject} {match['be']}.")
    elif match["verb"] == "stands for":
        texts = (f"What does {subject} stand for?", f"What is the meaning of {subject}?")
    else:
        texts = (f"What does {subject} mean?", f"What is meant by {subject}?")
    return Question("definition", texts, subject)


# Sentences with a quantity, and their question; {base} is the verb without its s.
_MEASURES = (
    (rf"{_SUBJECT} (?P<verb>weighs?) {_QUANTITY}", "How much {does} {subject} weigh?"),
    (rf"{_SUBJECT} (?P<verb>costs?) {_QUANTITY}", "How much {does} {subject} cost?"),
    (
        rf"{_SUBJECT} (?P<verb>lasts?|takes?) {_QUANTITY}.{{0,12}}?{_PERIOD}",
        "How long {does} {subject} {base}?",
    ),
    (rf"{_SUBJECT} (?P<verb>holds?|yields?) {_QUANTITY}", "How much {does} {subject} {base}?"),
    (rf"{_SUBJECT} (?P<verb>measures?) {_QUANTITY}", "What {does} {subject} measure?"),
    (
        rf"{_SUBJECT} (?P<verb>expires?|starts?|begins?|ends?|opens?|closes?) "
        rf"{_WHEN}",
        "When {does} {subject} {base}?",
    ),
)


def _measure(text: str, vocabulary: Vocabulary) -> Question | None:
    for pattern, asked in _MEASURES:
        match = re.match(pattern, text)
        subject = _subject_of(match, vocabulary) if match else None
        if match and subject:
            verb = match["verb"]
            does = "does" if verb.endswith("s") else "do"
            question = asked.format(does=does, subject=subject, base=verb.removesuffix("s"))
            return Question("fact", (question,), subject)
    match = re.match(rf"{_SUBJECT} {_BE} {_QUANTITY}(?P<rest>.*)", text)
    subject = _subject_of(match, vocabulary) if match else None
    if not match or not subject:
        return None
    adjective = re.match(
        r"(?: ?\S+){0,2}? (?P<how>wide|long|high|deep|thick|tall|heavy|old)\b", match["rest"]
    )
    if adjective:
        question = f"How {adjective['how']} {match['be']} {subject}?"
    elif subject.startswith(("the ", "my ")) and not re.match(r"\S* (?:to|of) ", match["rest"]):
        question = f"What {match['be']} {subject}?"
    else:
        return None
    return Question("fact", (question,), subject)


def _count(text: str, vocabulary: Vocabulary) -> Question | None:
    things = r"(?P<things>(?:[\w-]+ ){0,2}?[\w-]+s)\b"
    match = re.match(
        rf"{_SUBJECT} (?P<verb>has|have|includes|contains|offers|uses|comes with|consists of) "
        rf"{_COUNT} {things}(?! of)(?: |$|[,:;])",
        text,
    )
    subject = _subject_of(match, vocabulary) if match else None
    if match and subject:
        does = "do" if match["verb"] == "have" else "does"
        base = {"has": "have", "comes with": "come with", "consists of": "consist of"}.get(
            match["verb"], match["verb"].removesuffix("s")
        )
        question = f"How many {match['things']} {does} {subject} {base}?"
        return Question("fact", (question,), f"{subject} {match['things']}")
    match = re.match(
        rf"There are {_COUNT} {things}(?P<place> (?:in|on|of|for) [\w {APOSTROPHES}-]+)?", text
    )
    if not match or not (match["place"] or " " in match["things"]):
        return None
    question = f"How many {match['things']} are there{match['place'] or ''}?"
    return Question("fact", (question,), match["things"])


# Endings of a passive sentence ("is replaced every 180 days"), and their question.
_HAND_OVER = (
    (
        rf"(?:once|twice|{_NUMBER} times|every|daily|weekly|monthly|yearly|annually|quarterly)\b",
        "How often {front} {subject} {back}?",
    ),
    (_WHEN, "When {front} {subject} {back}?"),
    (rf"within {_QUANTITY}.{{0,12}}?{_PERIOD}", "How soon {front} {subject} {back}?"),
    (rf"for {_QUANTITY}.{{0,12}}?{_PERIOD}", "How long {front} {subject} {back}?"),
    (
        r"(?:before|after|until|during|when|while|as soon as|at the (?:end|start)) ",
        "When {front} {subject} {back}?",
    ),
    (
        r"by (?!default\b|hand\b|mail\b|post\b|e-?mail\b|\w+ing\b|\d|an? (?:quarter|third|half))",
        "By whom or by what {front} {subject} {back}?",
    ),
    (rf"at {_QUANTITY} ?(?:{_UNITS})", "At what value {front} {subject} {back}?"),
    (
        r"(?:with|from|to|into) (?:(?:the|an?|each|every|all|your|its?)\b|\d|[A-Z])",
        "What {front} {subject} {back} {preposition}?",
    ),
    (
        r"(?:in|on|under|behind|inside|next to|beside|at) (?:the|a|an|each|your) ",
        "Where {front} {subject} {back}?",
    ),
)


def _passive(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(rf"{_SUBJECT} (?:{_BE}|{_MODAL} be) {_PARTICIPLE} (?P<rest>.+)", text)
    subject = _subject_of(match, vocabulary) if match else None
    if not match or not subject:
        return None
    front = match["be"] or match["modal"]
    back = match["participle"] if match["be"] else f"be {match['participle']}"
    for pattern, asked in _HAND_OVER:
        if re.match(pattern, match["rest"]):
            preposition = match["rest"].split(" ", 1)[0]
            question = asked.format(
                front=front, subject=subject, back=back, preposition=preposition
            )
            return Question("fact", (question,), subject)
    return None


_ACTIVE = re.compile(
    rf"{_SUBJECT} (?:(?:automatically|always|normally|usually|also) )?"
    rf"(?P<verb>{'|'.join(sorted(third_persons(), key=len, reverse=True))}) "
    rf"(?!{_PREPOSITION}|{_PRONOUN.pattern})(?P<rest>\w.+)"
)


def _active(text: str, vocabulary: Vocabulary) -> Question | None:
    match = _ACTIVE.match(text)
    subject = _subject_of(match, vocabulary, most_words=6) if match else None
    if not match or not subject or _is_plural_noun(match, vocabulary):
        return None
    return Question(
        "fact", (f"What does {subject} {base_of_third_person(match['verb'])}?",), subject
    )


def _is_plural_noun(match: re.Match[str], vocabulary: Vocabulary) -> bool:
    """Whether what looks like a verb is a noun: "Potential export controls targeting ... may ...".

    The subject then lacks its article, and the sentence's own verb is still to come.
    """
    subject = match["subject"]
    if _DETERMINER.match(subject) or vocabulary.is_proper(subject.split()[-1]):
        return False
    return bool(re.match(r"\w+ing\b", match["rest"]) or _FINITE.search(match["rest"]))


_FINITE = re.compile(r"\b(?:may|can|will|must|should|shall|is|are|was|were|has|have)\b")
_RULES: tuple[Callable[[str, Vocabulary], Question | None], ...] = (
    _purpose,
    _condition,
    _permission,
    _definition,
    _measure,
    _count,
    _passive,
    _active,
)
