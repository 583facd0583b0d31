"""The clusters that the bootstrap resamples: documents, or facts if there is only one document.

Answers to phrasings of one fact are correlated, and so, less strongly, are those to the facts of
one document. Resampled one by one, they would count as independent observations, and intervals
would be too narrow by the design effect. So the highest level with more than one cluster is
resampled, with all that is below it (Davison and Hinkley, Bootstrap Methods, 1997, 3.8). An
interval from a single document does not generalise to others.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from doctune.evaluation.samples import Floats, Sample
from doctune.evaluation.test_set import Example
from doctune.evaluation.text_metrics import normalize_answer

Codes = npt.NDArray[np.int64]
Level = Literal["document", "fact", "example"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clusters:
    """The clusters of examples.

    Attributes:
        documents: A number for each example's document.
        facts: A number for each example's fact.
    """

    documents: Codes
    facts: Codes

    @property
    def level(self) -> Level:
        """The level that is resampled."""
        if len(np.unique(self.documents)) > 1:
            return "document"
        return "fact" if len(np.unique(self.facts)) > 1 else "example"

    @property
    def codes(self) -> Codes:
        """The number of each example's cluster, from 0 without gaps."""
        if self.level == "example":
            return np.arange(len(self.facts))
        chosen = self.documents if self.level == "document" else self.facts
        codes: Codes = np.unique(chosen, return_inverse=True)[1]
        return codes

    def select(self, chosen: npt.NDArray[np.bool_]) -> Clusters:
        """Returns the clusters of a subset of the examples."""
        return Clusters(documents=self.documents[chosen], facts=self.facts[chosen])


def independent(examples: int) -> Clusters:
    """Returns clusters of one example each."""
    codes = np.arange(examples)
    return Clusters(documents=codes, facts=codes)


def clusters_of(examples: Sequence[Example]) -> Clusters:
    """Returns the clusters of a test set.

    If rows have no fact id, examples of a document with the same answer belong to one fact. All
    examples without a document count as one document, since nothing shows that they are several.
    """
    documents = _numbered([example.document for example in examples])
    facts = _numbered([_fact(example) for example in examples])
    return Clusters(documents=documents, facts=facts)


def sums_of_clusters(sample: Sample, codes: Codes) -> Floats:
    """Returns the sample's addends summed over each cluster."""
    sums = np.zeros((int(codes.max()) + 1, sample.addends.shape[1]))
    np.add.at(sums, codes, sample.addends)
    return sums


def effective_count(sample: Sample, codes: Codes) -> float:
    """Returns the effective number of clusters: of equal size, with the same information.

    It is Kish's (sum n)^2 / (sum n^2), over the examples that contribute: one large document with a
    few small ones is hardly more than one.
    """
    present = sample.addends.any(axis=1)
    if not present.any():
        return 0.0
    sizes = np.bincount(codes[present])
    return float(sizes.sum() ** 2 / np.square(sizes).sum())


def _fact(example: Example) -> tuple[str, str]:
    return example.document, example.fact or normalize_answer(example.reference)


def _numbered(keys: Sequence[Hashable]) -> Codes:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
