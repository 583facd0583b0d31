"""Simulated users of very unequal activity, each with their own rate and speed.

The effect is added to a user's probability or to each value, so the true difference is known
exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from doctune.experiments.moments import ArmValue, Difference, Floats, Moments, compare
from doctune.experiments.quantiles import quantile_value

Kind = Literal["mean", "ratio", "returning", "share", "quantile", "cuped"]

# One user in a hundred sends some thirty times as many requests as the median user.
ACTIVITY_SPREAD = 1.5
MOST_REQUESTS = 500
# The correlation of a user's requests before and during the experiment, for CUPED.
CORRELATION = 0.7
QUANTILE = 0.95

_LATENCY_MS = 400.0
_MOST_TIMED_REQUESTS = 50
_REQUESTS_A_LOOK = 0.05  # of the median user who has arrived already


@dataclass(frozen=True)
class Course:
    """Many experiments, each analysed after every batch of users."""

    experiments: int = 2000
    users: int = 20_000
    batch: int = 500

    @property
    def looks(self) -> int:
        """The number of analyses per experiment."""
        return self.users // self.batch

    @property
    def users_at_looks(self) -> Floats:
        """The number of users at each analysis."""
        return np.arange(1, self.looks + 1, dtype=np.float64) * self.batch


def differences(
    kind: Kind, effect: float, course: Course, rng: np.random.Generator, *, chunk: int = 50
) -> list[Difference]:
    """Returns the differences at all looks, (experiments, looks), in chunks of experiments."""
    found = []
    for start in range(0, course.experiments, chunk):
        several = Course(min(chunk, course.experiments - start), course.users, course.batch)
        if kind == "returning":
            found.append(_returning_differences(effect, several, rng))
        elif kind == "quantile":
            found.append(_quantile_differences(effect, several, rng))
        else:
            found.append(_moment_differences(kind, effect, several, rng))
    return found


def activity(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Returns how many requests users send: most send one or two, a few very many."""
    drawn = rng.standard_normal(shape, dtype=np.float32)
    return np.minimum(np.ceil(np.exp(ACTIVITY_SPREAD * drawn)), MOST_REQUESTS).astype(np.int64)


def _moment_differences(
    kind: Kind, effect: float, course: Course, rng: np.random.Generator
) -> Difference:
    shape = (course.experiments, course.users)
    treated = rng.random(shape, dtype=np.float32) < 0.5
    columns = _columns(kind, effect, treated, rng)
    arms = [_cumulated(columns, arm, course) for arm in (~treated, treated)]
    return compare(arms[0], arms[1], cuped=kind == "cuped")


def _columns(
    kind: Kind, effect: float, treated: np.ndarray, rng: np.random.Generator
) -> dict[int, np.ndarray]:
    """Returns a metric's columns, by their place in `Moments`, one value a user."""
    shape = treated.shape
    if kind == "share":
        chance = 0.2 + 0.3 * rng.random(shape) + effect * treated
        return {0: (rng.random(shape) < chance).astype(np.float64)}
    if kind == "cuped":
        before, noise = rng.standard_normal(shape), rng.standard_normal(shape)
        value = CORRELATION * before + np.sqrt(1 - CORRELATION**2) * noise
        return {0: value + effect * treated, 2: before}
    requests = activity(rng, shape)
    if kind == "mean":
        return {0: requests + effect * treated}
    # Users differ in how often they are satisfied, the most active ones more than others.
    chance = rng.beta(4.0, 3.0, shape) * 0.8 + effect * treated
    return {0: rng.binomial(requests, chance).astype(np.float64), 1: requests.astype(np.float64)}


