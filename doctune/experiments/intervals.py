"""Intervals and p-values that are valid at every look, and fixed-horizon ones beside them.

- Asymptotic confidence sequences: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
  central limit theory and asymptotic confidence sequences" (Annals of Statistics, 2024), theorem
  2.2 (two-sided) and proposition B.1 (one-sided).
- Mixture SPRT: Johari, Koomen, Pekelis and Walsh, "Peeking at A/B Tests" (KDD 2017); its interval
  holds the effects that the test does not reject. The mixture over effects is normal, with standard
  deviation tau.

Both use a normal mixture. The confidence sequence derives tau from the standard deviation of the
data and from the number of users at which the interval should be tightest. The SPRT takes tau in
the metric's unit, which suits shares. All functions take arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from doctune.experiments.moments import Difference, Floats

# The default size of effects on a share: five percentage points.
SHARE_TAU = 0.05


@dataclass(frozen=True)
class Interval:
    """A confidence interval, and the p-value of the hypothesis that there is no difference."""

    lower: Floats
    upper: Floats
    p_value: Floats

    @property
    def excludes_zero(self) -> np.ndarray:
        """Whether the interval leaves out 0, that is, shows a difference."""
        return np.asarray((self.lower > 0) | (self.upper < 0))


def fixed_interval(difference: Difference, alpha: float = 0.05) -> Interval:
    """Returns Welch's interval, which is valid for one look at a time fixed in advance."""
    error = difference.standard_error
    freedom = np.maximum(difference.degrees_of_freedom, 1.0)
    half = special.stdtrit(freedom, 1 - alpha / 2) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = 2 * special.stdtr(freedom, -np.abs(difference.effect / error))
    return Interval(difference.effect - half, difference.effect + half, np.asarray(p_value))


def asymptotic_sequence(
    difference: Difference, alpha: float = 0.05, *, tightest_at: float
) -> Interval:
    """Returns the confidence sequence at a look.

    Args:
        tightest_at: Number of users, over both arms, at which the interval should be tightest;
            chosen before the first look.
    """
    mixture = _information(difference) * _rho_squared(tightest_at, alpha)
    return _mixture_interval(difference, mixture, alpha)


def mixture_sprt(
    difference: Difference, alpha: float = 0.05, *, tau: float = SHARE_TAU
) -> Interval:
    """Returns the interval of the mixture SPRT at a look, with its always-valid p-value.

    Args:
        tau: Standard deviation of the effects to expect, in the metric's unit; chosen before the
            first look.
    """
    with np.errstate(divide="ignore"):
        mixture = tau**2 / difference.variance
    return _mixture_interval(difference, mixture, alpha)


def one_sided_bound(
    difference: Difference,
    alpha: float = 0.05,
    *,
    tightest_at: float,
    side: Literal["lower", "upper"],
) -> Floats:
    """Returns a bound that holds at all looks at once with probability 1-alpha."""
    # A one-sided bound at alpha is tightest where a two-sided interval at 2 alpha would be.
    mixture = _information(difference) * _rho_squared(tightest_at, min(2 * alpha, 0.5))
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log1p(np.sqrt(mixture + 1) / (2 * alpha))
        half = difference.standard_error * np.sqrt(2 * (mixture + 1) / mixture * logarithm)
    return np.asarray(difference.effect + (half if side == "upper" else -half))


def sequence_half_width(
    standard_error: float, users: float, alpha: float, tightest_at: float
) -> float:
    """Returns half the width of the confidence sequence for two arms of equal size."""
    mixture = np.asarray(users) * _rho_squared(tightest_at, alpha)
    return float(standard_error * _factor(mixture, alpha))


def _mixture_interval(difference: Difference, mixture: Floats, alpha: float) -> Interval:
    """Returns a normal mixture's interval; `mixture` is its variance over the effect's."""
    effect, error = difference.effect, difference.standard_error
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        half = error * _factor(mixture, alpha)
        statistic = (effect / error) ** 2
        log_ratio = statistic / 2 * mixture / (mixture + 1) - np.log(mixture + 1) / 2
        p_value = np.exp(-np.maximum(log_ratio, 0.0))
    return Interval(effect - half, effect + half, np.asarray(p_value))


def _factor(mixture: Floats, alpha: float) -> Floats:
    """Returns half the width of the interval in standard errors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(np.sqrt(mixture + 1) / alpha)
        return np.asarray(np.sqrt(2 * (mixture + 1) / mixture * logarithm))


def _information(difference: Difference) -> Floats:
    """Returns the number of users, half of them in each arm, that would give the same variance.

    On this time scale the difference between the arms' means is a Brownian motion, even if the
    split between the arms changes during the experiment.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(difference.unit_variance / difference.variance)


def _rho_squared(tightest_at: float, alpha: float) -> float:
    """Returns the variance of the mixture that is best at a number of users (appendix B.2)."""
    logarithm = -2 * np.log(alpha)
    return float((logarithm + np.log(logarithm + 1)) / tightest_at)
