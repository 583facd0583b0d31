"""Means and ratios over users, with variances by the delta method, and CUPED.

The unit of analysis is the user: the sum over one user's requests is one observation, however
active the user is. A ratio metric (thumbs up over ratings) is the quotient of two such sums; its
variance comes from the delta method (Deng, Knoblich and Lu, "Applying the Delta Method in Metric
Analytics", KDD 2018). CUPED (Deng et al., "Improving the Sensitivity of Online Controlled
Experiments by Utilizing Pre-Experiment Data", WSDM 2013) subtracts what the
user's behaviour before the experiment already explains.

All functions take one experiment or an array of them: leading axes are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_COLUMNS = 4  # numerator, denominator, covariate's numerator, covariate's denominator
_METRIC = slice(0, 2)
_COVARIATE = slice(2, 4)


@dataclass(frozen=True)
class Moments:
    """The number of users, and the means and sample covariances of a metric's four columns."""

    count: Floats  # (...)
    mean: Floats  # (..., 4)
    covariance: Floats  # (..., 4, 4)

    @classmethod
    def of(
        cls,
        numerator: ArrayLike,
        denominator: ArrayLike | None = None,
        covariate: ArrayLike | None = None,
        covariate_denominator: ArrayLike | None = None,
    ) -> Moments:
        """Returns the moments of one arm's users.

        Args:
            numerator: One value per user.
            denominator: One value per user, for a ratio metric; None means 1: a mean.
            covariate: The metric's numerator before the experiment, for CUPED.
            covariate_denominator: The covariate's denominator; None means 1.
        """
        first = np.asarray(numerator, dtype=np.float64)
        columns = np.empty((first.shape[0], _COLUMNS))
        columns[:, 0] = first
        columns[:, 1] = 1.0 if denominator is None else np.asarray(denominator, dtype=np.float64)
        columns[:, 2] = 0.0 if covariate is None else np.asarray(covariate, dtype=np.float64)
        given = covariate_denominator
        columns[:, 3] = 1.0 if given is None else np.asarray(given, dtype=np.float64)
        mean = columns.mean(axis=0)
        centred = columns - mean
        divisor = max(first.shape[0] - 1, 1)
        return cls(np.asarray(float(first.shape[0])), mean, centred.T @ centred / divisor)

    @classmethod
    def from_sums(cls, count: ArrayLike, sums: ArrayLike, products: ArrayLike) -> Moments:
        """Returns the moments from sums over users.

        Args:
            count: The number of users, shape (...).
            sums: Sums of the four columns, shape (..., 4).
            products: Sums of the products of each two columns, shape (..., 4, 4).
        """
        users = np.asarray(count, dtype=np.float64)
        safe = np.maximum(users, 1.0)[..., None]
        mean = np.asarray(sums, dtype=np.float64) / safe
        outer = mean[..., :, None] * mean[..., None, :] * users[..., None, None]
        divisor = np.maximum(users - 1.0, 1.0)[..., None, None]
        return cls(users, mean, (np.asarray(products, dtype=np.float64) - outer) / divisor)

    def __add__(self, other: Moments) -> Moments:
        """Returns the moments of both groups of users combined."""
        count = self.count + other.count
        mean = (
            self.count[..., None] * self.mean + other.count[..., None] * other.mean
        ) / np.maximum(count, 1.0)[..., None]
        distance = self.mean - other.mean
        between = distance[..., :, None] * distance[..., None, :]
        weight = (self.count * other.count / np.maximum(count, 1.0))[..., None, None]
        within = (
            np.maximum(self.count - 1, 0)[..., None, None] * self.covariance
            + np.maximum(other.count - 1, 0)[..., None, None] * other.covariance
        )
        divisor = np.maximum(count - 1.0, 1.0)[..., None, None]
        return Moments(count, mean, (within + weight * between) / divisor)


@dataclass(frozen=True)
class ArmValue:
    """A metric's value in one arm. `variance` is per user: that of the value is variance/count."""

    value: Floats
    variance: Floats
    count: Floats