def _cumulated(columns: dict[int, np.ndarray], arm: np.ndarray, course: Course) -> Moments:
    shape = (course.experiments, course.looks, course.batch)
    weight = arm.reshape(shape).astype(np.float64)
    count = weight.sum(axis=2).cumsum(axis=1)
    sums = np.zeros((*count.shape, 4))
    products = np.zeros((*count.shape, 4, 4))
    # A column that is not given is 1 (denominators) or 0 (the covariate).
    for place in (1, 3):
        if place not in columns:
            sums[..., place] = count
            products[..., place, place] = count
    weighted = {place: column.reshape(shape) * weight for place, column in columns.items()}
    for place, column in weighted.items():
        sums[..., place] = column.sum(axis=2).cumsum(axis=1)
        for constant in {1, 3} - set(columns):
            products[..., place, constant] = products[..., constant, place] = sums[..., place]
        for other, second in weighted.items():
            if other <= place:
                together = np.einsum("elb,elb->el", column, second).cumsum(axis=1)
                products[..., place, other] = products[..., other, place] = together
    if 1 not in columns and 3 not in columns:
        products[..., 1, 3] = products[..., 3, 1] = count
    return Moments.from_sums(count, sums, products)


def _returning_differences(effect: float, course: Course, rng: np.random.Generator) -> Difference:
    """Returns differences for users who return: all users so far may send requests at each look."""
    shape = (course.experiments, course.users)
    treated = rng.random(shape, dtype=np.float32) < 0.5
    rates = np.minimum(np.exp(ACTIVITY_SPREAD * rng.standard_normal(shape)), 50.0)
    rates *= _REQUESTS_A_LOOK
    chance = rng.beta(4.0, 3.0, shape) * 0.8 + effect * treated
    totals, thumbs = np.zeros(shape), np.zeros(shape)
    sums = np.empty((2, course.looks, *shape[:1], 6))
    for look in range(course.looks):
        arrived = (look + 1) * course.batch
        new = rng.poisson(rates[:, :arrived])
        # Every user arrives with a request.
        new[:, arrived - course.batch :] += 1
        rows, users = np.nonzero(new)
        sent = new[rows, users]
        totals[rows, users] += sent
        thumbs[rows, users] += rng.binomial(sent, chance[rows, users])
        x, y = totals[:, :arrived], thumbs[:, :arrived]
        for arm in (0, 1):
            mine = treated[:, :arrived] == bool(arm)
            xs, ys = x * mine, y * mine
            parts = [mine, ys, xs, ys * y, ys * x, xs * x]
            sums[arm, look] = np.stack([part.sum(axis=1) for part in parts], axis=-1)
    arms = [_ratio_moments(np.moveaxis(sums[arm], 0, 1)) for arm in (0, 1)]
    return compare(arms[0], arms[1])


def _ratio_moments(sums: Floats) -> Moments:
    """Returns moments from counts, sums and products of numerators and denominators."""
    count, y, x, yy, yx, xx = np.moveaxis(sums, -1, 0)
    columns = np.zeros((*count.shape, 4))
    products = np.zeros((*count.shape, 4, 4))
    columns[..., 0], columns[..., 1], columns[..., 3] = y, x, count
    products[..., 0, 0], products[..., 1, 1], products[..., 3, 3] = yy, xx, count
    for first, second, value in ((0, 1, yx), (0, 3, y), (1, 3, x)):
        products[..., first, second] = products[..., second, first] = value
    return Moments.from_sums(count, columns, products)


def _quantile_differences(effect: float, course: Course, rng: np.random.Generator) -> Difference:
    parts = np.empty((3, 2, course.experiments, course.looks))
    for number in range(course.experiments):
        requests = np.minimum(activity(rng, (course.users,)), _MOST_TIMED_REQUESTS)
        treated = rng.random(course.users) < 0.5
        arrived_at = np.arange(course.users) // course.batch
        for arm in (0, 1):
            mine = treated == bool(arm)
            counts = requests[mine]
            owner = np.repeat(np.arange(counts.size), counts)
            # A slow user is slow on every request.
            slow = np.repeat(rng.standard_normal(counts.size) * 0.4, counts)
            values = _LATENCY_MS * np.exp(slow + 0.4 * rng.standard_normal(owner.size))
            values += effect * arm
            ends = np.concatenate([[0], np.cumsum(counts)])
            for look in range(course.looks):
                end = ends[np.searchsorted(arrived_at[mine], look, side="right")]
                seen = quantile_value(values[:end], owner[:end], QUANTILE)
                parts[:, arm, number, look] = seen.value, seen.variance, seen.count
    arms = [ArmValue(parts[0, arm], parts[1, arm], parts[2, arm]) for arm in (0, 1)]
    return Difference(arms[0], arms[1])
