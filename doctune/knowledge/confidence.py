"""How likely the documents answer a question: a logistic function of what the ranking shows.

Fitted on questions that were written for the purpose, answerable and not, on two corpora of other
kinds; `benchmarks/answers.py --calibrate` fits it again. A refusal is decided by this number, never
by a model's imitation of refusing.
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
        words: How many words the question has, stop words apart.
    """

    score: float
    margin: float
    covered: float
    covered_near: float
    unknown: float
    words: int


INTERCEPT = -6.0
WEIGHTS = {"score": 3.0, "margin": 0.5, "covered": 2.0, "covered_near": 1.0, "unknown": -3.0}


def confidence(signals: Signals) -> float:
    """Returns a probability."""
    total = INTERCEPT + sum(
        weight * float(getattr(signals, name)) for name, weight in WEIGHTS.items()
    )
    return 1 / (1 + math.exp(-total))
