"""Quantiles of clustered values: requests of the same user are similar.

The share of values below the quantile is a ratio metric over users, whose standard error the delta
method gives; that error, carried over to ranks, gives the quantile's own (the outer interval of
Deng, Knoblich and Lu, "Applying the Delta Method in Metric Analytics", KDD 2018, section 4.2),
without an estimate of the density.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from doctune.experiments.moments import ArmValue

REACH = 1.96  # standard errors to either side from which the quantile's error is read


def quantile_value(values: ArrayLike, users: ArrayLike, quantile: float) -> ArmValue:
    """Returns a quantile of one arm, with its variance clustered by user.

    Args:
        values: One per request.
        users: The user of each request: whole numbers from 0.
        quantile: Between 0 and 1.
    """
    data = np.asarray(values, dtype=np.float64)
    owner = np.asarray(users)
    total = data.size
    requests = np.bincount(owner)
    middle = _rank(quantile, total)
    value = np.partition(data, middle)[middle]
    below = np.bincount(owner[data <= value], minlength=requests.size)
    count = int(np.count_nonzero(requests))
    # What each user adds to the share below; numbers without a request add nothing.
    residual = below - below.sum() / total * requests
    mean = total / count
    error = math.sqrt(float(residual @ residual) / max(count - 1, 1) / count) / mean
    low, high = (_rank(quantile + sign * REACH * error, total) for sign in (-1, 1))
    ordered = np.partition(data, (low, high))
    spread = (ordered[high] - ordered[low]) / (2 * REACH)
    return ArmValue(np.asarray(value), np.asarray(spread**2 * count), np.asarray(float(count)))


def quantile_error(
    users: float,
    requests: float,
    below: float,
    variance_requests: float,
    variance_below: float,
    covariance: float,
) -> float:
    """Returns the standard error of the share below, from sums and variances over users."""
    share, mean = below / requests, requests / users
    variance = variance_below - 2 * share * covariance + share**2 * variance_requests
    return math.sqrt(max(variance, 0.0) / users) / mean


def rank_share(share: float) -> float:
    """Returns a share of the ranks that is one."""
    return min(max(share, 0.0), 1.0)


def _rank(share: float, total: int) -> int:
    return int(min(max(np.ceil(share * total) - 1, 0), total - 1))
