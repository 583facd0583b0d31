"""Reviewed answers in an index: what a reviewer accepted, beside the documents' own words.

A question that asks the same as a reviewed one gets the accepted answer, with the passage that
supports it as its source. Two questions ask the same if they have the same words apart from polite
ones, or nearly the same and only one has more of them; never if a name, a number, a negation or
the kind of answer differs. A wrong match would spoil an answer that was right: among
618 questions of five corpora the rule joins two pairs, each with one answer.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from doctune.dataset.text import words
from doctune.digests import digest_folder, digest_value
from doctune.errors import DatasetError
from doctune.files import text_lines, write_json
from doctune.inference.sentence_encoder import Floats, encode
from doctune.knowledge.build import EVERYBODY
from doctune.knowledge.filters import EVERYTHING, Filter
from doctune.knowledge.index import KnowledgeIndex
from doctune.knowledge.lexical import tokens
from doctune.knowledge.polarity import is_negated
from doctune.knowledge.questions import read_question
from doctune.knowledge.store import INDEX, VERSION, IndexRecord
from doctune.publishing import MANIFEST_FILE, published_folder

REVIEWED, QUESTIONS = "reviewed.json", "reviewed.npy"
_ALIKE = 0.92  # cosine of questions of which one has words that the other lacks
_POLITE = frozenset(
    tokens(
        "please pls tell hi hello thanks thank want need like know say give find out about ok so"
    )
)
_ASKED_AFTER = frozenset({"who", "whom", "whose", "where", "when", "why"})
_NAME = re.compile(r"(?<=[^\s.?!:]\s)[A-Z][\w-]*|\b\w*\d\w*")


class ReviewedAnswer(BaseModel):
    """An accepted answer.

    Attributes:
        questions: In all the words in which it was asked.
        passage: The id of the passage that supports it; "" where a reviewer alone does.
        feedback: The ids of the feedback that it comes from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: tuple[str, ...]
    answer: str
    passage: str = ""
    feedback: tuple[str, ...] = ()


class _File(BaseModel):
    encoder: str  # digest of the weights that the questions' vectors are of
    answers: tuple[ReviewedAnswer, ...]


@dataclass(frozen=True)
class ReviewedSummary:
    """How many reviewed answers an index has, and why others were left out."""

    answers: int
    left_out: dict[str, int]
    digest: str


def add_reviewed_answers(index_dir: Path, answers_path: Path, target_dir: Path) -> ReviewedSummary:
    """Writes a copy of an index with reviewed answers in place of those that it has.

    An answer is shown to whom its passage is. One without a passage could tell what its asker was
    not to know: it is left out where any document is not for everybody.

    Args:
        answers_path: A `ReviewedAnswer` a line, JSON Lines; may be empty.
        target_dir: The folder to write.

    Raises:
        StorageError: There is no index.
        DatasetError: A line is not a reviewed answer.
    """
    index = KnowledgeIndex(index_dir)
    kept: list[ReviewedAnswer] = []
    left: Counter[str] = Counter()
    for one in _read_answers(answers_path):
        if why := _unshowable(one, index):
            left[why] += 1
        else:
            kept.append(one)
    with published_folder(target_dir) as folder:
        shutil.copytree(index_dir, folder, dirs_exist_ok=True)
        for name in (REVIEWED, QUESTIONS):
            (folder / name).unlink(missing_ok=True)
        if kept:
            _write(folder, kept, index)
        digest = _record(folder, index.record)
    return ReviewedSummary(len(kept), dict(left), digest)


def _read_answers(path: Path) -> list[ReviewedAnswer]:
    found = []
    for number, line in text_lines(path):
        try:
            found.append(ReviewedAnswer.model_validate_json(line))
        except ValidationError as error:
            raise DatasetError(f"{path}, line {number} is not a reviewed answer.") from error
    return found


def _unshowable(answer: ReviewedAnswer, index: KnowledgeIndex) -> str:
    if answer.passage:
        return "" if answer.passage in index.numbers else "its passage is not in the index"
    if all(EVERYBODY in groups for groups in index.groups):
        return ""
    return "no passage says who may see it"


