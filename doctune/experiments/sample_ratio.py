"""Whether users came to the arms as they should have: a sequential test.

Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022): the ratio of
a Dirichlet mixture of multinomials to the one that the shares ask for is a martingale while the
assignment is right, so that one over it is a p-value at every look.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from doctune.experiments.moments import Floats

# A broken assignment is rare, and stopping for nothing costs a whole experiment.
MISMATCH_ALPHA = 0.001
# How closely the mixture keeps to the shares that are asked for: users' worth of belief in them.
CONCENTRATION = 100.0


def mismatch_log_ratio(
    counts: ArrayLike, shares: ArrayLike, concentration: float = CONCENTRATION
) -> Floats:
    """Returns the logarithm of the Bayes factor against the shares.

    Where the shares change, the logarithms of the stages add up.

    Args:
        counts: Users an arm, (..., arms).
        shares: What each arm should get of them, of any sum.
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
    """Returns the p-value at a look; the least of all looks is one too."""
    return np.exp(-np.maximum(mismatch_log_ratio(counts, shares, concentration), 0.0))


def users_to_detect(
    true_shares: ArrayLike, shares: ArrayLike, alpha: float = MISMATCH_ALPHA
) -> float:
    """Returns the number of users at which the expected counts themselves are a mismatch."""
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
