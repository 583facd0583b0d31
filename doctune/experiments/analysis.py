"""Analyses an experiment: the interval of each metric, the guardrails and the sample ratio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from doctune.experiments.corrections import holm
from doctune.experiments.intervals import (
    Interval,
    asymptotic_sequence,
    fixed_interval,
    mixture_sprt,
    one_sided_bound,
)
from doctune.experiments.moments import ArmValue, Difference, Moments, compare
from doctune.experiments.options import Metric, QuantileMetric, SumMetric
from doctune.experiments.outages import Stretch
from doctune.experiments.plan import Plan
from doctune.experiments.sample_ratio import mismatch_p_value

Guard = Literal["held", "open", "breached", ""]

# With fewer users than this in either arm, a metric has no result.
LEAST_USERS = 10


class Source(Protocol):
    """The source of the data to analyse."""

    def users(self) -> dict[str, int]:
        """Returns how many users each arm has had."""

    def moments(self, metric: SumMetric) -> dict[str, Moments]:
        """Returns the moments of a metric in each arm, with the users' own past where known."""

    def quantiles(self, metric: QuantileMetric) -> dict[str, ArmValue]:
        """Returns a quantile in each arm."""

    def without_worst(
        self, metric: Metric, arm: str, against: float, seconds: float
    ) -> tuple[Source, Stretch] | None:
        """Returns this source without an arm's worst period.

        Returns None if no request was worse than the control, or the times are not known.

        Args:
            against: The control's value; worse requests count against the arm.
            seconds: Length of the period.
        """


@dataclass(frozen=True)
class Finding:
    """The result for one metric of one treatment."""

    metric: str
    arm: str
    role: Literal["primary", "guardrail", "other"]
    better: str
    control_users: int
    treatment_users: int
    control: float | None = None
    treatment: float | None = None
    effect: float | None = None
    lower: float | None = None  # these hold at every look
    upper: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None  # over all metrics and arms, by Holm
    fixed_lower: float | None = None  # these at one look only
    fixed_upper: float | None = None
    guard: Guard = ""
    # If a guardrail is breached only because of one period: its start and end, in Unix time.
    outage: tuple[float, float] | None = None

    @property
    def is_better(self) -> bool:
        """Whether the treatment is significantly better."""
        low, high = self.lower, self.upper
        if low is None or high is None:
            return False
        return low > 0 if self.better == "higher" else high < 0

    @property
    def is_worse(self) -> bool:
        """Whether the treatment is significantly worse."""
        low, high = self.lower, self.upper
        if low is None or high is None:
            return False
        return high < 0 if self.better == "higher" else low > 0


@dataclass(frozen=True)
class Evaluation:
    """The results of an experiment at one point in time."""

    users: Mapping[str, int]
    mismatch_p_value: float
    findings: tuple[Finding, ...]

    def of(self, arm: str, role: str) -> list[Finding]:
        """Returns the findings of an arm in a role."""
        return [found for found in self.findings if found.arm == arm and found.role == role]

    def primary(self, arm: str) -> Finding:
        """Returns the finding for the primary metric of an arm."""
        return self.of(arm, "primary")[0]


def evaluate(
    plan: Plan, source: Source, *, metrics: tuple[str, ...] = (), dropped: tuple[str, ...] = ()
) -> Evaluation:
    """Analyses an experiment's data up to now.

    Args:
        metrics: Further metrics to analyse besides the primary one and the guardrails.
        dropped: Arms that get no more users; they are left out.
    """
    users = source.users()
    arms = [arm for arm in (plan.control, *plan.treatments) if arm not in dropped]
    findings: list[Finding] = []
    for name in dict.fromkeys((plan.metric, *plan.guardrails, *metrics)):
        declared = plan.metrics[name]
        values = _values(declared, source)
        for arm in arms[1:]:
            found = _finding(plan, name, declared, arm, values, users)
            if found.guard in ("open", "breached") and plan.rules.outage_seconds > 0:
                found = _without_outage(plan, declared, found, source)
            findings.append(found)
    adjusted = holm([found.p_value if found.p_value is not None else 1.0 for found in findings])
    counts = [users.get(arm, 0) for arm in arms]
    return Evaluation(
        users=users,
        mismatch_p_value=float(mismatch_p_value(counts, np.ones(len(arms)))),
        findings=tuple(
            _with_adjusted(found, p) for found, p in zip(findings, adjusted, strict=True)
        ),
    )


Values = Mapping[str, Moments] | Mapping[str, ArmValue]


def _values(declared: Metric, source: Source) -> Values:
    if isinstance(declared, QuantileMetric):
        return source.quantiles(declared)
    return source.moments(declared)


