"""Grades the quiz's answers, and computes its metrics.

Accuracy counts every question: a refusal is right where the documents do not say. The product
answers in the way that was right most often: by quotation, by the model, or by both (`product.py`).
That choice is made on the questions that measure it, between three, so its accuracy is that of the
best one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from doctune.evaluation.answer_accuracy import Grade, grade_answer
from doctune.evaluation.behaviour import faithfulness
from doctune.evaluation.comparison import BASE
from doctune.evaluation.product import WAYS_OF_ANSWERING, Answering, Offered, speaks_itself
from doctune.evaluation.quantities import read_names, read_quantities
from doctune.evaluation.quiz import (
    Item,
    Passage,
    Quiz,
    Way,
    cited_passages,
    holds_fact,
    without_marks,
)
from doctune.evaluation.samples import Sample, mean_sample

# Passages support an answer if they have this share of what it adds to the question.
SUPPORTED = 0.6


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A graded answer.

    Attributes:
        cited_right: Whether the cited passage has the answer; None for a wrong answer or a
            refusal.
        unsupported: Whether the passages do not support it; None for a refusal.
    """

    text: str
    grade: Grade
    cited: tuple[Passage, ...] = ()
    cited_right: bool | None = None
    unsupported: bool | None = None


@dataclass(frozen=True, kw_only=True)
class QuizResult:
    """All answers of all models, and the quotations."""

    quiz: Quiz
    marked: Mapping[str, Mapping[Way, Sequence[Marked | None]]]  # by model
    quoted: Sequence[Marked] = ()

    def samples(self, model: str) -> dict[str, Sample]:
        """Returns a model's metrics, each of all questions.

        The base model is no product: what it answers is its own words from the same passages.
        """
        ways = self.marked[model]
        found = {
            f"answer_accuracy_{way}": mean_sample(_rights(marked)) for way, marked in ways.items()
        }
        own = ways["grounded"] if "grounded" in ways else ways["closed"]
        answers = own if model == BASE else self.product(model)[1]
        found["answer_accuracy"] = mean_sample(_rights(answers))
        if "grounded" in ways:
            found |= self._behaviour(ways["grounded"])
        return found

    def quoted_samples(self) -> dict[str, Sample]:
        """Returns the metrics of quotation."""
        accuracy = {"answer_accuracy_grounded": mean_sample(_rights(self.quoted))}
        return accuracy | self._behaviour(self.quoted)

    def recall(self, top: int = 3) -> Sample:
        """Returns the share of questions whose true passage is among the top retrieved ones."""
        return mean_sample(
            [
                float(any(holds_fact(item, passage) for passage in item.found[:top]))
                if item.known_source
                else None
                for item in self.quiz.items
            ]
        )

    def product(self, model: str) -> tuple[Answering, Sequence[Marked]]:
        """Returns the way of answering that was right most often, and its answers.

        Of equals the one that needs no model is taken.
        """
        answers = self.by_way(model)
        if not answers:
            memory = self.marked[model]["closed"]
            return "model", [marked for marked in memory if marked is not None]
        known = [way for way in WAYS_OF_ANSWERING if way in answers]
        best = max(known, key=lambda way: _right_count(answers[way]))  # the first of equals
        return best, answers[best]

    def by_way(self, model: str) -> dict[Answering, Sequence[Marked]]:
        """Returns what a model's product would answer in each way; nothing without an index."""
        words = [one for one in self.marked[model].get("grounded", ()) if one is not None]
        if not self.quoted:
            return {"model": words} if words else {}
        if not words:
            return {"quote": self.quoted}
        pairs = zip(self.quiz.items, self.quoted, words, strict=True)
        hybrid = [
            own if speaks_itself("hybrid", offered, partial(_bears_out, item)) else quoted
            for item, quoted, own in pairs
            if (offered := Offered(quoted=quoted.text, words=own.text))
        ]
        return {"quote": self.quoted, "hybrid": hybrid, "model": words}

    def _behaviour(self, marked: Sequence[Marked | None]) -> dict[str, Sample]:
        pairs = list(zip(self.quiz.items, marked, strict=True))
        return {
            "cited_page": mean_sample(
                [_number(one.cited_right if one else None) for _, one in pairs]
            ),
            "unsupported": mean_sample(
                [_number(one.unsupported if one else None) for _, one in pairs]
            ),
            "refused_right": mean_sample(
                [
                    float(one.grade.right) if one and _wants_refusal(item) else None
                    for item, one in pairs
                ]
            ),
            "refused_wrong": mean_sample(
                [
                    float(one.grade.refused) if one and not _wants_refusal(item) else None
                    for item, one in pairs
                ]
            ),
        }


