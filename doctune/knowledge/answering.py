"""Answers a question from the index with sources, or says that the documents do not answer it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from doctune.knowledge.compose import ComposedAnswer, compose
from doctune.knowledge.confidence import Signals, confidence
from doctune.knowledge.evidence import CANDIDATES, Evidence, gather, names_unknown
from doctune.knowledge.filters import EVERYTHING, Filter
from doctune.knowledge.index import FoundPassage, KnowledgeIndex
from doctune.knowledge.lexical import tokens
from doctune.knowledge.passages import BBox, Passage
from doctune.knowledge.prompt import REFUSAL
from doctune.knowledge.questions import Question, read_question
from doctune.knowledge.reviewed import ReviewedAnswer, ReviewedAnswers
from doctune.knowledge.signals import read_signals
from doctune.knowledge.steps import HeadingMatch
from doctune.knowledge.vocabulary import AskedWord

_SAME_QUESTION = 0.62  # cosine from which two questions ask the same
_SOURCES = 3
_UNITS_A_PASSAGE = 12  # looked at, so that enough passages are found
REVIEWED_FILE = "reviewed answer"  # the file of a source that is no document
_SENTENCE_ENDS = (".", "!", "?", '."', ".)", "…", "。")


@dataclass(frozen=True, slots=True)
class Source:
    """A source of an answer: file, page, and text.

    Attributes:
        text: The whole passage.
        id: The passage and the unit in it, as `Answerer.source` finds them again.
        quote: The unit's own words.
        box: The block that holds the unit, in points from the page's top left corner.
        doc_id: The SHA-256 of the file.
        feedback: The feedback that taught the answer; none where the documents gave it.
    """

    file: str
    page: int
    text: str
    id: str = ""
    title: str = ""
    heading: tuple[str, ...] = ()
    quote: str = ""
    box: BBox = (0.0, 0.0, 0.0, 0.0)
    doc_id: str = ""
    feedback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question.

    Attributes:
        sources: Best first; none where the documents do not say.
        confidence: How likely the documents answer the question, from 0 to 1.
        quoted: How many of the sources, the first ones, the answer's words are taken from.
    """

    question: str
    answer: str
    sources: tuple[Source, ...]
    confidence: float
    quoted: int = 0

    @property
    def refused(self) -> bool:
        """Whether the documents do not answer the question."""
        return not self.sources


