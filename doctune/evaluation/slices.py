"""Compares the models on slices of the test set, where the average may hide a loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.comparison import BASE, Gain, correct, gains_over
from doctune.evaluation.samples import Sample
from doctune.evaluation.test_set import Example

MOST_DOCUMENTS = 50


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Examples with the same kind, document or length of the reference answer."""

    by: str
    value: str
    examples: int
    scores: Mapping[str, float]  # METRIC_MODEL
    gains: tuple[Gain, ...]

    @property
    def name(self) -> str:
        """The display name of the slice: "kind table"."""
        return f"{self.by} {self.value}"

    def gain(self, metric: str, opponent: str = BASE) -> Gain | None:
        """Returns the gain over an opponent by a metric."""
        found = (g for g in self.gains if (g.metric, g.opponent) == (metric, opponent))
        return next(found, None)


def slice_gains(
    examples: Sequence[Example],
    models: Mapping[str, Mapping[str, Sample]],
    bootstrap: Bootstrap,
    *,
    min_examples: int,
) -> list[Slice]:
    """Compares the tuned model with the others on each slice that is large enough.

    The p-values are corrected by Holm's method over all slices, for each metric and opponent.
    """
    return gains_by_part(slice_members(examples), models, bootstrap, min_examples=min_examples)


def gains_by_part(
    members: Mapping[tuple[str, str], npt.NDArray[np.bool_]],
    models: Mapping[str, Mapping[str, Sample]],
    bootstrap: Bootstrap,
    *,
    min_examples: int,
) -> list[Slice]:
    """Compares as `slice_gains` does, on parts that are given by what is in them."""
    names: list[tuple[str, str, int, dict[str, float]]] = []
    found: list[list[Gain]] = []
    for (by, value), chosen in members.items():
        if chosen.sum() < min_examples:
            continue
        part = {
            model: {metric: sample.select(chosen) for metric, sample in samples.items()}
            for model, samples in models.items()
        }
        values = {
            f"{metric}_{model}": sample.value
            for model, samples in part.items()
            for metric, sample in samples.items()
            if np.isfinite(sample.value)
        }
        names.append((by, value, int(chosen.sum()), values))
        found.append(gains_over(part, bootstrap.select(chosen)))
    families: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for number, gains in enumerate(found):
        for place, gain in enumerate(gains):
            families[gain.metric, gain.opponent].append((number, place))
    for places in families.values():
        corrected = correct([found[number][place] for number, place in places])
        for (number, place), gain in zip(places, corrected, strict=True):
            found[number][place] = gain
    return [
        Slice(by=by, value=value, examples=count, scores=values, gains=tuple(gains))
        for (by, value, count, values), gains in zip(names, found, strict=True)
    ]


def slice_members(
    examples: Sequence[Example],
) -> dict[tuple[str, str], npt.NDArray[np.bool_]]:
    """Returns the examples of each slice, as masks.

    Lengths are thirds of the test set by the reference's number of words: short, medium, long.
    """
    words = np.array([len(example.reference.split()) for example in examples])
    first, second = np.quantile(words, [1 / 3, 2 / 3]) if len(words) else (0, 0)
    lengths = np.where(words <= first, "short", np.where(words <= second, "medium", "long"))
    members: dict[tuple[str, str], npt.NDArray[np.bool_]] = {}
    columns = {
        "kind": np.array([example.kind for example in examples]),
        "length": lengths,
        "document": np.array([example.document for example in examples]),
    }
    for by, column in columns.items():
        values, counts = np.unique(column, return_counts=True)
        for value in values[np.argsort(-counts, kind="stable")][:MOST_DOCUMENTS]:
            if value:
                members[by, str(value)] = column == value
    return members


def worst_slice(slices: Sequence[Slice], metric: str, opponent: str = BASE) -> Slice | None:
    """Returns the slice with the smallest gain."""
    with_gain = [
        (gain.value, number)
        for number, part in enumerate(slices)
        if (gain := part.gain(metric, opponent)) is not None and np.isfinite(gain.value)
    ]
    return slices[min(with_gain)[1]] if with_gain else None
