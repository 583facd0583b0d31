"""The quiz's metrics with their intervals: models against each other, quotation, the product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.clusters import Clusters
from doctune.evaluation.comparison import TUNED, Comparison, Measured, compare
from doctune.evaluation.quiz import Quiz
from doctune.evaluation.quiz_scores import Marked, QuizResult
from doctune.evaluation.samples import Sample, mean_sample
from doctune.evaluation.score_card import ProductAnswers

QUOTED = "quoted"
INDEX = "index"


def clusters_of_questions(quiz: Quiz) -> Clusters:
    """Returns which questions belong together: those about one document, and about one fact.

    Questions without an answer are of no document: each stands by itself.
    """
    documents: dict[str, int] = {}
    facts: dict[tuple[str, str], int] = {}
    of_document, of_fact = [], []
    for number, item in enumerate(quiz.items):
        question = item.question
        alone = f"\0{number}"
        of_document.append(documents.setdefault(question.source or alone, len(documents)))
        fact = (question.source, question.fact or alone)
        of_fact.append(facts.setdefault(fact, len(facts)))
    return Clusters(
        documents=np.array(of_document, dtype=np.int64), facts=np.array(of_fact, dtype=np.int64)
    )


def compare_quiz(result: QuizResult, bootstrap: Bootstrap) -> Comparison:
    """Compares the models on all questions; quotation and the index are measured beside them.

    The gains over quotation are those of the model's own words, from the same passages.
    """
    bootstrap = replace(bootstrap, clusters=clusters_of_questions(result.quiz))
    models = {model: result.samples(model) for model in result.marked}
    part = compare(models, bootstrap)
    beside: dict[tuple[str, str], Sample] = {}
    if result.quoted:
        beside |= {(name, QUOTED): one for name, one in result.quoted_samples().items()}
        beside["recall_at_3", INDEX] = result.recall()
    drawn = bootstrap.distributions(beside)
    measured = [
        Measured(
            metric=metric,
            model=model,
            value=sample.value,
            interval=bootstrap.interval(drawn[metric, model], bootstrap.count(sample)),
        )
        for (metric, model), sample in beside.items()
    ]
    return replace(part, measured=(*part.measured, *measured))


def product_answers(result: QuizResult, bootstrap: Bootstrap) -> ProductAnswers:
    """Returns what the tuned model's product answered, by its better way."""
    answering, marked = result.product(TUNED)
    bootstrap = replace(bootstrap, clusters=clusters_of_questions(result.quiz))
    rights = mean_sample([float(one.grade.right) for one in marked])
    drawn = bootstrap.distributions({"right": rights})["right"]
    interval = bootstrap.interval(drawn, bootstrap.count(rights))
    share = rights.value
    known = np.isfinite([interval.low, interval.high]).all()
    refusing = [item.question.expects == "refusal" for item in result.quiz.items]
    recall = result.recall().value if result.quoted else None
    return ProductAnswers(
        answering=answering,
        questions=len(marked),
        right=sum(one.grade.right for one in marked),
        grounded=result.quiz.grounded,
        low=interval.low if known else share,
        high=interval.high if known else share,
        unsupported=_share([one.unsupported for one in marked]),
        refused_right=_share(
            [one.grade.refused for one, refuse in zip(marked, refusing, strict=True) if refuse]
        ),
        refused_wrong=_share(
            [one.grade.refused for one, refuse in zip(marked, refusing, strict=True) if not refuse]
        ),
        recall_at_3=recall if recall is not None and np.isfinite(recall) else None,
        note=result.quiz.note,
    )


def wrong_answers(result: QuizResult) -> list[tuple[int, Marked]]:
    """Returns the questions that the product answers wrong, with their numbers."""
    _, marked = result.product(TUNED)
    return [(number, one) for number, one in enumerate(marked) if not one.grade.right]


def _share(values: list[bool | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
