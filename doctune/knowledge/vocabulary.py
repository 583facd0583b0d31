"""Word vectors of the documents' vocabulary, which match the words of a question to similar words.

Who asks for a bike, kids or weekends means the bicycle, the children and the Saturday of the
documents. The sentence encoder, given single words, knows that: of the words of the documents that
lie near a word of the question, each counts as said by as much as it is near.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from doctune.dataset.text import words
from doctune.inference.sentence_encoder import Floats, encode
from doctune.inference.short_texts import ShortTexts
from doctune.knowledge.lexical import is_stop_word, tokens

WORDS, WORD_VECTORS = "words.parquet", "words.npy"
MOST_WORDS = 20_000  # of the documents, the most frequent first
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}\b")  # where no sentence begins
# Who asks about Thursday where the documents say Tuesday is wrong about the day, not elsewhere.
_DATED = re.compile(
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?$|(?:January|February|March|April|May|June|July|"
    r"August|September|October|November|December|Christmas|Easter)$"
)
_LEAST_LETTERS = 3
_UNLIKE, _SAME = 0.45, 0.85  # cosines of words that have nothing, and all, in common
_MOST_NEAR = 6


@dataclass(frozen=True, slots=True)
class AskedWord:
    """A word of a question.

    Attributes:
        stem: As BM25 counts it.
        near: Stems of the documents by how nearly they mean the same, from 0 to 1; itself with 1.
    """

    stem: str
    near: dict[str, float]

    def said(self, stems: Iterable[str]) -> float:
        """Returns how similar the nearest of some words is to this word, from 0 to 1."""
        return max((self.near.get(stem, 0.0) for stem in stems), default=0.0)


def write_vocabulary(folder: Path, texts: Iterable[tuple[str, str]], encoder: Path) -> None:
    """Writes the vocabulary of texts with a vector per word.

    Args:
        texts: (text, language) of each passage.
    """
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for text, language in texts:
        for word in content_words(text, language):
            forms[tokens(word, language)[0]][word] += 1
    ranked = sorted(forms, key=lambda stem: (-forms[stem].total(), stem))[:MOST_WORDS]
    stems = sorted(ranked)
    shown = [min(forms[stem], key=lambda word: (-forms[stem][word], word)) for stem in stems]
    pq.write_table(pa.table({"stem": stems, "word": shown}), folder / WORDS)
    vectors = encode(shown, encoder) if shown else np.zeros((0, 1), dtype=np.float32)
    np.save(folder / WORD_VECTORS, vectors.astype(np.float16))


def content_words(text: str, language: str) -> list[str]:
    """Returns the content words of a text: letters only, no stop words."""
    plain = (word.replace("\u2019", "'").removesuffix("'s") for word in words(text.casefold()))
    return [
        word
        for word in plain
        if len(word) >= _LEAST_LETTERS and word.isalpha() and not is_stop_word(word, language)
    ]


def foreign_names(text: str, known: Callable[[str], bool]) -> frozenset[str]:
    """Returns the stems of names in a question that no document has: France.

    No other name is near one of these: what holds for Germany does not hold for France.
    """
    stems = tokens(" ".join(name for name in _NAME.findall(text) if not _DATED.match(name)))
    return frozenset(stem for stem in stems if not known(stem))


class Vocabulary:
    """The words of an index."""

    def __init__(self, folder: Path, encoder: ShortTexts) -> None:
        with pq.ParquetFile(folder / WORDS) as file:
            table = file.read()
        self._stems: list[str] = table.column("stem").to_pylist()
        words: list[str] = table.column("word").to_pylist()
        self._rows = {word: row for row, word in enumerate(words)}
        self._vectors: Floats = np.load(folder / WORD_VECTORS, mmap_mode="r").astype(np.float32)
        self._encoder = encoder
        self._known: dict[str, dict[str, float]] = {}

    def near(self, asked: Sequence[str]) -> list[dict[str, float]]:
        """Returns, for each word, the stems of similar words."""
        new = [word for word in dict.fromkeys(asked) if word not in self._known]
        if new and self._stems:
            for word, row in zip(new, self._encoded(new) @ self._vectors.T, strict=True):
                alike = np.flatnonzero(row > _UNLIKE)
                order = alike[np.argsort(-row[alike], kind="stable")][:_MOST_NEAR]
                self._known[word] = {
                    self._stems[at]: min(1.0, float((row[at] - _UNLIKE) / (_SAME - _UNLIKE)))
                    for at in order
                }
        return [self._known.get(word, {}) for word in asked]

    def foreign(self, asked: Iterable[str]) -> list[str]:
        """Returns the words that the documents lack, which only the encoder has vectors for."""
        return [word for word in asked if word not in self._rows]

    def _encoded(self, asked: Sequence[str]) -> Floats:
        """Returns the vectors of words; words of the documents are not encoded again."""
        foreign = self.foreign(asked)
        vectors = np.empty((len(asked), self._vectors.shape[1]), dtype=np.float32)
        made = iter(self._encoder.vectors(foreign) if foreign else ())
        for at, word in enumerate(asked):
            row = self._rows.get(word)
            vectors[at] = next(made) if row is None else self._vectors[row]
        return vectors
