"""Synonyms that the documents themselves define for terms that users call something else.

A glossary says "Skeen: the ceramic filter cartridge between sill and cistern", a report "research
and development (R&D)". Who asks for the filter, or for R and D, means the skeen and the long name:
a question that has the head noun of a definition, and not its term, is searched with the term too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from pydantic import BaseModel, ConfigDict

Stems = Callable[[str], list[str]]

_TERM = r"(?P<term>[A-Za-z][\w'-]+(?: [\w'-]+){0,2})"
_DEFINITION = re.compile(
    rf"^(?:(?:The|An?) )?{_TERM}(?:: | (?:is|are) )(?:the|an?|one of the) (?P<description>[^.;:]+)"
)
_HEAD_ENDS = re.compile(
    r"\b(?:that|which|who|whose|of|between|under|over|in|on|at|with|by|from|to|where|for|into|"
    r"beside|behind|without|used|made|near|as|and|is|are|has)\b|,"
)
_CODE = re.compile(r"\b[A-Z]*-?\w*\d[\w-]*\b")
_ACRONYM = re.compile(
    r"(?P<long>[A-Za-z][\w'-]+(?: (?:and |of |the |for |in )?[A-Za-z][\w'-]+){1,5}) "
    r"\([\u201c\"']?(?P<short>[A-Z][A-Z&.-]{1,7}s?)[\u201d\"']?\)"
)
_SMALL = frozenset({"and", "of", "the", "for", "in"})
_SIZES = re.compile(
    r"\b(?:small|large|big|new|old|long|short|high|low|good|daily|whole|closed|dry|inner|outer|\w+est)\b",
    re.IGNORECASE,
)
_COMMON = frozenset({"part", "kind", "way", "case", "number", "result", "reason", "one", "example"})
_NO_TERM = re.compile(
    r"\b(?:there|neither|it|this|that|these|here|first|second|which|from|every|in|on|at|by|one|"
    r"most|some|each|all|reason|what|who|question|answer|only|another)\b",
    re.IGNORECASE,
)
_MOST_PHRASE = 5  # words of what a term is; a longer one is no name
_LEAST_SHARE = 0.25  # of a phrase, by rarity, that a question must have
_LEAST_RARITY = 0.4  # of a word that stands nowhere, for the rarest that is shared
_LEAST_USES = 2  # passages that must use a term before questions are led to it
_MOST = 2  # terms added to a question


class Alias(BaseModel):
    """A term of the documents, and the words with which a user may describe it."""

    model_config = ConfigDict(frozen=True)

    term: str
    phrase: tuple[str, ...]  # stems of what it is: ceramic, filter, cartridge
    words: tuple[str, ...]  # stems of the whole definition, for choosing among terms


def find_aliases(texts: Iterable[str], passages: Collection[str], stems: Stems) -> list[Alias]:
    """Returns the aliases that texts define, in order of their terms.

    Args:
        texts: Sentences, list items and rows.
        passages: What tells whether a term is in use.
    """
    found: dict[str, Alias] = {}
    uses: Counter[str] = Counter()
    for passage in passages:
        uses.update(set(stems(passage)))
    for text in texts:
        for alias in (*_defined(text, stems), *_abbreviated(text, stems)):
            named = stems(alias.term)
            if named and all(uses[word] >= _LEAST_USES for word in named):
                found.setdefault(f"{alias.term.casefold()}|{' '.join(alias.phrase)}", alias)
    return [found[key] for key in sorted(found)]


def _defined(text: str, stems: Stems) -> Iterable[Alias]:
    match = _DEFINITION.match(text)
    if match is None:
        return
    phrase = _CODE.sub(" ", _HEAD_ENDS.split(match["description"])[0])
    own = set(stems(match["term"]))
    said = set(stems(_SIZES.sub(" ", phrase))) - own
    name = tuple(word for word in dict.fromkeys(stems(phrase)) if word in said)
    usual = _NO_TERM.search(match["term"]) or not name or name[-1] in _COMMON
    if not usual and len(name) <= _MOST_PHRASE:
        yield Alias(term=match["term"], phrase=name, words=tuple(dict.fromkeys(stems(text))))


def _abbreviated(text: str, stems: Stems) -> Iterable[Alias]:
    for match in _ACRONYM.finditer(text):
        short = match["short"].rstrip("s")
        letters = re.sub(r"[^A-Z]", "", short)
        words = [word for word in match["long"].split() if word not in _SMALL]
        own = words[-len(letters) :]
        if [word[0].upper() for word in own] != list(letters) or len(letters) < 2:
            continue
        long = " ".join(own)
        if named := tuple(stems(short)):
            yield Alias(term=long, phrase=named, words=named)


def implied_terms(
    words: Collection[str], aliases: Iterable[Alias], stems: Stems, rarity: Callable[[str], float]
) -> list[str]:
    """Returns the terms that a question describes without naming them, most likely first.

    Args:
        words: The question's stems.
    """
    asked = set(words)
    scored: dict[str, float] = {}
    unseen = rarity("\0")
    for alias in aliases:
        if asked & set(stems(alias.term)):
            continue
        weights = {word: rarity(word) for word in alias.phrase}
        weights[alias.phrase[-1]] *= 2  # the noun says more than what stands before it
        meant = sum(weight for word, weight in weights.items() if word in asked)
        rarest = max((rarity(word) for word in alias.phrase if word in asked), default=0.0)
        if meant < _LEAST_SHARE * sum(weights.values()) or rarest < _LEAST_RARITY * unseen:
            continue
        shared = meant + sum(rarity(word) for word in alias.words if word in asked)
        term = alias.term.casefold()
        scored[term] = max(scored.get(term, 0.0), shared)
    best = max(scored.values(), default=0.0)
    ranked = sorted(scored, key=lambda term: (-scored[term], term))
    return [term for term in ranked if scored[term] >= best * 0.8][:_MOST]