class Answerer:
    """Answers questions from an index."""

    def __init__(self, index: KnowledgeIndex) -> None:
        self.index = index
        self._reviewed = ReviewedAnswers(index)

    @classmethod
    def open(cls, folder: Path) -> Answerer:
        """Opens the index in a folder.

        Raises:
            StorageError: There is none.
        """
        return cls(KnowledgeIndex(folder))

    def answer(
        self, text: str, groups: Collection[str] | None = None, only: Filter = EVERYTHING
    ) -> Answer:
        """Returns the answer to a question.

        Args:
            groups: The access groups of who asks; None sees everything.
            only: The documents to search.
        """
        if (reviewed := self._reviewed.find(text, groups, only)) is not None:
            return Answer(text, reviewed.answer, (self._reviewed_source(reviewed),), 1.0, 1)
        question = read_question(text)
        evidence = gather(self.index, question, groups, only)
        if not evidence or names_unknown(self.index, question.text):
            return Answer(text, REFUSAL, (), 0.0)
        sure = confidence(self.signals(question, evidence))
        if sure < self.index.record.options.refuse_below:
            return Answer(text, REFUSAL, (), sure)
        composed = self.composed(question, evidence)
        sources = self._sources(composed.used, evidence)
        quoted = len({(one.hit.passage, one.unit.page) for one in composed.used})
        return Answer(text, composed.text, sources, sure, min(quoted, len(sources)))

    def composed(self, question: Question, evidence: Sequence[Evidence]) -> ComposedAnswer:
        """Returns the answer that evidence gives, whether or not the documents say enough."""
        return compose(
            question,
            evidence,
            self.index.words,
            partial(self._asks_same, question),
            self.index.passage_words.idf,
            partial(self._names, self.index.asked(question.asking)),
        )

    def _asks_same(self, question: Question, heading: str) -> bool:
        first, second = self.index.vector(question.text), self.index.vector(heading)
        return float(np.dot(first, second)) >= _SAME_QUESTION

    def _names(self, asked: Sequence[AskedWord], heading: str) -> HeadingMatch:
        words = self.index.words(heading)
        said = {
            word: max((one.near.get(word, 0.0) for one in asked), default=0.0) for word in words
        }
        weight = sum(self.index.passage_words.idf(word) * near for word, near in said.items())
        return HeadingMatch(sum(said.values()) / len(words) if words else 0.0, weight)

    def _sources(
        self, used: Sequence[Evidence], evidence: Sequence[Evidence]
    ) -> tuple[Source, ...]:
        """Returns the sources: each page that is quoted from, then further passages."""
        found: dict[tuple[int, int], Source] = {}
        passages = set()
        for one in used:
            key = (one.hit.passage, one.unit.page)  # a passage may run over two pages
            if key not in found and len(found) < _SOURCES:
                found[key] = self._source(one)
                passages.add(one.hit.passage)
        for one in evidence:
            if one.hit.passage not in passages and len(found) < _SOURCES:
                found[one.hit.passage, one.unit.page] = self._source(one)
                passages.add(one.hit.passage)
        return tuple(found.values())

    def _reviewed_source(self, reviewed: ReviewedAnswer) -> Source:
        """Returns the passage that supports a reviewed answer, or the review itself."""
        if not reviewed.passage:
            return Source(
                file=REVIEWED_FILE,
                page=0,
                text=reviewed.answer,
                title="Reviewed answer",
                quote=reviewed.answer,
                feedback=reviewed.feedback,
            )
        number = self.index.numbers[reviewed.passage]
        passage, said = self.index.passage(number), set(tokens(reviewed.answer))
        shared = [
            len(said.intersection(tokens(f"{unit.lead} {unit.text}"))) for unit in passage.units
        ]
        found = self._of(number, passage, shared.index(max(shared)))
        return replace(found, feedback=reviewed.feedback)

    def source(self, name: str, groups: Collection[str] | None = None) -> Source | None:
        """Returns a source by its id; None if it does not exist or these groups may not see it."""
        passage, _, unit = name.rpartition(".")
        number = self.index.numbers.get(passage)
        if number is None or not unit.isdecimal() or not self.index.may_see(number, groups):
            return None
        found = self.index.passage(number)
        return self._of(number, found, int(unit)) if int(unit) < len(found.units) else None

    def _source(self, one: Evidence) -> Source:
        return self._of(one.hit.passage, one.passage, one.at)

    def _of(self, number: int, passage: Passage, at: int) -> Source:
        unit = passage.units[at]
        return Source(
            file=self.index.sources[number],
            page=unit.page,
            text=passage.text,
            id=f"{self.index.ids[number]}.{at}",
            title=self.index.titles[number],
            heading=passage.heading,
            quote=unit.text,
            box=unit.box,
            doc_id=self.index.documents[number],
        )

    def places(
        self,
        text: str,
        top: int,
        groups: Collection[str] | None = None,
        only: Filter = EVERYTHING,
    ) -> tuple[Source, ...]:
        """Returns the passages that match a question best, best first, each once.

        Args:
            groups: The access groups of who asks; None sees everything.
            only: The documents to search.
        """
        return tuple(map(self._source, self._best_of_passages(text, top, groups, only)))

    def continued(self, places: Sequence[Source]) -> tuple[Source, ...]:
        """Returns passages with the text of the next one where they break off.

        A passage breaks off if the unit that was found is its last one, or if it does not end as a
        sentence does, and the section goes on. A passage that was found by itself is not repeated.
        """
        found = {place.id.rpartition(".")[0] for place in places}
        return tuple(self._continued(place, found) for place in places)

    def _continued(self, place: Source, found: Collection[str]) -> Source:
        index, (name, _, unit) = self.index, place.id.rpartition(".")
        number = index.numbers[name]
        following = number + 1
        if following == len(index.ids) or index.documents[following] != index.documents[number]:
            return place
        passage, after = index.passage(number), index.passage(following)
        is_last = int(unit) == len(passage.units) - 1
        whole = not is_last and passage.text.rstrip().endswith(_SENTENCE_ENDS)
        if whole or after.heading != passage.heading or index.ids[following] in found:
            return place
        return replace(place, text=f"{place.text}\n{after.text}")

    def search(
        self,
        text: str,
        top: int = 5,
        groups: Collection[str] | None = None,
        only: Filter = EVERYTHING,
    ) -> tuple[FoundPassage, ...]:
        """Returns what `places` does, as passages with their scores."""
        return tuple(
            replace(self.index.found(one.hit), best=one.unit, page=one.unit.page, score=one.score)
            for one in self._best_of_passages(text, top, groups, only)
        )

    def _best_of_passages(
        self, text: str, top: int, groups: Collection[str] | None, only: Filter
    ) -> list[Evidence]:
        """Returns the best unit of each of the best passages, in the order that answers use."""
        found: dict[int, Evidence] = {}
        most = max(CANDIDATES, _UNITS_A_PASSAGE * top)
        for one in gather(self.index, read_question(text), groups, only, most):
            found.setdefault(one.hit.passage, one)
            if len(found) == top:
                break
        return list(found.values())

    def signals(self, question: Question, evidence: Sequence[Evidence]) -> Signals:
        """Returns the signals that show whether the documents answer a question."""
        return read_signals(self.index, question, evidence)
