"""Signals that show whether the documents answer a question, read from the evidence found."""

from __future__ import annotations

import re
from collections.abc import Sequence

from doctune.knowledge.comparing import compare_rows
from doctune.knowledge.confidence import Signals
from doctune.knowledge.evidence import TYPED, Evidence, suits
from doctune.knowledge.expectation import counts, has_kind, named, wanted_noun
from doctune.knowledge.index import KnowledgeIndex
from doctune.knowledge.lexical import tokens
from doctune.knowledge.polarity import denies_premise, too_young
from doctune.knowledge.questions import Question
from doctune.knowledge.vocabulary import AskedWord

_NEAR = 3  # units among which an answer must be
_ABOUT_IT = 0.6  # of what the unit says that says most, to be about what is asked
# What a question has and no document that answers it need have: fillers, and figures, alone or
# with a unit ("a 15-year-old" of a rule for people under 16).
_NEEDLESS = re.compile(
    r"\d[\d.,]*|(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|twelve)-[a-z-]+|able|allow\w*|permit\w*|possibl\w*|suppos\w*|ok|okay|okai|alright|fine|pleas\w*|just|realli|"
    r"actual\w*|exact\w*|want|someon|somebodi|anyon|anybodi|anyth|someth|thing|stuff|way|step|"
    r"happen|tell|know|get|got|am|he|she|them|then|than|about|into|so|but|us|up|out"
)


def read_signals(
    index: KnowledgeIndex, question: Question, evidence: Sequence[Evidence]
) -> Signals:
    """Returns the signals that show whether the documents answer a question."""
    near = evidence[:_NEAR]
    asked = [one for one in index.asked(question.text) if not _NEEDLESS.fullmatch(one.stem)]
    rarity = {word.stem: index.passage_words.idf(word.stem) for word in asked}
    total, highest = sum(rarity.values()) or 1.0, index.passage_words.idf("\0")
    units = [_stems(_unit_around(index, one)) for one in near]
    passages = [_stems(_around(index, one)) for one in near]
    noun = {stem for word in wanted_noun(question) for stem in index.words(word)}
    texts = [one.unit.text for one in near]
    said = [sum(rarity[word.stem] * word.said(unit) for word in asked) for unit in units]
    cosines = index.short_texts.vectors(texts) @ index.vector(question.text)
    return Signals(
        score=evidence[0].score,
        margin=evidence[0].score - evidence[min(9, len(evidence) - 1)].score,
        likeness=float(cosines.max()),
        said=max(said) / total,
        lacking=min(
            max((rarity[w.stem] * (1 - w.said(one)) for w in asked), default=0.0)
            for one in passages
        )
        / highest,
        named=0.0 if index.foreign_names(question.asking) else named(asked, noun, units),
        suited=float(_suited(index, question, asked, near, said)),
        decided=float(_decided(question, evidence)),
    )


def _decided(question: Question, evidence: Sequence[Evidence]) -> bool:
    """Whether a rule settles a yes/no question whose words the documents need not have."""
    if question.form != "yes_no":
        return False
    ages = (too_young(question, _beside(one)) for one in evidence[:_NEAR])
    return compare_rows(question, evidence) is not None or any(age is not None for age in ages)


def _suited(
    index: KnowledgeIndex,
    question: Question,
    asked: Sequence[AskedWord],
    near: Sequence[Evidence],
    said: Sequence[float],
) -> bool:
    """Whether evidence that is about what is asked holds the kind of answer that is asked for."""
    about = [one for one, share in zip(near, said, strict=True) if share >= _ABOUT_IT * max(said)]
    if any(denies_premise(question, one.unit.text, index.words) for one in about):
        return True
    texts = [_beside(one) for one in about]
    if question.form in TYPED and not any(suits(question, text) for text in texts):
        return False
    return has_kind(question, texts) and counts(question, asked, texts)


def _beside(one: Evidence) -> str:
    """Returns a unit with those around it in its paragraph, which answers quote with it."""
    units = one.passage.units
    first, last = max(0, one.at - 1), one.at + 2
    return " ".join(
        f"{unit.lead} {unit.text}"
        for at, unit in enumerate(units[first:last], start=first)
        if at == one.at or (unit.kind == "sentence" and unit.box == one.unit.box)
    )


def _stems(text: str) -> set[str]:
    return set(tokens(text))


def _unit_around(index: KnowledgeIndex, one: Evidence) -> str:
    title = index.titles[one.hit.passage]
    return " ".join([title, *one.passage.heading, one.unit.lead, one.unit.text])


def _around(index: KnowledgeIndex, one: Evidence) -> str:
    title = index.titles[one.hit.passage]
    return " ".join([title, *one.passage.heading, one.unit.lead, one.passage.text])
