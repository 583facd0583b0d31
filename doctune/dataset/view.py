"""One document as the rules see it: its sections and chunks, its name, its language."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from doctune.dataset.languages import Phrases, language_of, phrases_for
from doctune.dataset.names import Name, Vocabulary, name_documents
from doctune.dataset.options import DatasetOptions
from doctune.dataset.records import Corpus, Document, Fact
from doctune.dataset.sections import Chunk, Section, chunks, outline
from doctune.dataset.text import collapse, is_prose, is_unspaced, normalise, sentences, stable_hash
from doctune.dataset.tokens import TokenCounter


@dataclass(frozen=True)
class View:
    """What a rule needs to ask about one document."""

    document: Document
    name: Name
    phrases: Phrases
    sections: tuple[Section, ...]
    chunks: tuple[Chunk, ...]
    skipped: Counter[str]
    vocabulary: Vocabulary
    counter: TokenCounter
    options: DatasetOptions

    @property
    def english(self) -> bool:
        """Whether the English rules apply."""
        return self.document.language == "en"

    def choose(self, candidates: list[str], *key: object) -> tuple[str, ...]:
        """Picks as many phrasings as are wanted, by the seed; the same key gives the same ones."""
        distinct = list(dict.fromkeys(candidates))
        ranked = sorted(
            distinct,
            key=lambda text: stable_hash(self.options.seed, self.document.doc_id, *key, text),
        )
        return tuple(ranked[: self.options.phrasings])

    def ask(self, questions: list[str], subject: str, *key: object) -> tuple[str, ...]:
        """Makes English questions self-contained and picks among the phrasings.

        The plain question is what a person types, so it is among them wherever its subject says
        enough; the others name the product or the document.

        Args:
            questions: Ways to ask one thing, each a whole question: `How is the lid opened?`
            subject: The words that say what it is about: `the lid`.
            key: What the choice depends on beside the seed.
        """
        product, limit = self.name.product, self.options.phrasings
        bare = normalise(product.removeprefix("the "))
        named = bool(product) and bare in normalise(" ".join([*questions, subject]))
        candidates = []
        for question in questions:
            lowered = question[0].lower() + question[1:]
            candidates.append(f"According to {self.name.reference}, {lowered}")
            if product and not named:
                candidates.append(f"For {product}, {lowered}")
            elif question.endswith("?"):
                candidates.append(f"{question[:-1]}, according to {self.name.reference}?")
        chosen = self.choose(candidates, *key)
        if named or self.vocabulary.is_specific(subject):
            plain = self.choose(questions, "plain", *key)[: max(1, limit - 1)]
            chosen = (plain + chosen)[:limit]
        return chosen

    def lead(self, text: str, budget: int | None = None) -> str:
        """Returns the first sentences of a text that fit an answer; at least one sentence."""
        budget = budget or self.options.answer_tokens
        kept: list[str] = []
        size = 0
        for sentence in sentences(text):
            size += self.counter.count(sentence)
            # A sentence whose end is missing (at a figure, at the end of a column) is no answer.
            if kept and (size > budget or not is_prose(sentence)):
                break
            kept.append(sentence)
        return ("" if is_unspaced(text) else " ").join(kept)

    def topic(self, heading: str) -> str:
        """Returns a heading as it stands within a sentence of the document's language."""
        heading = collapse(heading).rstrip(".: ")
        return self.vocabulary.natural(heading) if self.english else heading

    def fact(
        self,
        kind: str,
        questions: tuple[str, ...],
        answer: str,
        *,
        section: Section,
        passage: str,
        pages: tuple[int, ...],
        block: int,
    ) -> Fact:
        """Returns a fact that stands in a section."""
        return Fact(
            kind=kind,
            questions=questions,
            answer=collapse_lines(answer),
            passage=passage,
            pages=pages,
            heading=section.path,
            block=block,
        )


def collapse_lines(text: str) -> str:
    """Single spaces within each line, its indentation kept; no empty lines."""
    lines = []
    for line in text.splitlines():
        indentation = len(line) - len(line.lstrip(" "))
        if content := collapse(line):
            lines.append(" " * indentation + content)
    return "\n".join(lines)


def view_documents(corpus: Corpus, counter: TokenCounter, options: DatasetOptions) -> list[View]:
    """Returns each document of a corpus as the rules see it."""
    documents = [replace(document, language=language_of(document)) for document in corpus.documents]
    vocabulary = Vocabulary(documents)
    names = name_documents(documents, vocabulary)
    views = []
    for document in documents:
        name = names[document.key]
        found = outline(document, (name.title, name.short, name.subtitle))
        views.append(
            View(
                document=document,
                name=name,
                phrases=phrases_for(document.language),
                sections=found.sections,
                chunks=tuple(chunks(found.sections, counter, options.chunk_tokens)),
                skipped=found.skipped,
                vocabulary=vocabulary,
                counter=counter,
                options=options,
            )
        )
    return views
