"""The probability that the documents answer a question: a logistic function of ranking signals.

Fitted on 285 questions that were written for the purpose, answerable and not, on three corpora of
other kinds (`benchmarks/questions/`). The threshold lies where few of the answerable are refused,
since an answer shows its source. A refusal is decided by this number, not by a model that has
learnt to refuse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals that show whether the documents answer a question.

    Attributes:
        score: Of the best unit.
        margin: How far the best unit is above the tenth.
        likeness: Of the best three units, the highest cosine with the question.
        said: Share of the question's words, by rarity, that one of the best three units says with
            its context, in these or in near words.
        lacking: The rarest word that none of the best three passages says, by its rarity.
        named: How nearly one of the best three units names what is asked for.
        decided: 1 where the rows of a table or an age settle a yes/no question by a rule.
        suited: 0 where the question asks for a figure, time, price, name, address or colour that
            none of them has, else 1.
    """

    score: float
    margin: float
    likeness: float
    said: float
    lacking: float
    named: float
    suited: float
    decided: float = 0.0


INTERCEPT = -10.75
WEIGHTS = {
    "score": 2.64,
    "margin": 1.09,
    "likeness": 1.01,
    "said": 1.04,
    "lacking": -1.04,
    "named": 2.0,
    "suited": 4.13,
    "decided": 2.0,  # set by hand: too few of the questions have it
}


def confidence(signals: Signals) -> float:
    """Returns a probability, rounded beyond what the batch of an encoding changes."""
    total = INTERCEPT + sum(
        weight * float(getattr(signals, name)) for name, weight in WEIGHTS.items()
    )
    return round(1 / (1 + math.exp(-total)), 6)
