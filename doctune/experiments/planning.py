"""Power calculation: how many users and days an effect needs, given the variance in the log."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from doctune.database.engine import Engine
from doctune.database.exposures import Scope, answer_values, user_sums
from doctune.errors import UsageError
from doctune.experiments.moments import ArmValue, Moments, ratio_value
from doctune.experiments.options import Metric, QuantileMetric, SumMetric, load_experiment_options
from doctune.experiments.power import smallest_effect, users_needed
from doctune.experiments.quantiles import quantile_value
from doctune.feedback.request import FAITHFULNESS
from doctune.knowledge.prompt import REFUSAL

_LEAST_USERS = 30


@dataclass(frozen=True)
class PlannedExperiment:
    """The users and days that an experiment needs. Users are the sum of both arms."""

    metric: str
    effect: float
    power: float
    value_now: float
    users_seen: int
    users_a_day: float
    users_needed: int
    users_fixed_horizon: int
    days_needed: float
    smallest_effect_in_4_weeks: float

    @property
    def text(self) -> str:
        """One paragraph."""
        return (
            f"{self.metric} is {self.value_now:.4g} over {self.users_seen} users. A difference of "
            f"{self.effect:g} needs {self.users_needed} users in both arms together, for a power "
            f"of {self.power:.0%} ({self.users_fixed_horizon} with one look at a fixed time): "
            f"{self.days_needed:.1f} days with all users at {self.users_a_day:.0f} new ones a day. "
            f"In four weeks {self.smallest_effect_in_4_weeks:.3g} can be found."
        )


def plan_experiment(
    engine: Engine,
    config: Path,
    model: str,
    metric: str,
    effect: float,
    *,
    days: int = 28,
    power: float = 0.8,
    now: datetime | None = None,
) -> PlannedExperiment:
    """Returns how many users and days it takes to detect an effect.

    Args:
        config: The folder with `experiments.yaml`.
        days: Days of the log to use.

    Raises:
        UsageError: There is no such metric, the effect is 0, or the log has too few users.
    """
    options = load_experiment_options(config)
    if metric not in options.metrics:
        known = ", ".join(options.metrics)
        raise UsageError(f"there is no metric {metric}: experiments.yaml has {known}.")
    if effect == 0 or not math.isfinite(effect):
        raise UsageError(
            f"an effect of {effect:g} can never be detected: give the smallest effect that matters."
        )
    declared = options.metrics[metric]
    if isinstance(declared, SumMetric) and declared.kind == "share" and abs(effect) >= 1:
        raise UsageError(
            f"{metric} is a share between 0 and 1, which cannot change by {effect:g}: three "
            "percentage points are 0.03."
        )
    end = now or datetime.now(UTC)
    scope = Scope(
        experiment="",
        refusal=REFUSAL,
        faithfulness=FAITHFULNESS,
        prompt_price=options.prices.prompt_tokens / 1e6,
        completion_price=options.prices.completion_tokens / 1e6,
        before=(model, end - timedelta(days=days), end),
    )
    value = _value(engine, scope, declared)
    if value is None or value.count < _LEAST_USERS:
        raise UsageError(
            f"the log has fewer than {_LEAST_USERS} users with {metric} in {days} days: wait, or "
            "look further back with --days."
        )
    unit_variance = 4 * float(value.variance)
    if not unit_variance > 0:
        raise UsageError(
            f"{metric} has the same value for all {int(value.count)} users in the log, so its "
            "variance is unknown: wait for more traffic, or choose another metric."
        )
    need = users_needed(effect, unit_variance, alpha=options.rules.alpha, power=power)
    a_day = float(value.count) / days
    return PlannedExperiment(
        metric=metric,
        effect=effect,
        power=power,
        value_now=float(value.value),
        users_seen=int(value.count),
        users_a_day=a_day,
        users_needed=need.sequential,
        users_fixed_horizon=need.fixed,
        days_needed=math.ceil(10 * need.sequential / a_day) / 10,
        smallest_effect_in_4_weeks=smallest_effect(28 * a_day, unit_variance, power=power),
    )


def _value(engine: Engine, scope: Scope, declared: Metric) -> ArmValue | None:
    if isinstance(declared, QuantileMetric):
        numbers: dict[str, int] = defaultdict(lambda: len(numbers))
        rows = answer_values(engine, scope, declared.measure)
        users = [numbers[unit] for _, unit, _ in rows]
        values = [value for *_, value in rows]
        return quantile_value(values, users, declared.quantile) if rows else None
    measures = (declared.numerator, declared.denominator)
    sums = np.asarray([row for _, _, row in user_sums(engine, scope, measures)])
    if not len(sums) or not sums[:, 1].sum():
        return None
    return ratio_value(Moments.of(sums[:, 0], sums[:, 1]))
