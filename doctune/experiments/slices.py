"""The primary metric in slices of the users: new and returning ones, languages, kinds of question.

Slices are exploratory: their p-values are corrected for their number, and no decision depends on
them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from doctune.database.engine import Engine
from doctune.database.exposures import questions_of, user_sums
from doctune.documents.language import detect_language
from doctune.experiments.analysis import LEAST_USERS, difference_of, sequence_of
from doctune.experiments.corrections import benjamini_yekutieli
from doctune.experiments.moments import Moments
from doctune.experiments.options import SumMetric
from doctune.experiments.plan import Plan
from doctune.experiments.sources import scope_of
from doctune.knowledge.questions import read_question


@dataclass(frozen=True)
class Slice:
    """The primary metric of one treatment in a slice of the users."""

    dimension: str
    value: str
    arm: str
    users: int
    effect: float
    lower: float
    upper: float
    p_value: float  # corrected for the number of slices


def slices_of(engine: Engine, plan: Plan, started_at: datetime) -> list[Slice]:
    """Returns the slices with enough users in both arms; none for a quantile."""
    declared = plan.metrics[plan.metric]
    if not isinstance(declared, SumMetric):
        return []
    scope = scope_of(plan)
    measures = (declared.numerator, declared.denominator)
    rows = user_sums(engine, scope, measures)
    start = started_at - timedelta(days=max(plan.rules.before_days, 1))
    past = user_sums(engine, replace(scope, before=(plan.model, start, started_at)), ("requests",))
    parts = _parts(questions_of(engine, scope), {unit for _, unit, _ in past})
    groups: dict[tuple[str, str], dict[str, list[tuple[float, ...]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for arm, unit, sums in rows:
        for part in parts.get(unit, ()):
            groups[part][arm].append(sums)
    return _corrected([found for part, arms in groups.items() for found in _of(plan, part, arms)])


def _parts(questions: Mapping[str, str], with_past: set[str]) -> dict[str, list[tuple[str, str]]]:
    parts = {}
    for unit, question in questions.items():
        parts[unit] = [
            ("users", "old" if unit in with_past else "new"),
            ("language", detect_language(question) or "unknown"),
            ("question", read_question(question).form),
        ]
    return parts


def _of(
    plan: Plan, part: tuple[str, str], arms: Mapping[str, list[tuple[float, ...]]]
) -> list[Slice]:
    declared = plan.metrics[plan.metric]
    found = []
    for arm in plan.treatments:
        both = [np.asarray(arms.get(name, ())) for name in (plan.control, arm)]
        if min(len(values) for values in both) < LEAST_USERS:
            continue
        control, treatment = (Moments.of(values[:, 0], values[:, 1]) for values in both)
        difference = difference_of(declared, control, treatment)
        if not np.isfinite(difference.effect) or not difference.variance > 0:
            continue
        known = sequence_of(declared, difference, plan.rules.alpha, plan.rules.tightest_at)
        found.append(
            Slice(
                *part,
                arm,
                sum(len(values) for values in both),
                float(difference.effect),
                float(known.lower),
                float(known.upper),
                float(known.p_value),
            )
        )
    return found


def _corrected(found: list[Slice]) -> list[Slice]:
    p_values = benjamini_yekutieli([one.p_value for one in found])
    ordered = [replace(one, p_value=p) for one, p in zip(found, p_values, strict=True)]
    return sorted(ordered, key=lambda one: (one.dimension, -one.users, one.value))
