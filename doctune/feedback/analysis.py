"""Statistics of feedback: rates with intervals, clusters of questions, agreement of annotators.

A rate is the share of bad opinions among all that judge (ratings, corrections, preferences and
labels), with Wilson's interval, which holds for few opinions and for rates near none. One person's
opinions of one answer count once: bad, if any of them is.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from doctune.database.feedback_rows import FeedbackRow
from doctune.evaluation.versions import LiveRate
from doctune.feedback.queue import question_cluster
from doctune.feedback.request import is_bad, is_good

_CONFIDENCE = 0.95
_MOST_CLUSTERS, _MOST_GROUPS = 20, 50
_NO = "(none)"


@dataclass(frozen=True)
class Rate:
    """The rate of bad answers, the number of answers, and the interval."""

    name: str
    bad: int
    of: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """The share."""
        return self.bad / self.of if self.of else 0.0


@dataclass(frozen=True)
class Cluster:
    """Questions that ask nearly the same and are answered badly."""

    name: str
    questions: int
    bad: int
    example: str


@dataclass(frozen=True)
class Opinion:
    """What one person thinks of one answer."""

    row: FeedbackRow
    bad: bool


@dataclass(frozen=True)
class Analysis:
    """The numbers of a report."""

    items: int
    kinds: dict[str, int]
    sources: dict[str, int]
    opinions: int
    overall: Rate
    groups: dict[str, tuple[Rate, ...]]  # over time (week), by version, arm, kind, document, page
    clusters: tuple[Cluster, ...]
    agreement: float | None  # Krippendorff's alpha; None where too few judged the same
    shared_answers: int  # answers that two or more people judged


def rate_of(name: str, bad: int, of: int) -> Rate:
    """Returns a rate with Wilson's interval."""
    if not of:
        return Rate(name, 0, 0, 0.0, 1.0)
    return Rate(name, bad, of, *wilson(bad, of))


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Returns the ends of Wilson's 95 % interval of a share of at least one trial."""
    z = NormalDist().inv_cdf(0.5 + _CONFIDENCE / 2)
    share, spread = successes / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def analyse(
    rows: Iterable[FeedbackRow], name_clusters: Callable[..., Any] | None = None
) -> Analysis:
    """Returns what feedback says; rows are gone through once, and opinions held.

    Args:
        name_clusters: Joins clusters of questions by meaning: from their examples and counts to
            lists of indices; None leaves those that share their words.
    """
    kinds: Counter[str] = Counter()
    sources: Counter[str] = Counter()

    def counted() -> Iterator[FeedbackRow]:
        for row in rows:
            kinds[row.kind] += 1
            sources[row.source] += 1
            yield row

    opinions = opinions_of(counted())
    alpha, shared = agreement(opinions)
    return Analysis(
        items=sum(kinds.values()),
        kinds=dict(sorted(kinds.items())),
        sources=dict(sorted(sources.items())),
        opinions=len(opinions),
        overall=rate_of("all", sum(one.bad for one in opinions), len(opinions)),
        groups={name: _rates(opinions, of) for name, of in _GROUPS.items()},
        clusters=_clusters(opinions, name_clusters),
        agreement=alpha,
        shared_answers=shared,
    )


def opinions_of(rows: Iterable[FeedbackRow]) -> list[Opinion]:
    """Returns what each person thinks of each answer: bad, if any of their words says so."""
    by_person: dict[tuple[str, str, str | None], Opinion] = {}
    for row in rows:
        bad, good = is_bad(row.kind, row.value), is_good(row.kind, row.value)
        neutral = row.kind == "rating" and not (bad or good)
        if not (bad or good or neutral):
            continue
        key = (row.prediction_id, row.key_id, row.end_user)
        known = by_person.get(key)
        if known is None or (bad and not known.bad):
            by_person[key] = Opinion(row, bad)
    return list(by_person.values())


def live_rates(rows: Iterable[FeedbackRow], model_name: str) -> list[LiveRate]:
    """Returns how often each version's answers were bad, by the week of the answer.

    Args:
        model_name: Name of the version's model in the registry's form, `.../models/ID`; "" for any.
    """
    counts: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for one in opinions_of(rows):
        name, _, version = (one.row.model_version or "").rpartition("@")
        if version and model_name in ("", name):
            counts[_week(one.row), version].append(one.bad)
    found = []
    for (week, version), bad in sorted(counts.items()):
        low, high = wilson(sum(bad), len(bad))
        rate = LiveRate(version=version, week=week, bad=sum(bad), of=len(bad), low=low, high=high)
        found.append(rate)
    return found