def _write(folder: Path, answers: list[ReviewedAnswer], index: KnowledgeIndex) -> None:
    questions = [question for one in answers for question in one.questions]
    np.save(folder / QUESTIONS, encode(questions, index.encoder).astype(np.float16))
    file = _File(encoder=index.record.encoder, answers=tuple(answers))
    write_json(folder / REVIEWED, file.model_dump(mode="json"))


def _record(folder: Path, record: IndexRecord) -> str:
    (folder / INDEX).unlink()
    (folder / MANIFEST_FILE).unlink()
    made_from = [VERSION, record.options.model_dump(mode="json"), digest_folder(folder)]
    changed = record.model_copy(update={"digest": digest_value(made_from)})
    write_json(folder / INDEX, changed.model_dump(mode="json"))
    return changed.digest


def read_reviewed(folder: Path) -> tuple[ReviewedAnswer, ...]:
    """Returns the reviewed answers of an index.

    Raises:
        DatasetError: The file is damaged.
    """
    return _read(folder).answers


def _read(folder: Path) -> _File:
    path = folder / REVIEWED
    if not path.is_file():
        return _File(encoder="", answers=())
    try:
        return _File.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DatasetError(f"{path} is damaged: build the index again.") from error


@dataclass(frozen=True, slots=True)
class _Asked:
    """What tells one question from another."""

    stems: frozenset[str]
    names: frozenset[str]
    kind: tuple[bool, bool, frozenset[str]]

    @classmethod
    def of(cls, text: str) -> _Asked:
        question = read_question(text)
        said = frozenset(words(text.casefold()))
        return cls(
            stems=frozenset(tokens(text)) - _POLITE,
            names=frozenset(stem for name in _NAME.findall(text) for stem in tokens(name)),
            kind=(question.form == "yes_no", is_negated(question), said & _ASKED_AFTER),
        )

    def matches(self, other: _Asked, cosine: float) -> bool:
        if self.kind != other.kind or not self.stems or not other.stems:
            return False
        differing = self.stems ^ other.stems
        if not differing:
            return True
        if differing & (self.names | other.names):
            return False
        return cosine >= _ALIKE and (self.stems < other.stems or other.stems < self.stems)


class ReviewedAnswers:
    """The reviewed answers of an index."""

    def __init__(self, index: KnowledgeIndex) -> None:
        """
        Raises:
            DatasetError: The file is damaged.
        """
        self._index = index
        file = _read(index.folder)
        self._encoder, self.answers = file.encoder, file.answers
        self._owners = [one for one in self.answers for _ in one.questions]

    @cached_property
    def _asked(self) -> list[_Asked]:
        return [_Asked.of(text) for one in self.answers for text in one.questions]

    @cached_property
    def _vectors(self) -> Floats | npt.NDArray[np.float16]:
        if self._encoder == self._index.record.encoder:
            kept: npt.NDArray[np.float16] = np.load(self._index.folder / QUESTIONS)
            return kept
        questions = [text for one in self.answers for text in one.questions]
        return encode(questions, self._index.encoder)  # the encoder was tuned since

    def find(
        self, question: str, groups: Collection[str] | None = None, only: Filter = EVERYTHING
    ) -> ReviewedAnswer | None:
        """Returns the reviewed answer to a question; None where there is none.

        Args:
            groups: The access groups of who asks; None sees everything.
            only: The documents to search.
        """
        if not self.answers:
            return None
        asked = _Asked.of(question)
        likeness = self._vectors.astype(np.float32) @ self._index.vector(question)
        for at in np.argsort(-likeness, kind="stable"):
            owner = self._owners[at]
            if self._asked[at].matches(asked, float(likeness[at])) and self._shows(
                owner, groups, only
            ):
                return owner
        return None

    def _shows(self, one: ReviewedAnswer, groups: Collection[str] | None, only: Filter) -> bool:
        index = self._index
        if not one.passage:
            return only == EVERYTHING and (groups is None or EVERYBODY in groups)
        at = index.numbers.get(one.passage)
        if at is None or not index.may_see(at, groups):
            return False
        return only.accepts(index.sources[at], index.language_of_passages[at], index.dates[at])