@dataclass(frozen=True)
class Difference:
    """The treatment's value minus `factor` times the control's.

    `factor` is 1 for a plain difference. With 1 + m, a difference below 0 means that the treatment
    exceeds the control by less than a share of m, which is what non-inferiority tests ask.
    """

    control: ArmValue
    treatment: ArmValue
    factor: float = 1.0

    @property
    def effect(self) -> Floats:
        """The difference."""
        return self.treatment.value - self.factor * self.control.value

    @property
    def variance(self) -> Floats:
        """The variance of the difference."""
        return self._treatment_part + self._control_part

    @property
    def standard_error(self) -> Floats:
        """The standard error of the difference."""
        return np.sqrt(self.variance)

    @property
    def unit_variance(self) -> Floats:
        """The variance times the number of users, if each arm had half of them."""
        return 2.0 * (self.treatment.variance + self.factor**2 * self.control.variance)

    @property
    def degrees_of_freedom(self) -> Floats:
        """Welch's degrees of freedom, for the fixed-horizon test."""
        first, second = self._treatment_part, self._control_part
        with np.errstate(divide="ignore", invalid="ignore"):
            return (first + second) ** 2 / (
                first**2 / (self.treatment.count - 1) + second**2 / (self.control.count - 1)
            )

    @property
    def _treatment_part(self) -> Floats:
        return self.treatment.variance / np.maximum(self.treatment.count, 1.0)

    @property
    def _control_part(self) -> Floats:
        return self.factor**2 * self.control.variance / np.maximum(self.control.count, 1.0)


def ratio_value(moments: Moments) -> ArmValue:
    """Returns a metric's mean or ratio in one arm."""
    gradient = _gradient(moments, _METRIC)
    return ArmValue(
        _quotient(moments, _METRIC),
        _quadratic(gradient, moments.covariance[..., _METRIC, _METRIC], gradient),
        moments.count,
    )


def compare(
    control: Moments, treatment: Moments, *, cuped: bool = False, factor: float = 1.0
) -> Difference:
    """Returns the difference between two arms.

    Args:
        cuped: Subtract what the covariates explain, with one coefficient for both arms.
        factor: As in `Difference`.
    """
    if not cuped:
        return Difference(ratio_value(control), ratio_value(treatment), factor)
    both = control + treatment
    coefficient = cuped_coefficient(both)
    centre = _quotient(both, _COVARIATE)
    adjusted = [_adjusted(arm, coefficient, centre) for arm in (control, treatment)]
    return Difference(adjusted[0], adjusted[1], factor)


def cuped_coefficient(moments: Moments) -> Floats:
    """Returns the regression coefficient of a metric on its covariate, 0 if that is constant."""
    metric, covariate = _gradient(moments, _METRIC), _gradient(moments, _COVARIATE)
    of_covariate = moments.covariance[..., _COVARIATE, _COVARIATE]
    variance = _quadratic(covariate, of_covariate, covariate)
    shared = _quadratic(metric, moments.covariance[..., _METRIC, _COVARIATE], covariate)
    return np.divide(shared, variance, out=np.zeros_like(shared), where=variance > 0)


def _adjusted(moments: Moments, coefficient: Floats, centre: Floats) -> ArmValue:
    plain = ratio_value(moments)
    metric, covariate = _gradient(moments, _METRIC), _gradient(moments, _COVARIATE)
    own = _quadratic(covariate, moments.covariance[..., _COVARIATE, _COVARIATE], covariate)
    shared = _quadratic(metric, moments.covariance[..., _METRIC, _COVARIATE], covariate)
    return ArmValue(
        plain.value - coefficient * (_quotient(moments, _COVARIATE) - centre),
        plain.variance + coefficient**2 * own - 2 * coefficient * shared,
        moments.count,
    )


def _quotient(moments: Moments, columns: slice) -> Floats:
    mean = moments.mean[..., columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(mean[..., 0] / mean[..., 1])


def _gradient(moments: Moments, columns: slice) -> Floats:
    mean = moments.mean[..., columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([1.0 / mean[..., 1], -mean[..., 0] / mean[..., 1] ** 2], axis=-1)


def _quadratic(left: Floats, matrix: Floats, right: Floats) -> Floats:
    return np.asarray(np.einsum("...i,...ij,...j->...", left, matrix, right))
