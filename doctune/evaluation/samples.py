"""Metrics as sums over examples, which is what lets one bootstrap serve them all.

A metric of a whole test set is a function of sums: a mean is (sum of values) / (count), perplexity
exp(sum of nll / sum of tokens), corpus BLEU and chrF a formula over summed n-gram counts. A
`Sample` keeps one row of addends an example, so a resample is a weighted sum of rows, and 10,000
resamples are one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One metric on one model's answers.

    Attributes:
        addends: One row an example, one column a sum.
        score: From sums (..., columns) to the metric (...). NaN where it is undefined.
        basis: What it is counted in: values of different bases cannot be compared.
    """

    addends: Floats
    score: Callable[[Floats], Floats]
    basis: str = ""

    @property
    def value(self) -> float:
        """The metric over all examples."""
        return float(self.score(self.addends.sum(axis=0)))

    @property
    def examples(self) -> int:
        """How many examples have anything to add."""
        return int(self.addends.any(axis=1).sum())

    def each(self) -> Floats:
        """Returns the metric of each example by itself."""
        return self.score(self.addends)

    def select(self, chosen: npt.NDArray[np.bool_]) -> Sample:
        """Returns the same metric on some of the examples."""
        return replace(self, addends=self.addends[chosen])


def mean_sample(values: Sequence[float | None] | Floats) -> Sample:
    """Returns the mean of a value an example; None or NaN leaves the example out."""
    column = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    present = np.isfinite(column)
    addends = np.stack([np.where(present, column, 0.0), present.astype(np.float64)], axis=1)
    return Sample(addends=addends, score=_ratio)


def perplexity_sample(nll: Sequence[float], tokens: Sequence[int], *, basis: str = "") -> Sample:
    """Returns perplexity: each token counts the same, whichever example it is in.

    Args:
        basis: Digest of the tokens. Two tokenizers cut a text into different ones, and the model
            with the smaller pieces looks better.
    """
    addends = np.stack([np.asarray(nll, np.float64), np.asarray(tokens, np.float64)], axis=1)
    return Sample(addends=addends, score=_exp_ratio, basis=basis)


def bits_sample(nll: Sequence[float], sizes: Sequence[int]) -> Sample:
    """Returns bits a byte of the reference answers, which compares across tokenizers."""
    addends = np.stack([np.asarray(nll, np.float64), np.asarray(sizes, np.float64)], axis=1)
    addends[:, 0] /= np.log(2)
    return Sample(addends=addends, score=_ratio)


def _ratio(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


def _exp_ratio(sums: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.exp(_ratio(sums))
