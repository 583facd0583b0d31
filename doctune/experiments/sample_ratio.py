"""A sequential test for sample ratio mismatch.

Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022): while the
assignment is right, the likelihood ratio of a Dirichlet mixture of multinomials to the multinomial
of the intended shares is a martingale, so its inverse is an always-valid p-value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from doctune.experiments.moments import Floats

# A broken assignment is rare, and a false alarm costs a whole experiment.
MISMATCH_ALPHA = 0.001
# The concentration of the mixture around the intended shares, in users.
CONCENTRATION = 100.0


def mismatch_log_ratio(
    counts: ArrayLike, shares: ArrayLike, concentration: float = CONCENTRATION
) -> Floats:
    """Returns the logarithm of the Bayes factor against the intended shares.

    If the shares change, the logarithms of the stages are added.

    Args:
        counts: Users per arm, shape (..., arms).
        shares: The intended shares, with any sum.
    """
    seen = np.asarray(counts, dtype=np.float64)
    asked = np.asarray(shares, dtype=np.float64)
    asked = asked / asked.sum()
    prior = concentration * asked
    mixture = (
        special.gammaln(prior.sum())
        - special.gammaln(seen.sum(axis=-1) + prior.sum())
        + (special.gammaln(seen + prior) - special.gammaln(prior)).sum(axis=-1)
    )
    return np.asarray(mixture - (seen * np.log(asked)).sum(axis=-1))


def mismatch_p_value(
    counts: ArrayLike, shares: ArrayLike, concentration: float = CONCENTRATION
) -> Floats:
    """Returns the p-value now; the minimum over all looks is valid too."""
    return np.exp(-np.maximum(mismatch_log_ratio(counts, shares, concentration), 0.0))


def users_to_detect(
    true_shares: ArrayLike, shares: ArrayLike, alpha: float = MISMATCH_ALPHA
) -> float:
    """Returns the number of users at which a given mismatch is expected to be detected."""
    truth = np.asarray(true_shares, dtype=np.float64)
    truth = truth / truth.sum()

    def excess(users: float) -> float:
        return float(mismatch_log_ratio(users * truth, shares)) + float(np.log(alpha))

    most = 1000.0
    while excess(most) < 0:
        most *= 2
        if most > 1e12:
            return float("inf")
    return float(optimize.brentq(excess, 1.0, most))
