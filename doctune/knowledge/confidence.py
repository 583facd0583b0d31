"""How likely the documents answer a question: a logistic function of what the ranking shows.

Fitted on questions that were written for the purpose, answerable and not, on two corpora of other
kinds. A refusal is decided by this number, never by a model's imitation of refusing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signals:
    """What tells whether the documents answer a question.

    Attributes:
        score: Of the best unit.
        margin: How far the best unit is above the tenth.
        covered: Share of the question's words, by rarity, that the best passage has.
        covered_near: The same of the best three passages together.
        unknown: Share of the question's words, by rarity, that stand in no document.
        likeness: Of the best three units' vectors, the highest.
        stated: Share of the question's words that a single unit of the best three has, the highest.
        suited: 0 where the question asks for a figure, time or price that none of them has, else 1.
    """

    score: float
    margin: float
    covered: float
    covered_near: float
    unknown: float
    likeness: float
    stated: float
    suited: float


INTERCEPT = -8.1
WEIGHTS = {
    "score": 3.0,
    "margin": 1.6,
    "covered": 1.1,
    "covered_near": 2.2,
    "unknown": -1.7,
    "stated": -3.3,  # which the score counts already
    "suited": 2.0,
}


def confidence(signals: Signals) -> float:
    """Returns a probability."""
    total = INTERCEPT + sum(
        weight * float(getattr(signals, name)) for name, weight in WEIGHTS.items()
    )
    return 1 / (1 + math.exp(-total))
