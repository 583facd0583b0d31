"""The ways in which the product may answer from documents.

- `quote`: a quotation from the index, without a model.
- `model`: the model's own words, from the retrieved passages.
- `hybrid`: the index decides whether the documents have an answer; then the model's words are used
  if the passages support them, and otherwise the quotation.

Which one a product takes is measured (`quiz_scores.py`) and stored with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from doctune.evaluation.answer_accuracy import says_nothing

Answering = Literal["model", "quote", "hybrid"]
# In order of preference among equals: those without a model first.
WAYS_OF_ANSWERING: tuple[Answering, ...] = ("quote", "hybrid", "model")


@dataclass(frozen=True, kw_only=True)
class Offered:
    """The quotation and the model's answer to a question; `words` has no passage numbers."""

    quoted: str
    words: str


def speaks_itself(way: Answering, offered: Offered, supported: Callable[[str], bool]) -> bool:
    """Returns whether the product's answer is the model's words, not the quotation.

    Args:
        supported: Whether the passages shown bear out some words.
    """
    if way != "hybrid":
        return way == "model"
    if says_nothing(offered.quoted) or says_nothing(offered.words):
        return False
    # A model that fails may give signs alone, which contradict no passage.
    if not any(sign.isalnum() for sign in offered.words):
        return False
    return supported(offered.words)