def _finding(
    plan: Plan, name: str, declared: Metric, arm: str, values: Values, users: Mapping[str, int]
) -> Finding:
    role: Literal["primary", "guardrail", "other"] = "other"
    if name == plan.metric:
        role = "primary"
    elif name in plan.guardrails:
        role = "guardrail"
    empty = Finding(name, arm, role, declared.better, users.get(plan.control, 0), users.get(arm, 0))
    control, treatment = values.get(plan.control), values.get(arm)
    if control is None or treatment is None:
        return empty
    if min(float(control.count), float(treatment.count)) < LEAST_USERS:
        return empty
    difference = difference_of(declared, control, treatment)
    if not np.isfinite(difference.effect) or not difference.variance > 0:
        return empty
    rules = plan.rules
    # Each treatment is compared with the control, so these tests share alpha.
    alpha = rules.alpha / len(plan.treatments)
    always = sequence_of(declared, difference, alpha, rules.tightest_at)
    fixed = fixed_interval(difference, alpha)
    return Finding(
        metric=name,
        arm=arm,
        role=role,
        better=declared.better,
        control_users=int(control.count),
        treatment_users=int(treatment.count),
        control=float(difference.control.value),
        treatment=float(difference.treatment.value),
        effect=float(difference.effect),
        lower=float(always.lower),
        upper=float(always.upper),
        p_value=float(always.p_value),
        fixed_lower=float(fixed.lower),
        fixed_upper=float(fixed.upper),
        guard=_guard(declared, control, treatment, plan) if role == "guardrail" else "",
    )


def sequence_of(
    declared: Metric, difference: Difference, alpha: float, tightest_at: float
) -> Interval:
    """Returns the always-valid interval of a metric."""
    if declared.kind == "share":
        return mixture_sprt(difference, alpha)
    return asymptotic_sequence(difference, alpha, tightest_at=tightest_at)


def difference_of(
    declared: Metric,
    control: Moments | ArmValue,
    treatment: Moments | ArmValue,
    factor: float = 1.0,
) -> Difference:
    """Returns the difference of two arms, adjusted by CUPED if the users' past is known."""
    if isinstance(control, ArmValue) and isinstance(treatment, ArmValue):
        return Difference(control, treatment, factor)
    if not isinstance(control, Moments) or not isinstance(treatment, Moments):
        raise TypeError("one arm has moments and the other a value")
    both = control + treatment
    known_past = float(both.covariance[2, 2]) > 0 and float(both.mean[3]) > 0
    difference = compare(control, treatment, cuped=known_past, factor=factor)
    if declared.kind != "share":
        return difference
    return Difference(
        _with_floor(difference.control, control),
        _with_floor(difference.treatment, treatment),
        factor,
    )


def _with_floor(value: ArmValue, moments: Moments) -> ArmValue:
    """Returns a share with a variance above 0, even if it has been 0 or 1 so far.

    One success and one failure are added (Agresti and Coull), as if the requests were independent.
    """
    trials = float(moments.mean[1] * moments.count)
    if trials <= 0:
        return value
    share = (float(moments.mean[0] * moments.count) + 1) / (trials + 2)
    least = share * (1 - share) / float(moments.mean[1])
    return ArmValue(value.value, np.maximum(value.variance, least), value.count)


def _guard(
    declared: Metric,
    control: Moments | ArmValue,
    treatment: Moments | ArmValue,
    plan: Plan,
) -> Guard:
    """Tests non-inferiority: significantly worse than the margin, not worse, or undecided."""
    worse_is_more = declared.better == "lower"
    sign = 1.0 if worse_is_more else -1.0
    relative = declared.relative_margin
    factor = 1.0 + sign * relative if relative is not None else 1.0
    shift = 0.0 if relative is not None else sign * (declared.margin or 0.0)
    difference = difference_of(declared, control, treatment, factor)
    alpha = plan.rules.guardrail_alpha / len(plan.treatments)
    # One one-sided sequence in each direction, for the treatment's loss minus the margin.
    low, high = (
        float(one_sided_bound(difference, alpha, tightest_at=plan.rules.tightest_at, side=side))
        - shift
        for side in ("lower", "upper")
    )
    if not worse_is_more:
        low, high = -high, -low
    if low > 0:
        return "breached"
    return "held" if high < 0 else "open"


def _without_outage(plan: Plan, declared: Metric, found: Finding, source: Source) -> Finding:
    """Returns a finding whose guardrail is tested without the arm's worst period."""
    against = found.control if found.control is not None else 0.0
    rest = source.without_worst(declared, found.arm, against, plan.rules.outage_seconds)
    if rest is None:
        return found
    source, stretch = rest
    values = _values(declared, source)
    control, treatment = values.get(plan.control), values.get(found.arm)
    counts = [0.0 if value is None else float(value.count) for value in (control, treatment)]
    guard: Guard = "open"
    if control is not None and treatment is not None and min(counts) >= LEAST_USERS:
        guard = _guard(declared, control, treatment, plan)
    if found.guard == "open":
        return replace(found, guard="held") if guard == "held" else found
    if guard == "breached":
        return found
    return replace(found, guard=guard, outage=(stretch.start.timestamp(), stretch.end.timestamp()))


def _with_adjusted(found: Finding, p_value: float) -> Finding:
    return replace(found, adjusted_p_value=p_value if found.p_value is not None else None)
