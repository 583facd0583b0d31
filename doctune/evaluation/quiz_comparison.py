"""Compares the quiz results of models, quotation and product, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.clusters import Clusters
from doctune.evaluation.comparison import CHAMPION, TUNED, Comparison, Measured
from doctune.evaluation.fairness import Fairness, compare_fairly
from doctune.evaluation.quiz import FOUND, Quiz
from doctune.evaluation.quiz_scores import Marked, QuizResult
from doctune.evaluation.samples import Sample, mean_sample
from doctune.evaluation.score_card import SHARES, ProductAnswers, ProductWay
from doctune.evaluation.slices import Slice, gains_by_part
from doctune.knowledge.prompt import SHOWN

QUOTED = "quoted"
INDEX = "index"


def clusters_of_questions(quiz: Quiz) -> Clusters:
    """Returns the clusters of questions: by document and by fact.

    Each question without an answer is its own cluster, since it has no document.
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


def compare_quiz(
    result: QuizResult, bootstrap: Bootstrap, fairness: Fairness | None = None
) -> Comparison:
    """Compares the models on all questions; quotation and the index are measured beside them.

    The gains over quotation are those of the model's own words, from the same passages.

    Args:
        fairness: Which questions count against the champion; None: all.
    """
    fairness = fairness or Fairness(kept=np.ones(len(result.quiz.items), dtype=bool))
    bootstrap = replace(bootstrap, clusters=clusters_of_questions(result.quiz))
    models = {model: result.samples(model) for model in result.marked}
    part = compare_fairly(models, bootstrap, fairness)
    beside: dict[tuple[str, str], Sample] = {}
    if result.quoted:
        beside |= {(name, QUOTED): one for name, one in result.quoted_samples().items()}
        beside |= {(f"recall_at_{top}", INDEX): result.recall(top) for top in (SHOWN, FOUND)}
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
    """Returns what the tuned model's product answered, by its best way, beside the other ways."""
    answering, marked = result.product(TUNED)
    bootstrap = replace(bootstrap, clusters=clusters_of_questions(result.quiz))
    samples = _shares_of(result, marked)
    by_way = result.by_way(TUNED) or {answering: marked}
    samples |= {f"right_{way}": _rights(answers) for way, answers in by_way.items()}
    intervals = _intervals(samples, bootstrap)
    values = {name: _known(sample.value) for name, sample in samples.items()}
    low, high = intervals["right"]
    return ProductAnswers(
        answering=answering,
        questions=len(marked),
        right=sum(one.grade.right for one in marked),
        grounded=result.quiz.grounded,
        low=low,
        high=high,
        **{name: values.get(name) for name in SHARES},
        intervals={name: intervals[name] for name in SHARES if name in intervals},
        ways=tuple(
            ProductWay(
                answering=way,
                right=sum(one.grade.right for one in answers),
                low=intervals[f"right_{way}"][0],
                high=intervals[f"right_{way}"][1],
            )
            for way, answers in by_way.items()
        ),
        note=result.quiz.note,
    )


def _shares_of(result: QuizResult, marked: Sequence[Marked]) -> dict[str, Sample]:
    """Returns what is told of the product's answers, as samples over all questions."""
    refusing = [item.question.expects == "refusal" for item in result.quiz.items]
    pairs = list(zip(marked, refusing, strict=True))
    found = {
        "right": _rights(marked),
        "unsupported": _sample([one.unsupported for one in marked]),
        "cited_page": _sample([one.cited_right for one in marked]),
        "refused_right": _sample([one.grade.refused if refuse else None for one, refuse in pairs]),
        "refused_wrong": _sample([None if refuse else one.grade.refused for one, refuse in pairs]),
    }
    return found | ({"recall_at_3": result.recall()} if result.quoted else {})


def _intervals(
    samples: Mapping[str, Sample], bootstrap: Bootstrap
) -> dict[str, tuple[float, float]]:
    """Returns the interval of each share that is known; of one document it is the value alone."""
    drawn = bootstrap.distributions(dict(samples))
    found = {}
    for name, sample in samples.items():
        if _known(sample.value) is None:
            continue
        interval = bootstrap.interval(drawn[name], bootstrap.count(sample))
        ends = (interval.low, interval.high)
        found[name] = ends if np.isfinite(ends).all() else (sample.value, sample.value)
    return found


def _rights(marked: Sequence[Marked]) -> Sample:
    return _sample([one.grade.right for one in marked])


def _sample(values: Sequence[bool | None]) -> Sample:
    return mean_sample([None if value is None else float(value) for value in values])


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def question_slices(
    result: QuizResult, bootstrap: Bootstrap, *, min_examples: int, champion: bool = True
) -> list[Slice]:
    """Compares the models by what their products answer, on each kind of question.

    Args:
        champion: Whether the champion is among them.
    """
    kinds = np.array([item.question.kind for item in result.quiz.items])
    members = {("question kind", str(kind)): kinds == kind for kind in np.unique(kinds) if kind}
    models = {
        model: {
            name: sample
            for name, sample in result.samples(model).items()
            if name.startswith("answer_accuracy")
        }
        for model in result.marked
        if champion or model != CHAMPION
    }
    bootstrap = replace(bootstrap, clusters=clusters_of_questions(result.quiz))
    return gains_by_part(members, models, bootstrap, min_examples=min_examples)


def wrong_answers(result: QuizResult) -> list[tuple[int, Marked]]:
    """Returns the questions that the product answers wrong, with their positions."""
    _, marked = result.product(TUNED)
    return [(number, one) for number, one in enumerate(marked) if not one.grade.right]
