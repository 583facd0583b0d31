"""BM25 over words that are stemmed by the language's Snowball rules, without stop words.

Part numbers and figures are kept whole and in their pieces (`SK-2040`, `sk`, `2040`), so that a
number typed without its hyphen is found.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doctune.dataset.text import words

K1, B = 1.2, 0.6
_LEAST_LETTERS, _ALIKE = 5, 0.82  # of a word that may be a misspelt one
_SNOWBALL = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
}
_STOP_WORDS = (
    "a an the of to in on at for and or is are was were be been do does did how what which who "
    "when where why it its this that these those with by as from i my me we our you your they "
    "their can may must should would will could have has had if there s t d m not no any some much "
    "many"
)
_STOP = frozenset(_STOP_WORDS.split())
# Snowball's rules take endings off; they do not know that "kept" is "keep".
_IRREGULAR_FORMS = (
    "beat beaten, become became, begin began begun, bend bent, bite bit bitten, blow blew blown, "
    "break broke broken, bring brought, build built, burn burnt, buy bought, catch caught, choose "
    "chose chosen, come came, deal dealt, draw drew drawn, drink drank drunk, drive drove driven, "
    "eat ate eaten, fall fell fallen, feed fed, feel felt, fight fought, fly flew flown, forbid "
    "forbade forbidden, forget forgot forgotten, freeze froze frozen, get got gotten, give gave "
    "given, go went gone, grow grew grown, hang hung, hear heard, hide hid hidden, hold held, keep "
    "kept, know knew known, learn learnt, lend lent, lose lost, make made, mean meant, "
    "meet met, pay paid, ride rode ridden, ring rang, rise rose risen, run ran, say said, see "
    "seen, sell sold, send sent, shake shook shaken, show shown, shrink shrank shrunk, sink "
    "sank sunk, sleep slept, slide slid, speak spoke spoken, spend spent, spill spilt, spoil "
    "spoilt, stand stood, steal stole stolen, stick stuck, sweep swept, swell swollen, swim swam "
    "swum, take took taken, teach taught, tear tore torn, tell told, think thought, throw threw "
    "thrown, wear wore worn, win won, write wrote written, child children, man men, woman women, "
    "foot feet, tooth teeth, mouse mice, goose geese, knife knives"
)
_IRREGULAR = {
    form: forms.split()[0] for forms in _IRREGULAR_FORMS.split(", ") for form in forms.split()[1:]
}
_PARTS = re.compile(r"[-/]")


def tokens(text: str, language: str = "en") -> list[str]:
    """Returns the stems of a text's words."""
    stem = _stemmer(language)
    found = []
    for word in words(text.casefold()):
        whole = word.replace("\u2019", "'").removesuffix("'s")
        for part in dict.fromkeys([whole, *_PARTS.split(whole)]):
            if part and not is_stop_word(part, language):
                plain = _IRREGULAR.get(part, part) if language == "en" else part
                found.append(stem.stemWord(plain) if stem else plain)
    return found


def is_stop_word(word: str, language: str = "en") -> bool:
    """Whether a word carries no meaning of its own."""
    return language == "en" and word in _STOP


def _mapped(file: Path) -> npt.NDArray[Any]:
    # A plain view: each slice of a memmap would be another memmap, which is slow to make.
    return np.asarray(np.load(file, mmap_mode="r"))


def _json(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.index.json").read_bytes())


@cache
def _stemmer(language: str) -> Any:
    import Stemmer

    name = _SNOWBALL.get(language)
    return Stemmer.Stemmer(name) if name else None


def write_bm25(folder: Path, documents: Sequence[Sequence[str]]) -> None:
    """Writes a BM25 index of token lists; the same lists give the same bytes."""
    import bm25s
    from bm25s.tokenization import Tokenized

    vocabulary = {word: at for at, word in enumerate(sorted({w for d in documents for w in d}))}
    ids = [[vocabulary[word] for word in document] for document in documents]
    index = bm25s.BM25(k1=K1, b=B, method="lucene")
    index.index(Tokenized(ids=ids, vocab=vocabulary), show_progress=False)
    index.save(folder, show_progress=False)


class Bm25:
    """A BM25 index on disk, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        # The files are those of bm25s, whose import takes a fourth of the time to open an index,
        # and whose own search would fill an array of all documents for each word.
        self._vocabulary: dict[str, int] = _json(folder, "vocab")
        self.size = int(_json(folder, "params")["num_docs"])
        # Per stem, the documents that have it with their scores.
        self._pointers = _mapped(folder / "indptr.csc.index.npy")
        self._documents = _mapped(folder / "indices.csc.index.npy")
        self._scores = _mapped(folder / "data.csc.index.npy")
        self._nearest: dict[str, str] = {}

    def scores(self, query: Mapping[str, float]) -> npt.NDArray[np.float32]:
        """Returns the score of each document, 0 if it contains none of the words.

        Args:
            query: Stems with what each counts: 1, or less for one that only means nearly the same.
        """
        total = np.zeros(self.size, dtype=np.float32)
        for word, weight in query.items():
            if self.knows(word):
                at = self._vocabulary[word]
                found = slice(int(self._pointers[at]), int(self._pointers[at + 1]))
                total[self._documents[found]] += weight * self._scores[found]
        return total

    def knows(self, word: str) -> bool:
        """Whether any document contains a stem."""
        return word in self._vocabulary

    def nearest(self, word: str) -> str:
        """Returns the most likely correction of a misspelt stem, or the stem itself."""
        if self.knows(word) or len(word) < _LEAST_LETTERS or not word.isalpha():
            return word
        if word not in self._nearest:
            self._nearest[word] = self._alike(word)
        return self._nearest[word]

    def _alike(self, word: str) -> str:
        near = [
            known
            for known in self._vocabulary
            if known[:1] == word[:1] and abs(len(known) - len(word)) <= 2 and known.isalpha()
        ]
        return next(iter(difflib.get_close_matches(word, near, n=1, cutoff=_ALIKE)), word)

    def idf(self, word: str) -> float:
        """Returns the inverse document frequency of a stem; an unknown stem has the highest."""
        frequency = 0
        if self.knows(word):
            at = self._vocabulary[word]
            frequency = int(self._pointers[at + 1]) - int(self._pointers[at])
        return float(np.log(1 + (self.size - frequency + 0.5) / (frequency + 0.5)))
