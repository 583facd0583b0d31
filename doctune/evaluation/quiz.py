"""Users' questions in three settings: closed-book, retrieved passages, true passage.

The questions come from a file (`questions.py`) or else from the test set. An index provides the
retrieved passages and the quoted answer; without an index only the closed-book and true-passage
settings are possible.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from doctune.digests import digest_value
from doctune.evaluation.answer_accuracy import derive_key_facts
from doctune.evaluation.comparison import TUNED
from doctune.evaluation.questions import Question, load_questions, sample_questions
from doctune.evaluation.test_set import Example, Message
from doctune.knowledge.prompt import SHOWN, PromptPassage, grounded_prompt

Way = Literal["closed", "grounded", "oracle"]
WAYS: tuple[Way, ...] = ("closed", "grounded", "oracle")
FOUND = 5  # passages that the index is asked for; of them SHOWN are shown
# A passage with this share of a fact's words counts as having the answer.
_HOLDS = 0.8
# With fewer questions about files in the index, the question file is for another corpus.
_LEAST_KNOWN = 0.5


_MARK = re.compile(r"\s*\[(\d{1,2})\]")


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A passage in a prompt, with its source."""

    file: str
    pages: tuple[int, ...]
    text: str
    title: str = ""


def cited_passages(answer: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Returns the distinct passages that an answer cites by number, in order."""
    numbers = dict.fromkeys(int(number) for number in _MARK.findall(answer))
    return tuple(passages[number - 1] for number in numbers if 0 < number <= len(passages))


def without_marks(answer: str) -> str:
    """Returns an answer without its citations."""
    return _MARK.sub("", answer).strip()


@dataclass(frozen=True, kw_only=True)
class Quoted:
    """The index's answer by quotation.

    Attributes:
        cited: How many of the sources, the first ones, it quotes.
    """

    answer: str
    sources: tuple[Passage, ...]
    cited: int = 1


class Knowledge(Protocol):
    """Access to an index."""

    @property
    def files(self) -> frozenset[str]:
        """The files in the index."""

    def find(self, question: str, top: int) -> tuple[Passage, ...]:
        """Returns the best passages for a question."""

    def quote(self, question: str) -> Quoted:
        """Answers a question by quotation."""

    def passages_of(self, file: str, page: int) -> tuple[Passage, ...]:
        """Returns the passages on a page."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A question with its passages.

    Attributes:
        found: The retrieved passages, best first; empty without an index.
        truth: The passage with the answer, if it is known.
        quoted: The answer by quotation; None without an index.
    """

    question: Question
    found: tuple[Passage, ...] = ()
    truth: Passage | None = None
    quoted: Quoted | None = None

    @property
    def shown(self) -> tuple[Passage, ...]:
        """The passages that a grounded prompt shows."""
        return self.found[:SHOWN]

    @property
    def known_source(self) -> bool:
        """Whether the source of the answer is known."""
        return bool(self.question.source and self.question.fact)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A question in one setting."""

    way: Way
    item: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True)
class Quiz:
    """All questions and prompts of one evaluation."""

    items: tuple[Item, ...]
    prompts: tuple[Prompt, ...]
    digest: str
    note: str = ""
    caps: tuple[str, ...] = ()  # the limits that left out questions

    def prompts_for(self, model: str) -> tuple[Prompt, ...]:
        """Returns a model's prompts; only the tuned model gets those with the true passage."""
        return tuple(p for p in self.prompts if model == TUNED or p.way != "oracle")

    @property
    def grounded(self) -> bool:
        """Whether there is an index."""
        return any(prompt.way == "grounded" for prompt in self.prompts)


