"""The view of a document for the rules: sections, chunks, name, language."""

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
    """All that a rule needs to make questions about one document."""

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
        """Chooses the configured number of phrasings, determined by seed and key."""
        distinct = list(dict.fromkeys(candidates))
        ranked = sorted(
            distinct,
            key=lambda text: stable_hash(self.options.seed, self.document.doc_id, *key, text),
        )
        return tuple(ranked[: self.options.phrasings])

    def ask(self, questions: list[str], subject: str, *key: object) -> tuple[str, ...]:
        """Makes English questions self-contained, and chooses among the phrasings.

        Users type the plain question, so it is included if its subject is specific enough; the
        others name the product or the document.

        Args:
            questions: Phrasings, each a whole question: `How is the lid opened?`
            subject: The words for what it is about: `the lid`.
            key: The choice depends on it and the seed.
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
        """Returns the first sentences of a text within the answer budget; at least one."""
        budget = budget or self.options.answer_tokens
        kept: list[str] = []
        size = 0
        for sentence in sentences(text):
            size += self.counter.count(sentence)
            # An incomplete sentence (at a figure, at the end of a column) is not an answer.
            if kept and (size > budget or not is_prose(sentence)):
                break
            kept.append(sentence)
        return ("" if is_unspaced(text) else " ").join(kept)

    def topic(self, heading: str) -> str:
        """Returns a heading in the form used within a sentence of the document's language."""
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
        """Returns a fact from a section."""
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
    """Collapses spaces within each line, keeps indentation and drops empty lines."""
    lines = []
    for line in text.splitlines():
        indentation = len(line) - len(line.lstrip(" "))
        if content := collapse(line):
            lines.append(" " * indentation + content)
    return "\n".join(lines)


def view_documents(corpus: Corpus, counter: TokenCounter, options: DatasetOptions) -> list[View]:
    """Returns the views of all documents of a corpus."""
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
