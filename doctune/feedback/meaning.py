"""Clusters questions by meaning, with the sentence encoder of the index."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from doctune.inference.sentence_encoder import encode, encoder_folder
from doctune.knowledge.store import read_record

# Cosine from which two questions ask the same, as the index takes it.
SAME_QUESTION = 0.62
# From here on they say the same in other words, numbers and names apart.
PARAPHRASE = 0.8
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def joined_by_meaning(
    questions: Sequence[str], encoder: Path, alike: float = SAME_QUESTION
) -> list[list[int]]:
    """Returns groups of indices; each question joins the first group whose first one it is like."""
    import numpy as np

    vectors = encode(list(questions), encoder)
    leaders: list[int] = []
    groups: list[list[int]] = []
    for at in range(len(questions)):
        if leaders:
            likeness = vectors[leaders] @ vectors[at]
            best = int(np.argmax(likeness))
            if likeness[best] >= alike:
                groups[best].append(at)
                continue
        leaders.append(at)
        groups.append([at])
    return groups


def grouping(index: Path) -> Callable[[Sequence[str]], list[list[int]]]:
    """Returns what joins questions that ask the same in other words, by the encoder of an index.

    Questions whose numbers differ do not ask the same, however alike their words are.
    """
    folder = encoder_folder(read_record(index).options.encoder)

    def group(questions: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = []
        for part in joined_by_meaning(questions, folder, PARAPHRASE):
            by_numbers: dict[tuple[str, ...], list[int]] = {}
            for at in part:
                by_numbers.setdefault(tuple(_NUMBER.findall(questions[at])), []).append(at)
            found += by_numbers.values()
        return found

    return group