def make_quiz(
    examples: Sequence[Example],
    *,
    questions_path: Path | None,
    knowledge: Knowledge | None,
    max_questions: int | None = None,
    seed: int = 0,
) -> Quiz:
    """Makes the prompts for the questions of a file, or else of the test set.

    Args:
        max_questions: Maximum number of questions of the file, sampled with `seed`.

    Raises:
        EvaluationError: The file of questions cannot be read.
    """
    note = ""
    questions: tuple[Question, ...] = ()
    caps: tuple[str, ...] = ()
    if questions_path is not None:
        questions, note = _of_this_corpus(load_questions(questions_path), knowledge)
    if max_questions is not None and max_questions < len(questions):
        there = len(questions)
        questions = sample_questions(questions, max_questions, seed)
        caps = (f"{len(questions)} of {there} questions were asked (evaluation.max_questions)",)
    passages = {}
    if not questions:
        questions = tuple(_question(example) for example in examples)
        passages = {at: _truth_of(example) for at, example in enumerate(examples)}
    items = tuple(
        _item(question, knowledge, passages.get(at)) for at, question in enumerate(questions)
    )
    prompts = tuple(
        Prompt(way=way, item=at, messages=messages)
        for at, item in enumerate(items)
        for way in WAYS
        if (messages := _messages(way, item, knowledge is not None)) is not None
    )
    digest = digest_value([list(prompt.messages) for prompt in prompts])
    return Quiz(items=items, prompts=prompts, digest=digest, note=note, caps=caps)


def holds_fact(item: Item, passage: Passage) -> bool:
    """Returns whether a passage has the answer: it is the true one, or has the fact's words."""
    question = item.question
    if item.truth is not None and passage.text == item.truth.text:
        return True
    wanted, said = _words(question.fact), set(_words(passage.text))
    if not wanted:
        return False
    share = sum(word in said for word in wanted) / len(wanted)
    same_page = passage.file == question.source and question.page in passage.pages
    return share >= (_HOLDS if same_page else 1.0)


def _of_this_corpus(
    questions: tuple[Question, ...], knowledge: Knowledge | None
) -> tuple[tuple[Question, ...], str]:
    """Returns the questions about files in the index; none if most are about other files."""
    if knowledge is None:
        return questions, ""
    about = [question for question in questions if question.source]
    known = [question for question in about if question.source in knowledge.files]
    if len(known) < _LEAST_KNOWN * len(about) or not known:
        return (), (
            f"the questions given are of other documents ({len(known)} of {len(about)} are about "
            "a file of this corpus), so those of the test set were asked"
        )
    kept = tuple(q for q in questions if not q.source or q.source in knowledge.files)
    left_out = len(questions) - len(kept)
    return kept, f"{left_out} questions are about files not in this corpus" if left_out else ""


def _question(example: Example) -> Question:
    pages = example.source.get("pages")
    refusal = example.kind == "unanswerable"
    facts = derive_key_facts(example.question, example.reference)
    return Question(
        question=example.question,
        answer=example.reference,
        # Without a number or a name, the reference itself is compared.
        key_facts=() if refusal else facts or (example.reference,),
        fact="" if refusal else example.passage,
        source="" if refusal else example.document,
        page=int(pages[0]) if isinstance(pages, list) and pages and not refusal else 0,
        kind=example.kind,
        expects="refusal" if refusal else "answer",
    )


def _truth_of(example: Example) -> Passage | None:
    if not example.passage or example.kind == "unanswerable":
        return None
    pages = example.source.get("pages")
    numbers = tuple(int(page) for page in pages) if isinstance(pages, list) else ()
    return Passage(file=example.document, pages=numbers, text=example.passage)


def _item(question: Question, knowledge: Knowledge | None, truth: Passage | None) -> Item:
    if knowledge is None:
        return Item(question=question, truth=truth)
    item = Item(
        question=question,
        found=knowledge.find(question.question, FOUND),
        truth=truth,
        quoted=knowledge.quote(question.question),
    )
    if truth is None and question.source:
        at_page = knowledge.passages_of(question.source, question.page)
        truth = next((passage for passage in at_page if holds_fact(item, passage)), None)
    return Item(question=question, found=item.found, truth=truth, quoted=item.quoted)


def _messages(way: Way, item: Item, indexed: bool) -> tuple[Message, ...] | None:
    text = item.question.question
    if way == "closed":
        return ({"role": "user", "content": text},)
    if way == "grounded":
        return grounded_messages(text, item.shown) if indexed else None
    return grounded_messages(text, (item.truth,)) if item.truth else None


def grounded_messages(question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """Returns the prompt of a question with passages."""
    shown = [
        PromptPassage(one.title or one.file, one.pages[0] if one.pages else 0, one.text)
        for one in passages
    ]
    return ({"role": "user", "content": grounded_prompt(question, shown)},)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
