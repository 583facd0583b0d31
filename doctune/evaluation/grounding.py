"""Adapter of the knowledge index for evaluation: passages, pages and quoted answers."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from pathlib import Path

from doctune.evaluation.quiz import Passage, Quoted
from doctune.knowledge.answering import Answerer
from doctune.knowledge.prompt import headed_text


class IndexKnowledge:
    """Access to a `KnowledgeIndex` for evaluation.

    Raises:
        StorageError: The folder holds no index.
    """

    def __init__(self, folder: Path) -> None:
        self._answerer = Answerer.open(folder)
        self._index = self._answerer.index

    @cached_property
    def files(self) -> frozenset[str]:
        """The files in the index."""
        return frozenset(self._index.sources)

    def find(self, question: str, top: int) -> tuple[Passage, ...]:
        """Returns the best passages for a question."""
        return tuple(
            _passage(found.file, found.title, found.pages, found.heading, found.text)
            for found in self._answerer.search(question, top)
        )

    def quote(self, question: str) -> Quoted:
        """Answers a question by quoting the documents."""
        answer = self._answerer.answer(question)
        return Quoted(
            answer=answer.answer,
            cited=answer.quoted,
            sources=tuple(
                _passage(source.file, source.title, (source.page,), source.heading, source.text)
                for source in answer.sources
            ),
        )

    def passages_of(self, file: str, page: int) -> tuple[Passage, ...]:
        """Returns the passages on a page."""
        return tuple(self._by_page.get((file, page), ()))

    @cached_property
    def _by_page(self) -> dict[tuple[str, int], list[Passage]]:
        places: dict[tuple[str, int], list[Passage]] = defaultdict(list)
        for number, file in enumerate(self._index.sources):
            passage = self._index.passage(number)
            title = self._index.titles[number]
            shown = _passage(file, title, passage.pages, passage.heading, passage.text)
            for page in passage.pages:
                places[file, page].append(shown)
        return places


def _passage(
    file: str, title: str, pages: tuple[int, ...], heading: tuple[str, ...], text: str
) -> Passage:
    shown = headed_text(heading, text)
    return Passage(file=file, title=title, pages=tuple(pages), text=shown)
