"""Questions that an English sentence answers, found by its form.

Each rule knows one form ("To reset the clock, hold the button" answers "How do I reset the
clock?") and is silent on all others: a question missed costs little, a crooked one teaches
crooked. Sentences that lean on what stands before them ("It also ...", "see below") are left out.
No tagger is needed: the forms are told by function words and short lists of verbs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from doctune.dataset.names import Vocabulary
from doctune.dataset.text import words


@dataclass(frozen=True)
class Question:
    """Ways to ask what one sentence answers."""

    kind: str  # "definition" or "fact"
    texts: tuple[str, ...]
    subject: str


_NUMBER = r"(?:\d[\d.,/]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half)"
_QUANTITY = rf"(?:about|around|approximately|at least|at most|up to|exactly|only|less than|more than|over|under|between)?\s*[€$£]?\s?{_NUMBER}\b"
_PERIOD = r"(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?)"
_STOP = (
    ["is", "are", "was", "were", "be", "been", "has", "have", "had", "do", "does", "did", "can", "could", "may", "might", "must", "shall", "should", "will", "would", "cannot", "and", "or", "but", "if", "when", "that", "which", "who", "whose", "where", "because", "so", "than", "then", "it", "they", "this", "these", "those", "there", "not", "never", "only", "also", "you", "we", "i", "he", "she"]
)
_NOUN_WORD = rf"(?!(?:{'|'.join(_STOP)})\b)[\w'’/+&-]+(?:\.\d+)?"
_SUBJECT = rf"(?P<subject>{_NOUN_WORD}(?: {_NOUN_WORD}){{0,7}}?)"
_PARTICIPLE = (
    r"(?P<participle>(?:\w+ly )?(?:\w{2,}ed|made|kept|built|sent|sold|paid|held|found|set|shown|"
    r"written|given|taken|done|run|put|cut|fed|bound|known|born|grown|read|drawn|worn))"
)
_MODAL = r"(?P<modal>must|should|can|may|will)"
_BE = r"(?P<be>is|are|was|were)"
_LEANING = re.compile(
    r"^(?:it|this|these|they|that|those|he|she|such|here|both|otherwise|however|also|then|thus|"
    r"hence|therefore|instead|in addition|in this|at this|for this|in that|moreover|furthermore|"
    r"finally|additionally|as a result|consequently|similarly|likewise|yet|and|but|or|so|first|"
    r"second|third|next|another|other|others|its|their|his|her|neither|either|the (?:former|latter|"
    r"following|above|same|other|latter|previous)|we|our|i|my|one|some|each of|all of|"
    r"most of|none of)\b"
    r"|\b(?:see|shown in|listed in|described in|given in|refer to) (?:section|figure|fig\.|table|"
    r"page|chapter|appendix|below|above|the)|\b(?:below|above|the following|as follows|aforementioned|"
    r"hereof|thereof|herein)\b(?! \d|[ -]?\w*zero)|\[\d+\]",
    re.IGNORECASE,
)
_DETERMINER = re.compile(r"^(?:The|A|An|Each|Every|All|Any|Your|No|Most|Our)\b")
_MAX_WORDS = 45

# Third person -> base form, for "What does <subject> <base>?".
_TRANSITIVE = {
    f"{base}s": base
    for base in ["allow", "accept", "apply_to", "accompany", "belong_to", "connect_to", "consist_of", "contain", "control", "convert", "cool", "cover", "deliver", "depend_on", "detect", "display", "draw", "drive", "emit", "enable", "ensure", "exclude", "fill", "filter", "give", "govern", "guide", "handle", "heat", "hold", "include", "indicate", "inform", "involve", "keep", "lead_to", "let", "limit", "list", "lock", "mark", "mean", "measure", "monitor", "need", "offer", "open", "operate_at", "pay", "permit", "power", "present", "prevent", "print", "produce", "prohibit", "protect", "provide", "pump", "read", "receive", "record", "refer_to", "regulate", "release", "remove", "replace", "report", "represent", "require", "return", "run_on", "send", "serve", "ship_with", "show", "signal", "start", "stop", "store", "support", "switch", "take", "tell", "test", "transmit", "trigger", "turn_into", "use", "warn", "weigh", "work_with"]
} | {"carries": "carry", "supplies": "supply", "specifies": "specify", "passes": "pass"}
_TRANSITIVE = {
    (f"{base.split('_')[0]}s {base.split('_')[1]}" if "_" in base else form): base.replace("_", " ")
    for form, base in _TRANSITIVE.items()
}
_IMPERATIVES = frozenset(
    ["add", "adjust", "allow", "always", "apply", "arrange", "ask", "attach", "avoid", "bring", "call", "change", "charge", "check", "choose", "clean", "clear", "close", "collect", "connect", "contact", "continue", "cool", "create", "cut", "delete", "detach", "disconnect", "dispose", "do", "drain", "dry", "empty", "enter", "ensure", "fill", "find", "fit", "follow", "give", "go", "hang", "hold", "increase", "inform", "insert", "inspect", "install", "isolate", "keep", "leave", "let", "lift", "load", "lock", "loosen", "lower", "lubricate", "make", "measure", "mount", "move", "never", "notify", "open", "order", "perform", "pick", "place", "plug", "pour", "press", "pull", "push", "put", "raise", "read", "record", "reduce", "refill", "register", "release", "remove", "repair", "repeat", "replace", "report", "request", "reset", "restart", "return", "rinse", "rotate", "run", "save", "scan", "screw", "seal", "select", "send", "set", "shake", "show", "shut", "slide", "speak", "stand", "start", "stay", "stop", "store", "submit", "switch", "take", "tap", "tell", "test", "tighten", "touch", "try", "turn", "type", "unlock", "unplug", "unscrew", "update", "use", "vent", "wait", "warm", "wash", "wear", "wipe", "write"]
)


def questions(sentence: str, vocabulary: Vocabulary) -> Iterator[Question]:
    """Yields what can be asked of a sentence, the surest form first; nothing if none fits."""
    text = sentence.strip().rstrip(".!")
    if sentence[-1:] not in ".!" or not 4 <= len(words(text)) <= _MAX_WORDS:
        return
    if _LEANING.search(text) or "?" in text or not text[0].isalnum():
        return
    for rule in _RULES:
        found = rule(text, vocabulary)
        if found is not None:
            yield found
            return


def lower_start(text: str, vocabulary: Vocabulary) -> str:
    """Lower-cases the first word unless it is a name."""
    first = text.split(" ", 1)[0]
    if _DETERMINER.match(text) or (first[:1].isupper() and not vocabulary.is_proper(first)):
        return text[0].lower() + text[1:]
    return text


def _subject(match: re.Match[str], vocabulary: Vocabulary) -> str:
    return lower_start(match["subject"], vocabulary)


def _to_first_person(text: str) -> str:
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


def _definition(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(
        rf"{_SUBJECT} (?:(?P<be>is|are) (?:a|an|the|one of|any|part of|our)\b|"
        r"(?P<verb>refers to|stands for|denotes) |means (?!that\b))",
        text,
    )
    if not match or len(match["subject"].split()) > 6:
        return None
    subject = _subject(match, vocabulary)
    if match["verb"] == "stands for":
        texts = (f"What does {subject} stand for?", f"What is the meaning of {subject}?")
    elif match["be"]:
        texts = (f"What {match['be']} {subject}?", f"Explain what {subject} {match['be']}.")
    else:
        texts = (f"What does {subject} mean?", f"What is meant by {subject}?")
    return Question("definition", texts, subject)


def _measure(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(rf"{_SUBJECT} {_BE} {_QUANTITY}", text)
    if match and not re.search(r"\b(?:years?|months?) old\b", text):
        subject = _subject(match, vocabulary)
        if subject.split()[0] in ("the", "my") and len(subject.split()) > 1:
            return Question("fact", (f"What {match['be']} {subject}?",), subject)
    for pattern, asked in (
        (rf"{_SUBJECT} weighs? {_QUANTITY}", "How much {does} {subject} weigh?"),
        (rf"{_SUBJECT} costs? {_QUANTITY}", "How much {does} {subject} cost?"),
        (
            rf"{_SUBJECT} (?P<verb>lasts?|takes?) {_QUANTITY}.{{0,12}}?{_PERIOD}\b",
            "How long {does} {subject} {verb}?",
        ),
        (rf"{_SUBJECT} holds? {_QUANTITY}", "How much {does} {subject} hold?"),
        (rf"{_SUBJECT} measures? {_QUANTITY}", "What {does} {subject} measure?"),
        (
            rf"{_SUBJECT} (?P<verb>expires?|starts?|begins?|ends?|opens?|closes?) "
            r"(?:in|on|at|after|every|from) ",
            "When {does} {subject} {verb}?",
        ),
    ):
        match = re.match(pattern, text)
        if match:
            subject = _subject(match, vocabulary)
            does = "does" if re.match(rf".*\b(?:{_THIRD})\b", match[0]) else "do"
            verb = match.groupdict().get("verb", "")
            base = verb.removesuffix("s")
            return Question("fact", (asked.format(does=does, subject=subject, verb=base),), subject)
    return None


_THIRD = "weighs|costs|lasts|takes|holds|measures|expires|starts|begins|ends|opens|closes"


def _purpose(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(r"To (?P<goal>[a-z][^,;:]{4,80}), (?P<first>\w+)", text)
    if not match or len(match["goal"].split()) < 2 or match["goal"].startswith(("be ", "the ")):
        return None
    goal = _to_first_person(match["goal"])
    texts = [f"How do I {goal}?"]
    if match["first"].casefold() in _IMPERATIVES:
        texts += [f"What do I have to do to {goal}?", f"How can I {goal}?"]
    return Question("how_to", tuple(texts), goal)


def _condition(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(
        r"(?P<word>If|When|Before|After) (?P<condition>[^,;:]{8,90}), (?P<rest>.+)", text
    )
    if not match or re.match(r"(?:it|this|they|these|that|so|not|he|she)\b", match["condition"]):
        return None
    word, condition = match["word"].lower(), _to_first_person(match["condition"])
    condition = lower_start(condition, vocabulary) if condition[:2] != "I " else condition
    first = match["rest"].split(" ", 1)[0].casefold()
    if first in _IMPERATIVES or first == "do" or match["rest"].startswith("you must"):
        texts = (f"What should I do {word} {condition}?", f"What must be done {word} {condition}?")
    elif word in ("if", "when"):
        texts = (f"What happens {word} {condition}?",)
    else:
        return None
    return Question("fact", texts, condition)


_HAND_OVER = (
    (
        rf"(?:once|twice|{_NUMBER} times|every|daily|weekly|monthly|yearly|annually|quarterly)\b",
        "How often {front} {subject} {back}?",
    ),
    (
        r"(?:in|on|since|until|by) (?:\w+ )?(?:\d{1,2} )?(?:\w+ )?(?:19|20)\d\d\b",
        "When {front} {subject} {back}?",
    ),
    (rf"(?:within|for) {_QUANTITY}.{{0,12}}?{_PERIOD}\b", "How long {front} {subject} {back}?"),
    (r"(?:before|after|until|during|when|while|as soon as) ", "When {front} {subject} {back}?"),
    (
        r"by (?!hand\b|mail\b|post\b|e-?mail\b|\w+ing\b|\d)",
        "Who or what {front} {subject} {back} by?",
    ),
    (r"(?:with|from|to|into|at|for) (?!\w+ing\b)", "What {front} {subject} {back} {preposition}?"),
    (
        r"(?:in|on|under|behind|inside|next to|beside) (?:the|a|an|each|your) ",
        "Where {front} {subject} {back}?",
    ),
)


def _passive(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(rf"{_SUBJECT} (?:{_BE}|{_MODAL} be) {_PARTICIPLE} (?P<rest>.+)", text)
    if not match or re.search(r"\bnot\b|\bnever\b|\bno\b", match[0][: match.start("rest")]):
        return None
    subject = _subject(match, vocabulary)
    front = match["be"] or match["modal"]
    back = match["participle"] if match["be"] else f"be {match['participle']}"
    for pattern, asked in _HAND_OVER:
        if re.match(pattern, match["rest"]):
            preposition = match["rest"].split(" ", 1)[0]
            if asked.startswith("How long") and preposition == "within":
                asked = "How soon {front} {subject} {back}?"
            question = asked.format(
                front=front, subject=subject, back=back, preposition=preposition
            )
            return Question("fact", (question,), subject)
    return None


def _count(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(
        rf"{_SUBJECT} (?P<verb>has|have|includes|contains|offers|uses|comes with|consists of) "
        rf"(?P<number>two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d+) "
        r"(?P<things>(?:[\w-]+ ){0,2}?[\w-]+s)\b(?! of)(?: |$|[,:;])",
        text,
    )
    if match:
        subject = _subject(match, vocabulary)
        does = "do" if match["verb"] == "have" else "does"
        base = {"has": "have", "comes with": "come with", "consists of": "consist of"}.get(
            match["verb"], match["verb"].removesuffix("s")
        )
        asked = f"How many {match['things']} {does} {subject} {base}?"
        return Question("fact", (asked,), subject)
    match = re.match(
        r"There are (?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d+) "
        r"(?P<things>(?:[\w-]+ ){0,2}?[\w-]+s)\b(?P<place> (?:in|on|of|for) [\w ’'-]+)?",
        text,
    )
    if match:
        place = match["place"] or ""
        return Question("fact", (f"How many {match['things']} are there{place}?",), match["things"])
    return None


_ACTIVE = re.compile(
    rf"{_SUBJECT} (?P<adverb>(?:automatically|always|normally|usually|also) )?"
    rf"(?P<verb>{'|'.join(sorted(_TRANSITIVE, key=len, reverse=True))}) (?P<rest>\w.+)"
)


def _active(text: str, vocabulary: Vocabulary) -> Question | None:
    match = _ACTIVE.match(text)
    if not match or len(match["subject"].split()) > 6:
        return None
    if match["rest"].startswith(("that ", "to ")) and match["verb"] != "refers to":
        return None
    subject = _subject(match, vocabulary)
    if subject.split()[-1].casefold() in ("to", "of", "a", "an", "the", "in", "for", "with", "by"):
        return None
    return Question("fact", (f"What does {subject} {_TRANSITIVE[match['verb']]}?",), subject)


def _permission(text: str, vocabulary: Vocabulary) -> Question | None:
    match = re.match(rf"Only (?P<subject>[^,;:]{{3,60}}?) {_MODAL} (?P<rest>[a-z][^,;]+)", text)
    if not match:
        return None
    return Question("fact", (f"Who {match['modal']} {match['rest']}?",), match["rest"])


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

_GERUNDS = {
    "setting": "set", "getting": "get", "putting": "put", "shutting": "shut", "cutting": "cut",
    "running": "run", "planning": "plan", "fitting": "fit", "stopping": "stop", "swapping": "swap",
    "plugging": "plug", "logging": "log", "topping": "top", "unplugging": "unplug",
    "resetting": "reset", "submitting": "submit", "shipping": "ship", "mapping": "map",
    "draining": "drain", "cleaning": "clean", "opening": "open", "filling": "fill",
    "refilling": "refill", "installing": "install", "pulling": "pull", "pressing": "press",
    "selling": "sell", "calling": "call", "travelling": "travel", "cancelling": "cancel",
    "dying": "die", "tying": "tie",
}  # fmt: skip
_SILENT_E = frozenset(
    ["adher", "aris", "arrang", "calibrat", "chang", "charg", "choos", "clos", "combin", "compil", "complet", "configur", "creat", "delet", "disengag", "dispos", "driv", "eras", "escalat", "evaluat", "exchang", "fil", "fin-tun", "giv", "glu", "handl", "hir", "increas", "initialis", "initializ", "invoic", "isolat", "issu", "leav", "locat", "lubricat", "mak", "manag", "measur", "minimis", "minimiz", "mov", "not", "notic", "operat", "organis", "organiz", "pair-us", "pair-wis", "produc", "prepar", "purchas", "purg", "rais", "receiv", "recycl", "reduc", "releas", "remov", "renam", "replac", "reserv", "resolv", "restor", "retriev", "reus", "rins", "rotat", "schedul", "scal", "secur", "servic", "shar", "stor", "tak", "tun", "typ", "updat", "upgrad", "us", "validat", "wip", "writ"]
)


def base_form(gerund: str) -> str | None:
    """Returns the verb of an -ing form (`Replacing` -> `replace`), None if it is none."""
    word = gerund.casefold()
    if not word.endswith("ing") or len(word) < 5:
        return None
    if word in _GERUNDS:
        return _GERUNDS[word]
    stem = word.removesuffix("ing")
    if stem in _SILENT_E:
        return stem + "e"
    return stem if stem in _IMPERATIVES else None


def is_imperative(text: str) -> bool:
    """Whether a text tells the reader to do something."""
    first = words(text)[:1]
    return bool(first) and first[0].casefold() in _IMPERATIVES
