"""Paired bootstrap: how far a metric, or a difference, could be from what this test set shows.

Clusters of examples (`clusters.py`) are drawn with replacement, the same draws for every model and
metric, so differences between models are paired. All resamples are weighted sums, done a block at a
time as one matrix product: 10,000 resamples of 1,000 examples, 14 metrics and 3 models take half a
second of one core, and at most a few times `BLOCK_CELLS` numbers of memory.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from doctune.evaluation.clusters import Clusters, effective_count, independent, sums_of_clusters
from doctune.evaluation.samples import Floats, Sample

BLOCK_CELLS = 4_000_000
# Below so many clusters the resamples are too few distinct ones for their tails to be read off.
FEW_CLUSTERS = 12

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Interval:
    """A confidence interval; `low` <= `high`, both NaN where it is undefined."""

    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Says whether all of the interval is on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Bootstrap:
    """The resampling of one test set.

    Attributes:
        resamples: How many times the test set is drawn again.
        confidence: Share of resamples that an interval holds.
        seed: The same seed gives the same intervals.
        clusters: What is drawn; None where the examples are independent.
    """

    resamples: int
    confidence: float
    seed: int
    clusters: Clusters | None = None

    def select(self, chosen: npt.NDArray[np.bool_]) -> Bootstrap:
        """Returns the resampling of some of the examples."""
        if self.clusters is None:
            return self
        return replace(self, clusters=self.clusters.select(chosen))

    def count(self, *samples: Sample) -> float:
        """Returns how many clusters of one size say as much as these samples, the least of them."""
        return min(effective_count(one, self._of(one).codes) for one in samples)

    def distributions(self, samples: Mapping[Name, Sample]) -> dict[Name, Floats]:
        """Returns each metric's value in every resample; all samples are of the same examples."""
        if not samples:
            return {}
        first, *others = samples.values()
        codes = self._of(first).codes
        if any(len(other.addends) != len(codes) for other in others):
            raise AssertionError("samples of different examples cannot be paired")
        sums = {name: sums_of_clusters(sample, codes) for name, sample in samples.items()}
        values: dict[Name, list[Floats]] = {name: [] for name in samples}
        for weights in self._weights(int(codes.max()) + 1):
            for name, sample in samples.items():
                values[name].append(sample.score(weights @ sums[name]))
        return {name: np.concatenate(parts) for name, parts in values.items()}

    def interval(self, distribution: Floats, count: float) -> Interval:
        """Returns the expanded percentile interval of a distribution, without undefined values.

        Resamples of few clusters vary too little, so the percentiles move outwards as Student's t
        does from the normal; of fewer than `FEW_CLUSTERS` no percentile lies that far out, and
        the interval reaches at least as far as Student's own.

        Args:
            count: How many clusters the metric is of, as `count` returns it.
        """
        defined = distribution[np.isfinite(distribution)]
        if not defined.size or count <= 1:
            return Interval(float("nan"), float("nan"))
        wide = _expanded(NormalDist().inv_cdf(0.5 + self.confidence / 2), count)
        tail = NormalDist().cdf(-wide)
        low, high = np.quantile(defined, [tail, 1 - tail])
        if count < FEW_CLUSTERS:
            middle, reach = float(defined.mean()), wide * float(defined.std())
            low, high = min(low, middle - reach), max(high, middle + reach)
        return Interval(float(low), float(high))

    def _of(self, sample: Sample) -> Clusters:
        return self.clusters or independent(len(sample.addends))

    def _weights(self, count: int) -> Iterator[Floats]:
        random = np.random.default_rng(self.seed)
        block = max(1, BLOCK_CELLS // count)
        for start in range(0, self.resamples, block):
            rows = min(block, self.resamples - start)
            drawn = random.integers(0, count, size=(rows, count))
            drawn += np.arange(rows)[:, None] * count
            counts = np.bincount(drawn.ravel(), minlength=rows * count)
            yield counts.reshape(rows, count).astype(np.float64)


def p_value(differences: Floats, count: float) -> float:
    """Returns the two-sided bootstrap p-value of "there is no difference", from 0 to 1.

    It is counted from the resamples. Where none of them crosses zero, counting can only say "less
    than 2 in all", which no correction for many comparisons would survive; there the tail of the
    normal distribution with the resamples' mean and spread goes on. For few clusters it grows as
    the intervals do.

    Args:
        count: How many clusters the differences are of, as `Bootstrap.count` returns it.
    """
    defined = differences[np.isfinite(differences)]
    if not defined.size or count <= 1:
        return 1.0
    least = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    counted = min(1.0, 2 * (least + 1) / (defined.size + 1))
    deviate = NormalDist().inv_cdf(1 - counted / 2)
    spread = float(defined.std())
    if not spread:
        return 1.0 if least else 0.0
    distance = abs(float(defined.mean())) / spread
    if count < FEW_CLUSTERS:
        deviate = min(deviate, distance) if least else distance
    elif not least:
        deviate = max(deviate, distance)
    return math.erfc(_shrunk(deviate, count) / math.sqrt(2))


def _expanded(deviate: float, count: float) -> float:
    """Returns the normal deviate at which resamples of so few clusters hold the same share.

    By Wallace's approximation of Student's t, and the factor sqrt(n / (n - 1)) by which the spread
    of resamples falls short.
    """
    freedom = _freedom(count)
    scaled = deviate * (8 * freedom + 3) / (8 * freedom + 1)
    student = math.sqrt(freedom * math.expm1(scaled**2 / freedom))
    return student * math.sqrt((freedom + 1) / freedom)


def _shrunk(deviate: float, count: float) -> float:
    """Returns the inverse of `_expanded`."""
    freedom = _freedom(count)
    student = deviate / math.sqrt((freedom + 1) / freedom)
    scaled = math.sqrt(freedom * math.log1p(student**2 / freedom))
    return scaled * (8 * freedom + 1) / (8 * freedom + 3)


def _freedom(count: float) -> float:
    # Of clusters of different sizes there may be as few as 1.1; below one degree of freedom
    # Student's t has no spread to speak of.
    return max(count - 1, 1.0)