def mark_all(quiz: Quiz, answers: Mapping[str, Sequence[str]]) -> QuizResult:
    """Grades all models' answers to the quiz's prompts, in order, and the quotations."""
    marked: dict[str, dict[Way, list[Marked | None]]] = {}
    for model, texts in answers.items():
        ways: dict[Way, list[Marked | None]] = {}
        for prompt, text in zip(quiz.prompts_for(model), texts, strict=True):
            item = quiz.items[prompt.item]
            row = ways.setdefault(prompt.way, [None] * len(quiz.items))
            row[prompt.item] = mark_answer(item, text, _shown(item, prompt.way))
        marked[model] = ways
    quoted = [
        mark_answer(item, item.quoted.answer, item.quoted.sources, cites=item.quoted.cited)
        for item in quiz.items
        if item.quoted is not None
    ]
    return QuizResult(quiz=quiz, marked=marked, quoted=quoted)


def mark_answer(item: Item, text: str, shown: Sequence[Passage], *, cites: int = 0) -> Marked:
    """Marks one answer.

    Args:
        shown: The passages that it was made from.
        cites: How many of them, the first ones, it stands on without naming them.
    """
    question = item.question
    answer = without_marks(text)
    grade = grade_answer(
        question.question,
        answer,
        reference=question.answer,
        key_facts=question.key_facts,
        expects=question.expects,
    )
    cited = tuple(shown[:cites]) if cites else cited_passages(text, shown)
    silent = grade.refused or not shown
    rated = grade.right and not grade.refused and bool(shown) and item.known_source
    return Marked(
        text=answer,
        grade=grade,
        cited=cited,
        cited_right=any(holds_fact(item, one) for one in cited) if rated else None,
        unsupported=None if silent else not is_supported(answer, question.question, shown),
    )


def is_supported(answer: str, question: str, shown: Sequence[Passage]) -> bool:
    """Returns whether passages support the numbers, names and words that an answer adds."""
    said = "\n".join(passage.text for passage in shown)
    known = [*read_quantities(said), *read_quantities(question)]
    for quantity in read_quantities(answer):
        if not any(quantity.same(one) for one in known):
            return False
    names = {name for _, name in read_names(f"{said}\n{question}")}
    if any(name not in names for _, name in read_names(answer)):
        return False
    share = faithfulness(answer, question, said)
    return share is None or share >= SUPPORTED


def _shown(item: Item, way: Way) -> Sequence[Passage]:
    if way == "closed":
        return ()
    if way == "grounded":
        return item.shown
    return (item.truth,) if item.truth else ()


def _bears_out(item: Item, words: str) -> bool:
    return is_supported(words, item.question.question, item.shown)


def _rights(marked: Sequence[Marked | None]) -> list[float | None]:
    return [None if one is None else float(one.grade.right) for one in marked]


def _right_count(marked: Sequence[Marked]) -> int:
    return sum(one.grade.right for one in marked)


def _wants_refusal(item: Item) -> bool:
    return item.question.expects == "refusal"


def _number(value: bool | None) -> float | None:
    return None if value is None else float(value)
