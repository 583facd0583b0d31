"""Is the champion a fair opponent on this test set? Only where both models know as much.

A champion that learnt a test document, if in an older edition, answers from memory what the new
model must find out; one that was trained on other documents does not know what the new one has
learnt. Documents that one of the two knows and the other does not are left out of their comparison,
and where too few examples are left the champion of other documents is none. Of the questions that
users ask only those are left out whose document the champion alone knows: what the new model has
learnt beyond the champion is what it is released for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.comparison import CHAMPION, TUNED, Comparison, compare
from doctune.evaluation.quiz import Quiz
from doctune.evaluation.samples import Sample
from doctune.evaluation.test_set import Example
from doctune.training_hashes import Hashes, TrainingHashes, hashes_of, read_training_hashes


@dataclass(frozen=True, kw_only=True)
class Fairness:
    """What champion and tuned model can be compared on.

    Attributes:
        kept: Whether each example, or question, counts.
        note: What was left out and why; "" where nothing was.
    """

    kept: npt.NDArray[np.bool_]
    note: str = ""

    @property
    def whole(self) -> bool:
        """Whether all of it counts."""
        return bool(self.kept.all())


def judge_fairness(examples: Sequence[Example], tuned: Path, champion: Path | None) -> Fairness:
    """Finds test examples whose documents only one of two models was trained on.

    A model from before `training_hashes.parquet` existed cannot be checked; the note says so.

    Args:
        tuned: The new model's folder.
        champion: The champion's folder; None if there is none.
    """
    everything = Fairness(kept=np.ones(len(examples), dtype=bool))
    if champion is None:
        return everything
    own, others = read_training_hashes(tuned), read_training_hashes(champion)
    if own is None or others is None:
        return replace(everything, note="what the champion has learnt is not known")
    runs = _runs_by_document(examples)
    unfair = {name for name, found in runs.items() if own.knows(found) != others.knows(found)}
    kept = np.array([example.document not in unfair for example in examples])
    shared = (
        f"{_shared_share(own, others):.0%} of the new model's documents are the champion's, too"
    )
    if kept.all():
        return replace(everything, note="" if _shared_share(own, others) == 1 else shared)
    left_out = int((~kept).sum())
    note = (
        f"against the champion {left_out} of {len(examples)} examples do not count: only one of "
        f"the two models has learnt {', '.join(sorted(unfair)[:3])}; {shared}"
    )
    return Fairness(kept=kept, note=note)


def judge_quiz_fairness(quiz: Quiz, tuned: Path, champion: Path | None) -> Fairness:
    """Finds the questions whose document the champion was trained on, and the new model was not.

    Args:
        tuned: The new model's folder.
        champion: The champion's folder; None if there is none.
    """
    everything = Fairness(kept=np.ones(len(quiz.items), dtype=bool))
    own = read_training_hashes(tuned) if champion else None
    others = read_training_hashes(champion) if champion else None
    if own is None or others is None:  # `judge_fairness` says that it is not known
        return everything
    texts: dict[str, list[str]] = {}
    for item in quiz.items:
        truth = item.truth.text if item.truth else ""
        texts.setdefault(item.question.source, []).extend((truth, item.question.fact))
    runs = {name: hashes_of(found) for name, found in texts.items() if name}
    unfair = {name for name, found in runs.items() if others.knows(found) and not own.knows(found)}
    if not unfair:
        return everything
    kept = np.array([item.question.source not in unfair for item in quiz.items])
    note = (
        f"against the champion {int((~kept).sum())} of {len(kept)} questions do not count: it "
        f"alone has learnt {', '.join(sorted(unfair)[:3])}"
    )
    return Fairness(kept=kept, note=note)


def compare_fairly(
    models: Mapping[str, Mapping[str, Sample]], bootstrap: Bootstrap, fairness: Fairness
) -> Comparison:
    """As `compare`, but compares with the champion only on the fair examples."""
    whole = compare(models, bootstrap)
    if fairness.whole or CHAMPION not in models:
        return whole
    others = tuple(gain for gain in whole.gains if gain.opponent != CHAMPION)
    if not fairness.kept.any():
        return replace(whole, gains=others)
    part = {
        model: {name: sample.select(fairness.kept) for name, sample in models[model].items()}
        for model in (CHAMPION, TUNED)
    }
    fair = compare(part, bootstrap.select(fairness.kept))
    return replace(whole, gains=(*others, *fair.gains))


def _runs_by_document(examples: Sequence[Example]) -> dict[str, Hashes]:
    texts: dict[str, list[str]] = {}
    for example in examples:
        texts.setdefault(example.document, []).extend((example.passage, example.reference))
    return {name: hashes_of(own) for name, own in texts.items()}


def _shared_share(own: TrainingHashes, others: TrainingHashes) -> float:
    """Returns the share of the new model's documents that the champion was trained on, too."""
    if not own.documents:
        return 1.0
    return sum(others.knows(runs) for runs in own.documents.values()) / len(own.documents)
