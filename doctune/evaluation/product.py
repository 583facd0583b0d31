"""The ways in which the product may answer from documents, and what each makes of two answers.

- `quote`: the index quotes; no model has a say.
- `model`: the model's own words from the passages found.
- `hybrid`: the index decides whether the documents answer at all; the model's words stand where the
  passages shown bear them out, and the quotation where they do not.

Which one a product takes is measured (`quiz_scores.py`) and stored with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from doctune.evaluation.answer_accuracy import says_nothing

Answering = Literal["model", "quote", "hybrid"]
# In the order in which equals are chosen: what costs no model first.
WAYS_OF_ANSWERING: tuple[Answering, ...] = ("quote", "hybrid", "model")


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What quotation and model offer for one question; `words` without passages' numbers."""

    quoted: str
    words: str


def speaks_itself(way: Answering, offered: Offered, supported: Callable[[str], bool]) -> bool:
    """Says whether the model's words are the product's answer, and not the quotation.

    Args:
        supported: Whether the passages shown bear out some words.
    """
    if way != "hybrid":
        return way == "model"
    if says_nothing(offered.quoted) or says_nothing(offered.words) or not offered.words:
        return False
    return supported(offered.words)