def agreement(opinions: Sequence[Opinion]) -> tuple[float | None, int]:
    """Returns Krippendorff's alpha of who judged the same answers, and how many such there are."""
    import krippendorff
    import numpy as np

    by_answer: dict[str, list[bool]] = defaultdict(list)
    for one in opinions:
        by_answer[one.row.prediction_id].append(one.bad)
    shared = [judged for judged in by_answer.values() if len(judged) > 1]
    if len(shared) < 2 or len({bad for judged in shared for bad in judged}) < 2:
        return None, len(shared)  # no disagreement is possible: alpha is not defined
    counts = np.array([[judged.count(False), judged.count(True)] for judged in shared])
    alpha = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    return float(alpha), len(shared)


def question_kind(question: str) -> str:
    """Returns what sort of question it is, by its first telling word."""
    first = question.strip().lower().split(" ")[0] if question.strip() else ""
    if first in ("what", "which", "who", "when", "where", "why", "how"):
        return first
    return "yes/no" if first in _YES_NO else "other"


_YES_NO = frozenset(
    ("is", "are", "was", "does", "do", "did", "can", "may", "must", "should", "has")
)


def _documents(row: FeedbackRow) -> list[str]:
    return sorted({file for file, _ in sources_of(row)}) or [_NO]


def _pages(row: FeedbackRow) -> list[str]:
    return sorted({f"{file}, page {page}" for file, page in sources_of(row)}) or [_NO]


def sources_of(row: FeedbackRow) -> list[tuple[str, int]]:
    """Returns the files and pages that an answer names."""
    return [
        (str(source["document"]), int(source.get("page") or 0))
        for source in row.sources or ()
        if source.get("document")
    ]


def _week(row: FeedbackRow) -> str:
    return f"{(row.predicted_at or row.created_at):%G-W%V}"


_GROUPS: dict[str, Callable[[FeedbackRow], list[str]]] = {
    "week": lambda row: [_week(row)],
    "version": lambda row: [row.model_version or _NO],
    "arm": lambda row: [f"{row.experiment}: {row.arm}" if row.arm else _NO],
    "kind of question": lambda row: [question_kind(row.question)],
    "document": _documents,
    "page": _pages,
}


def _rates(
    opinions: Sequence[Opinion], group: Callable[[FeedbackRow], list[str]]
) -> tuple[Rate, ...]:
    bad: Counter[str] = Counter()
    of: Counter[str] = Counter()
    for one in opinions:
        for name in group(one.row):
            of[name] += 1
            bad[name] += one.bad
    found = [rate_of(name, bad[name], of[name]) for name in of]
    if group is _GROUPS["week"]:
        return tuple(sorted(found, key=lambda rate: rate.name))
    # What causes the most wrong answers comes first.
    return tuple(sorted(found, key=lambda rate: (-rate.bad, rate.name))[:_MOST_GROUPS])


def _clusters(
    opinions: Sequence[Opinion], joined_by: Callable[..., Any] | None
) -> tuple[Cluster, ...]:
    questions: dict[str, Counter[str]] = defaultdict(Counter)
    for one in opinions:
        if one.bad and one.row.question:
            questions[question_cluster(one.row.question)][one.row.question] += 1
    groups = sorted(questions.values(), key=lambda found: -found.total())[:500]
    examples = [found.most_common(1)[0][0] for found in groups]
    parts = joined_by(examples) if joined_by and examples else [[at] for at in range(len(groups))]
    clusters = []
    for part in parts:
        counted: Counter[str] = sum((groups[at] for at in part), Counter())
        example = counted.most_common(1)[0][0]
        name = _name(list(counted))
        clusters.append(Cluster(name or example[:60], len(counted), counted.total(), example))
    return tuple(sorted(clusters, key=lambda one: (-one.bad, one.name))[:_MOST_CLUSTERS])


def _name(questions: Sequence[str]) -> str:
    """Returns the words that most questions of a cluster share, in the order of the first."""
    from doctune.dataset.text import normalise
    from doctune.feedback.queue import telling_words

    counts = Counter(word for text in questions for word in set(telling_words(text)))
    common = {word for word, count in counts.items() if count * 2 >= len(questions)}
    first = [word for word in normalise(questions[0]).split() if word in common]
    return " ".join(dict.fromkeys(first))[:60]
