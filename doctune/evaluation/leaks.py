"""Detects leaks: training examples in the test set, which would invalidate all scores.

A test example leaks if a training example has the same question and answer: the same words after
normalization, or nearly (a share of `NEAR` of the five-word runs of both texts is common, for texts
of `LEAST_WORDS` words or more). Only the question, or only the answer, may be the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from doctune.errors import EvaluationError
from doctune.evaluation.test_set import Example, read_examples
from doctune.evaluation.text_metrics import normalize_answer

NEAR = 0.9
RUN_WORDS = 5
LEAST_WORDS = 12

_SHOWN_CHARACTERS = 120


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A test example and the training example that it repeats."""

    test: Example
    train: Example
    likeness: float  # 1: the same words


def find_leaks(test: Sequence[Example], train: Iterable[Example]) -> list[Leak]:
    """Returns the test examples that are in the training set, each with its closest match.

    Args:
        train: Iterated once; only leaks are kept in memory.
    """
    words = [_words(example) for example in test]
    same: dict[tuple[str, ...], list[int]] = defaultdict(list)
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    runs = [_runs(one) for one in words]
    for index, one in enumerate(words):
        same[tuple(one)].append(index)
        for run in runs[index]:
            holders[run].append(index)
    closest: dict[int, Leak] = {}
    for example in train:
        learnt = _words(example)
        for index in same.get(tuple(learnt), ()):
            closest[index] = Leak(test=test[index], train=example, likeness=1.0)
        seen = _runs(learnt)
        shared = Counter(index for run in seen for index in holders.get(run, ()))
        for index, count in shared.items():
            likeness = count / (len(seen) + len(runs[index]) - count)
            if likeness >= NEAR and (index not in closest or likeness > closest[index].likeness):
                closest[index] = Leak(test=test[index], train=example, likeness=likeness)
    return [closest[index] for index in sorted(closest)]


def refuse_leaks(test: Sequence[Example], train_path: Path) -> None:
    """Checks a test set for examples of the training set.

    Raises:
        EvaluationError: A test example is in the training set; the message shows it.
    """
    leaks = find_leaks(test, read_examples(train_path))
    if not leaks:
        return
    first = leaks[0]
    others = f" and {len(leaks) - 1} more" if len(leaks) > 1 else ""
    raise EvaluationError(
        f"The test set leaks: its example on line {first.test.index + 1}{others} is in the "
        f"training set ({train_path.name}, line {first.train.index + 1}, {first.likeness:.0%} "
        f'alike): "{_shown(first.test.question)}" -> "{_shown(first.test.reference)}". '
        "Split by document with prepare_dataset, or remove it from one side."
    )


def _words(example: Example) -> list[str]:
    return normalize_answer(f"{example.question} {example.reference}").split()


def _runs(words: Sequence[str]) -> set[tuple[str, ...]]:
    if len(words) < LEAST_WORDS:
        return set()
    return set(zip(*(words[start:] for start in range(RUN_WORDS)), strict=False))


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}..."
