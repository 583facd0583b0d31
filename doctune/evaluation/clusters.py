"""What the bootstrap draws: documents, or facts where all are of one document.

Phrasings of one fact are answered right or wrong together, and so, in part, are the facts of one
document. Drawn one by one they would count as so many independent witnesses, and intervals would
be too narrow by the design effect. So the highest level that there is more than one of is drawn
with replacement, whole: what varies below it comes along (Davison and Hinkley, Bootstrap Methods,
1997, 3.8). An interval from one document alone says nothing about others.
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
    """Which examples belong together.

    Attributes:
        documents: A number for each example's document.
        facts: A number for each example's fact.
    """

    documents: Codes
    facts: Codes

    @property
    def level(self) -> Level:
        """What is drawn."""
        if len(np.unique(self.documents)) > 1:
            return "document"
        return "fact" if len(np.unique(self.facts)) > 1 else "example"

    @property
    def codes(self) -> Codes:
        """The number of each example's cluster, from 0 without a gap."""
        if self.level == "example":
            return np.arange(len(self.facts))
        chosen = self.documents if self.level == "document" else self.facts
        codes: Codes = np.unique(chosen, return_inverse=True)[1]
        return codes

    def select(self, chosen: npt.NDArray[np.bool_]) -> Clusters:
        """Returns the clusters of some of the examples."""
        return Clusters(documents=self.documents[chosen], facts=self.facts[chosen])


def independent(examples: int) -> Clusters:
    """Returns clusters of one example each."""
    codes = np.arange(examples)
    return Clusters(documents=codes, facts=codes)


def clusters_of(examples: Sequence[Example]) -> Clusters:
    """Returns the clusters of a test set.

    Where the rows do not name their fact, examples of one document with the same answer are of one
    fact. Examples without a document are of one: nothing says that they are of several.
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
    """Returns how many clusters of one size would say as much as these.

    (sum n)^2 / (sum n^2) by Kish, with the examples that have anything to add: one large document
    beside small ones is hardly more than one.
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
