"""Detects whether users ask about topics that the documents do not cover."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# Below this cosine similarity, the nearest sentence of the documents counts as unrelated. The value
# is a guess that was not measured.
UNLIKE = 0.4


def unknown_questions(questions: Sequence[str], index: Path) -> tuple[int, int]:
    """Returns how many questions no sentence of the documents is like, and of how many.

    Raises:
        StorageError: There is no index in the folder.
    """
    from doctune.knowledge.index import KnowledgeIndex

    opened = KnowledgeIndex(index)
    unknown = 0
    for question in questions:
        _, likeness = opened.scores(question)
        unknown += float(likeness.max(initial=0.0)) < UNLIKE
    return unknown, len(questions)
