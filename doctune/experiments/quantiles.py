"""Quantiles of values that come in clusters: one user's requests are alike.

The share of values below the quantile is a ratio metric over users, whose standard error the delta
method gives; that error, carried over to ranks, gives the quantile's own (the outer interval of
Deng, Knoblich and Lu, "Applying the Delta Method in Metric Analytics", KDD 2018, section 4.2),
without an estimate of the density.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from doctune.experiments.moments import ArmValue, Moments, ratio_value

_REACH = 1.96  # standard errors to either side from which the quantile's error is read


def quantile_value(values: ArrayLike, users: ArrayLike, quantile: float) -> ArmValue:
    """Returns a quantile of one arm, with the variance that the users' clusters make.

    Args:
        values: One a request.
        users: Whose request it is: whole numbers from 0.
        quantile: Between 0 and 1.
    """
    data = np.asarray(values, dtype=np.float64)
    owner = np.asarray(users)
    total = data.size
    requests = np.bincount(owner)
    requests_of = requests[requests > 0]
    middle = _rank(quantile, total)
    value = np.partition(data, middle)[middle]
    below = np.bincount(owner[data <= value], minlength=requests.size)[requests > 0]
    share = ratio_value(Moments.of(below, requests_of))
    error = float(np.sqrt(share.variance / share.count))
    low, high = (_rank(quantile + sign * _REACH * error, total) for sign in (-1, 1))
    ordered = np.partition(data, (low, high))
    spread = (ordered[high] - ordered[low]) / (2 * _REACH)
    return ArmValue(np.asarray(value), np.asarray(spread**2 * share.count), share.count)


def _rank(share: float, total: int) -> int:
    return int(min(max(np.ceil(share * total) - 1, 0), total - 1))
