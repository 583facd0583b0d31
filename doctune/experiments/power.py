"""How many users it takes to detect an effect, by the sequence and by the fixed-horizon test."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import optimize, special

from doctune.experiments.intervals import sequence_half_width

_FEWEST_USERS, _MOST_USERS = 2.0, 1e12


@dataclass(frozen=True)
class Need:
    """The number of users, both arms together."""

    sequential: int
    fixed: int


def users_needed(
    effect: float, unit_variance: float, *, alpha: float = 0.05, power: float = 0.8
) -> Need:
    """Returns how many users, half in each arm, it takes to detect an effect.

    For the sequence it is the number at which it has excluded zero with this power, if tuned to
    that number; it may exclude zero earlier.

    Args:
        effect: The difference, in the metric's unit.
        unit_variance: As `Difference.unit_variance`: twice the sum of the arms' variances.
    """
    if effect == 0:
        raise ValueError("an effect of 0 needs endless users")
    reserve = float(special.ndtri(power))
    critical = float(special.ndtri(1 - alpha / 2)) + reserve
    fixed = critical**2 * unit_variance / effect**2

    def short_of(users: float) -> float:
        error = math.sqrt(unit_variance / users)
        half = sequence_half_width(error, users, alpha, users)
        return half + reserve * error - abs(effect)

    if short_of(_FEWEST_USERS) <= 0:
        return Need(sequential=int(_FEWEST_USERS), fixed=math.ceil(fixed))
    sequential = optimize.brentq(short_of, _FEWEST_USERS, _MOST_USERS, xtol=0.5)
    return Need(sequential=math.ceil(sequential), fixed=math.ceil(fixed))


def smallest_effect(
    users: float, unit_variance: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Returns the smallest effect that the sequence detects with this many users."""
    error = math.sqrt(unit_variance / users)
    half = sequence_half_width(error, users, alpha, users)
    return half + float(special.ndtri(power)) * error
