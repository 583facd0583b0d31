"""The review queue: the answers that a person should review, the most informative first.

A down-vote counts two, a correction one and a half more, low faithfulness up to two; each of them
grows with the logarithm of how many say so, so that one angry user does not fill the queue. Where
some praise what others blame, that is marked, and half a point more.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache

from doctune.database.feedback import ReviewNeed
from doctune.database.feedback_rows import last_question
from doctune.database.tables import Feedback, Prediction
from doctune.dataset.text import normalise
from doctune.feedback.request import FAITHFULNESS, is_bad, is_good

_DOWN, _CORRECTION, _FAITHFULNESS, _DISAGREEMENT, _OTHER = 2.0, 1.5, 2.0, 0.5, 1.0
# Words that do not tell one question from another.
_EMPTY_WORDS = (
    "a an the is are was were be do does did of to in on at for with by and or it its this that "
    "there what which who how when where why can could should would will please tell me you i my "
    "about give say have has had need know want"
)
_EMPTY = frozenset(_EMPTY_WORDS.split())


@lru_cache(maxsize=65_536)
def question_cluster(question: str) -> str:
    """Returns what questions in nearly the same words share: their telling words, in any order."""
    telling = sorted(set(telling_words(question))) or normalise(question).split()
    return hashlib.sha256(" ".join(telling).encode()).hexdigest()[:32]


def telling_words(question: str) -> list[str]:
    """Returns the words of a question that tell it from others."""
    return [word for word in normalise(question).split() if word not in _EMPTY]


def review_need(prediction: Prediction, said: Sequence[Feedback]) -> ReviewNeed | None:
    """Returns whether somebody should look at an answer; None where nobody complains of it."""
    bad = [row for row in said if is_bad(row.kind, row.value)]
    if not bad:
        return None
    downs = sum(row.kind == "rating" for row in bad)
    corrections = [row for row in bad if row.kind == "correction"]
    doubts = [
        1 - float(row.value.get("score", 1.0))
        for row in bad
        if row.value.get("label") == FAITHFULNESS
    ]
    others = len(bad) - downs - len(corrections) - len(doubts)
    texts = {normalise(row.value["correction"] or "") for row in corrections}
    disagreement = len(texts) > 1 or any(is_good(row.kind, row.value) for row in said)
    priority = (
        _DOWN * math.log2(1 + downs)
        + _CORRECTION * math.log2(1 + len(corrections))
        + _FAITHFULNESS * max(doubts, default=0.0)
        + _OTHER * math.log2(1 + others)
        + _DISAGREEMENT * disagreement
    )
    question = last_question(prediction.messages)
    return ReviewNeed(
        question=question,
        cluster=question_cluster(question) if question else prediction.id,
        priority=priority,
        disagreement=disagreement,
    )
