"""Checks the statistical inference against simulated experiments.

    python -m doctune.experiments.simulate [--json] [--seed N] [--experiments N] [--users N]

Each experiment is analysed after every batch of users and stops at the first analysis that finds a
difference. For each kind of metric, the report gives the rate of false positives (beside that of
the fixed-horizon test under the same peeking), the coverage of the confidence sequence over all
looks, and the power and the sample size at known effects.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import get_args

import numpy as np

from doctune.experiments.intervals import (
    Interval,
    asymptotic_sequence,
    fixed_interval,
    mixture_sprt,
)
from doctune.experiments.moments import Difference, Moments, compare
from doctune.experiments.power import users_needed
from doctune.experiments.sample_ratio import (
    MISMATCH_ALPHA,
    mismatch_log_ratio,
    users_to_detect,
)
from doctune.experiments.simulated import CORRELATION, Course, Kind, differences

ALPHA = 0.05
# Users at which the confidence sequences are tightest.
TIGHTEST_AT = 5000
# True effects at which power is reported, in the unit of each metric.
EFFECTS: dict[str, tuple[float, float]] = {
    "mean": (0.3, 0.6),
    "ratio": (0.01, 0.02),
    "returning": (0.01, 0.02),
    "share": (0.02, 0.04),
    "quantile": (30.0, 60.0),
    "cuped": (0.03, 0.06),
}
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class WithoutEffect:
    """Rates at which a difference is found although there is none."""

    kind: str
    experiments: int
    false_positives: float  # of the confidence sequence, analysed after every batch
    fixed_horizon_peeked: float  # of the fixed-horizon interval, analysed as often
    fixed_horizon_once: float  # of the fixed-horizon interval, analysed once at the end
    standard_error: float  # of a rate of ALPHA over this number of experiments


@dataclass(frozen=True)
class WithEffect:
    """Coverage and power at a true effect."""

    kind: str
    effect: float
    coverage: float  # share of experiments whose interval held the true effect at every look
    power: float
    power_fixed_horizon: float
    median_users: float | None  # when the sequence found the effect, among those that did
    planned_users: int  # by `users_needed`, for a power of 80 %


@dataclass(frozen=True)
class SampleRatioMismatch:
    """How the test of the sample ratio does on broken and on correct assignments."""

    false_positives: float
    caught: float
    median_users: float
    theory_users: float


@dataclass(frozen=True)
class Report:
    """The results of all simulations, with what they were run with."""

    seed: int
    users: int
    batch: int
    alpha: float
    without_effect: tuple[WithoutEffect, ...]
    with_effect: tuple[WithEffect, ...]
    sample_ratio_52_48: SampleRatioMismatch
    cuped_variance_left: float
    cuped_variance_left_by_theory: float
    seconds: float


def simulate(seed: int, course: Course, power_course: Course) -> Report:
    """Runs all simulations.

    Args:
        course: For false positives.
        power_course: For coverage and power at known effects.
    """
    started = time.monotonic()
    streams = np.random.SeedSequence(seed).spawn(len(KINDS) * 3 + 2)
    generators = [np.random.default_rng(stream) for stream in streams]
    without_effect, with_effect = [], []
    for number, kind in enumerate(KINDS):
        without_effect.append(false_positives(kind, course, generators[3 * number]))
        for place, effect in enumerate(EFFECTS[kind], 1):
            rng = generators[3 * number + place]
            with_effect.append(coverage_and_power(kind, effect, power_course, rng))
    return Report(
        seed=seed,
        users=course.users,
        batch=course.batch,
        alpha=ALPHA,
        without_effect=tuple(without_effect),
        with_effect=tuple(with_effect),
        sample_ratio_52_48=sample_ratio_mismatch(course.experiments, 200, generators[-2]),
        cuped_variance_left=cuped_variance_left(course.users, generators[-1]),
        cuped_variance_left_by_theory=1 - CORRELATION**2,
        seconds=round(time.monotonic() - started, 1),
    )


def sequence(kind: Kind, difference: Difference) -> Interval:
    """Returns the interval that is valid at every look, chosen as experiments choose it."""
    if kind == "share":
        return mixture_sprt(difference, ALPHA)
    return asymptotic_sequence(difference, ALPHA, tightest_at=TIGHTEST_AT)


def false_positives(kind: Kind, course: Course, rng: np.random.Generator) -> WithoutEffect:
    """Returns how often a difference is found although there is none."""
    found = np.zeros(3)
    for difference in differences(kind, 0.0, course, rng):
        always = sequence(kind, difference).excludes_zero
        fixed = fixed_interval(difference, ALPHA).excludes_zero
        found += [always.any(axis=1).sum(), fixed.any(axis=1).sum(), fixed[:, -1].sum()]
    shares = found / course.experiments
    return WithoutEffect(
        kind=kind,
        experiments=course.experiments,
        false_positives=float(shares[0]),
        fixed_horizon_peeked=float(shares[1]),
        fixed_horizon_once=float(shares[2]),
        standard_error=round(float(np.sqrt(ALPHA * (1 - ALPHA) / course.experiments)), 5),
    )


def coverage_and_power(
    kind: Kind, effect: float, course: Course, rng: np.random.Generator
) -> WithEffect:
    """Returns how often the interval holds a true effect, and how often the effect is found."""
    missed = found = found_fixed = 0
    when: list[float] = []
    unit_variances = []
    for difference in differences(kind, effect, course, rng):
        interval = sequence(kind, difference)
        missed += int(((interval.lower > effect) | (interval.upper < effect)).any(axis=1).sum())
        hits = interval.lower > 0
        found += int(hits.any(axis=1).sum())
        found_fixed += int((fixed_interval(difference, ALPHA).lower[:, -1] > 0).sum())
        first = hits.argmax(axis=1)[hits.any(axis=1)]
        when += [float(users) for users in course.users_at_looks[first]]
        unit_variances.append(float(np.mean(difference.unit_variance[:, -1])))
    return WithEffect(
        kind=kind,
        effect=effect,
        coverage=round(1 - missed / course.experiments, 5),
        power=round(found / course.experiments, 5),
        power_fixed_horizon=round(found_fixed / course.experiments, 5),
        median_users=float(np.median(when)) if when else None,
        planned_users=users_needed(effect, float(np.mean(unit_variances)), alpha=ALPHA).sequential,
    )


def sample_ratio_mismatch(
    experiments: int, batch: int, rng: np.random.Generator
) -> SampleRatioMismatch:
    """Returns how often, and after how many users, a split of 52 to 48 is detected as not even."""
    theory = users_to_detect((52, 48), (50, 50))
    looks = int(4 * theory // batch)
    level = -np.log(MISMATCH_ALPHA)

    def first_looks(share: float) -> np.ndarray:
        treated = rng.binomial(batch, share, (experiments, looks)).cumsum(axis=1)
        users = np.arange(1, looks + 1) * batch
        ratio = mismatch_log_ratio(np.stack([treated, users - treated], axis=-1), (50, 50))
        caught = ratio >= level
        return np.where(caught.any(axis=1), users[caught.argmax(axis=1)], np.inf)

    broken, right = first_looks(0.52), first_looks(0.5)
    return SampleRatioMismatch(
        false_positives=float(np.isfinite(right).mean()),
        caught=float(np.isfinite(broken).mean()),
        median_users=float(np.median(broken)),
        theory_users=round(theory, 1),
    )


def cuped_variance_left(users: int, rng: np.random.Generator) -> float:
    """Returns the share of the variance that CUPED leaves, on data with a known correlation."""
    arms = []
    for _ in range(2):
        before, noise = rng.standard_normal((2, users))
        arms.append(
            Moments.of(CORRELATION * before + np.sqrt(1 - CORRELATION**2) * noise, covariate=before)
        )
    plain, adjusted = compare(*arms), compare(*arms, cuped=True)
    return round(float(adjusted.variance / plain.variance), 5)


def main(arguments: list[str] | None = None) -> int:
    """Runs the simulations and prints their report."""
    parser = argparse.ArgumentParser(prog="python -m doctune.experiments.simulate")
    parser.add_argument("--json", action="store_true", help="print the report as one line of JSON")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers")
    parser.add_argument(
        "--experiments", type=int, default=2000, help="experiments without an effect"
    )
    parser.add_argument("--with-effect", type=int, default=500, help="experiments per effect")
    parser.add_argument("--users", type=int, default=20_000, help="users per experiment")
    parser.add_argument("--batch", type=int, default=500, help="users between two looks")
    given = parser.parse_args(arguments)
    if (
        given.batch < 1
        or given.users < given.batch
        or min(given.experiments, given.with_effect) < 1
    ):
        parser.error("give at least one experiment, and users for at least one batch")
    users = given.users - given.users % given.batch
    report = simulate(
        given.seed,
        Course(given.experiments, users, given.batch),
        Course(given.with_effect, users, given.batch),
    )
    if given.json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
    else:
        sys.stdout.write(_as_text(report))
    return 0


def _as_text(report: Report) -> str:
    lines = [f"{'metric':<10}{'false positives':>16}{'fixed, peeked':>15}{'fixed, once':>13}"]
    for row in report.without_effect:
        lines.append(
            f"{row.kind:<10}{row.false_positives:>16.2%}{row.fixed_horizon_peeked:>15.2%}"
            f"{row.fixed_horizon_once:>13.2%}"
        )
    lines.append("")
    lines.append(
        f"{'metric':<10}{'effect':>8}{'coverage':>10}{'power':>8}{'fixed':>8}{'median users':>14}"
        f"{'planned':>9}"
    )
    for some in report.with_effect:
        users = "-" if some.median_users is None else f"{some.median_users:.0f}"
        lines.append(
            f"{some.kind:<10}{some.effect:>8g}{some.coverage:>10.2%}{some.power:>8.1%}"
            f"{some.power_fixed_horizon:>8.1%}{users:>14}{some.planned_users:>9}"
        )
    broken = report.sample_ratio_52_48
    lines += [
        "",
        f"52/48 detected in {broken.caught:.1%} after a median of {broken.median_users:.0f} users "
        f"(theory: {broken.theory_users:.0f}); 50/50 stopped in {broken.false_positives:.2%}.",
        f"CUPED leaves {report.cuped_variance_left:.4f} of the variance "
        f"(1-r²: {report.cuped_variance_left_by_theory:.4f}).",
        f"Seed {report.seed}, {report.seconds} s.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
