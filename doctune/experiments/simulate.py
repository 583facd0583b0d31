"""Holds the inference against simulated experiments.

    python -m doctune.experiments.simulate [--json] [--seed N] [--experiments N] [--users N]

Each experiment is looked at after every batch of users, and stopped at the first look that finds a
difference. Reported are, for each kind of metric: how often that happens without any difference
(false positives, with the fixed-horizon test looked at likewise beside it), how often the interval
misses the true difference at any look (coverage), and how often and when known effects are found.
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
# Users at which the sequences are tightest.
TIGHTEST_AT = 5000
# True effects whose power is reported, in each metric's unit.
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
class Nothing:
    """What is found where there is no difference, and how often the truth is missed."""

    kind: str
    experiments: int
    false_positives: float  # looked at after every batch, by the sequence
    fixed_horizon_peeked: float  # the same looks, by the fixed-horizon interval
    fixed_horizon_once: float  # looked at once, at the end
    standard_error: float  # of a share of ALPHA among so many experiments


@dataclass(frozen=True)
class Something:
    """What is found of a true effect."""

    kind: str
    effect: float
    coverage: float  # share of experiments whose interval had the truth at every look
    power: float
    power_fixed_horizon: float
    median_users: float | None  # at which the sequence found it, of those that did
    planned_users: int  # by `users_needed`, for 80 %


@dataclass(frozen=True)
class Mismatch:
    """Assignments that are broken, and such as are not."""

    false_positives: float
    caught: float
    median_users: float
    theory_users: float


@dataclass(frozen=True)
class Report:
    """All of it."""

    seed: int
    users: int
    batch: int
    alpha: float
    nothing: tuple[Nothing, ...]
    something: tuple[Something, ...]
    mismatch_52_48: Mismatch
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
    nothing, something = [], []
    for number, kind in enumerate(KINDS):
        nothing.append(false_positives(kind, course, generators[3 * number]))
        for place, effect in enumerate(EFFECTS[kind], 1):
            rng = generators[3 * number + place]
            something.append(coverage_and_power(kind, effect, power_course, rng))
    return Report(
        seed=seed,
        users=course.users,
        batch=course.batch,
        alpha=ALPHA,
        nothing=tuple(nothing),
        something=tuple(something),
        mismatch_52_48=mismatch(course.experiments, 200, generators[-2]),
        cuped_variance_left=cuped_variance_left(course.users, generators[-1]),
        cuped_variance_left_by_theory=1 - CORRELATION**2,
        seconds=round(time.monotonic() - started, 1),
    )


def sequence(kind: Kind, difference: Difference) -> Interval:
    """Returns the interval that holds at every look, as experiments use it for a metric."""
    if kind == "share":
        return mixture_sprt(difference, ALPHA)
    return asymptotic_sequence(difference, ALPHA, tightest_at=TIGHTEST_AT)


def false_positives(kind: Kind, course: Course, rng: np.random.Generator) -> Nothing:
    """Returns how often a difference is found where there is none."""
    found = np.zeros(3)
    for difference in differences(kind, 0.0, course, rng):
        always = sequence(kind, difference).excludes_zero
        fixed = fixed_interval(difference, ALPHA).excludes_zero
        found += [always.any(axis=1).sum(), fixed.any(axis=1).sum(), fixed[:, -1].sum()]
    shares = found / course.experiments
    return Nothing(
        kind=kind,
        experiments=course.experiments,
        false_positives=float(shares[0]),
        fixed_horizon_peeked=float(shares[1]),
        fixed_horizon_once=float(shares[2]),
        standard_error=round(float(np.sqrt(ALPHA * (1 - ALPHA) / course.experiments)), 5),
    )


def coverage_and_power(
    kind: Kind, effect: float, course: Course, rng: np.random.Generator
) -> Something:
    """Returns how often a true effect is within the interval, and how often it is found."""
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
    return Something(
        kind=kind,
        effect=effect,
        coverage=round(1 - missed / course.experiments, 5),
        power=round(found / course.experiments, 5),
        power_fixed_horizon=round(found_fixed / course.experiments, 5),
        median_users=float(np.median(when)) if when else None,
        planned_users=users_needed(effect, float(np.mean(unit_variances)), alpha=ALPHA).sequential,
    )


def mismatch(experiments: int, batch: int, rng: np.random.Generator) -> Mismatch:
    """Returns how often, and after how many users, an assignment of 52 to 48 is caught."""
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
    return Mismatch(
        false_positives=float(np.isfinite(right).mean()),
        caught=float(np.isfinite(broken).mean()),
        median_users=float(np.median(broken)),
        theory_users=round(theory, 1),
    )


def cuped_variance_left(users: int, rng: np.random.Generator) -> float:
    """Returns what CUPED leaves of the variance, on data of a known correlation."""
    arms = []
    for _ in range(2):
        before, noise = rng.standard_normal((2, users))
        arms.append(
            Moments.of(CORRELATION * before + np.sqrt(1 - CORRELATION**2) * noise, covariate=before)
        )
    plain, adjusted = compare(*arms), compare(*arms, cuped=True)
    return round(float(adjusted.variance / plain.variance), 5)


def main(arguments: list[str] | None = None) -> int:
    """Prints the report."""
    parser = argparse.ArgumentParser(prog="python -m doctune.experiments.simulate")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--experiments", type=int, default=2000, help="without a difference")
    parser.add_argument("--with-effect", type=int, default=500, help="experiments an effect")
    parser.add_argument("--users", type=int, default=20_000, help="users an experiment")
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
    for row in report.nothing:
        lines.append(
            f"{row.kind:<10}{row.false_positives:>16.2%}{row.fixed_horizon_peeked:>15.2%}"
            f"{row.fixed_horizon_once:>13.2%}"
        )
    lines.append("")
    lines.append(
        f"{'metric':<10}{'effect':>8}{'coverage':>10}{'power':>8}{'fixed':>8}{'median users':>14}"
        f"{'planned':>9}"
    )
    for some in report.something:
        users = "-" if some.median_users is None else f"{some.median_users:.0f}"
        lines.append(
            f"{some.kind:<10}{some.effect:>8g}{some.coverage:>10.2%}{some.power:>8.1%}"
            f"{some.power_fixed_horizon:>8.1%}{users:>14}{some.planned_users:>9}"
        )
    broken = report.mismatch_52_48
    lines += [
        "",
        f"52/48 caught in {broken.caught:.1%} after {broken.median_users:.0f} users in the median "
        f"(theory: {broken.theory_users:.0f}); 50/50 stopped in {broken.false_positives:.2%}.",
        f"CUPED leaves {report.cuped_variance_left:.4f} of the variance "
        f"(1-r²: {report.cuped_variance_left_by_theory:.4f}).",
        f"Seed {report.seed}, {report.seconds} s.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
