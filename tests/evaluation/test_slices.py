"""Slices: who is in them, and that a loss on one is found behind a better average."""

import numpy as np
import pytest

from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.comparison import compare, correct
from doctune.evaluation.options import EvaluationOptions
from doctune.evaluation.samples import Sample, mean_sample
from doctune.evaluation.score_card import make_card
from doctune.evaluation.slices import Slice, slice_gains, slice_members, worst_slice
from doctune.evaluation.test_set import Example
from doctune.evaluation.verdict import Verdict, decide

KINDS = ("section", "definition", "table")


def make_examples(count: int) -> list[Example]:
    return [
        Example(
            index=index,
            prompt=({"role": "user", "content": f"Question {index}?"},),
            reference="word " * (1 + index % 9),
            kind=KINDS[index % 3],
            passage="",
            source={"file": f"manual-{index % 5}.pdf"},
        )
        for index in range(count)
    ]


def decide_on(tuned: np.ndarray, base: np.ndarray, seed: int = 0) -> tuple[Verdict, list[Slice]]:
    """Runs comparison, slices and verdict on made-up scores."""
    examples = make_examples(len(tuned))
    models: dict[str, dict[str, Sample]] = {
        "base": {"token_f1": mean_sample(base)},
        "tuned": {"token_f1": mean_sample(tuned)},
    }
    bootstrap = Bootstrap(resamples=1000, confidence=0.95, seed=seed)
    slices = slice_gains(examples, models, bootstrap, min_examples=8)
    card = make_card(
        compare(models, bootstrap),
        slices,
        {
            "primary_metric": "token_f1",
            "confidence": 0.95,
            "examples": len(examples),
            "test_digest": "",
            "created": "",
        },
    )
    return decide(card, EvaluationOptions(primary_metric="token_f1")), slices


def test_slices_are_kinds_documents_and_thirds_by_length() -> None:
    members = slice_members(make_examples(30))
    assert {by for by, _ in members} == {"kind", "document", "length"}
    for by in ("kind", "document", "length"):
        of_kind = [chosen for (slice_by, _), chosen in members.items() if slice_by == by]
        assert np.sum(of_kind, axis=0).tolist() == [1] * 30
    assert members["kind", "table"].sum() == 10


def test_a_planted_regression_is_caught_with_its_slice_named() -> None:
    noise = np.random.default_rng(4).normal(0, 0.05, size=90)
    base = np.full(90, 0.5)
    tuned = base + noise + np.where(np.arange(90) % 3 == 2, -0.15, 0.25)
    assert tuned.mean() > base.mean() + 0.1
    verdict, slices = decide_on(tuned, base)
    assert (verdict.outcome, verdict.passed) == ("lose", False)
    assert "but on the slice kind table (30 examples) token F1 is" in verdict.reason
    worst = worst_slice(slices, "token_f1")
    assert worst is not None
    assert worst.name == "kind table"


def test_the_same_gain_everywhere_passes() -> None:
    noise = np.random.default_rng(5).normal(0, 0.1, size=90)
    base = np.full(90, 0.5)
    verdict, _ = decide_on(base + noise + 0.2, base)
    assert verdict.outcome == "no_incumbent"


def test_small_slices_are_left_out() -> None:
    _, slices = decide_on(np.arange(24.0), np.arange(24.0))
    assert {part.by for part in slices} == {"kind", "length"}
    assert all(part.examples >= 8 for part in slices)


def test_holm_corrects_the_smallest_p_the_most() -> None:
    _, slices = decide_on(np.random.default_rng(1).normal(size=60), np.zeros(60))
    gains = [part.gains[0] for part in slices]
    order = sorted(range(len(gains)), key=lambda index: gains[index].p)
    corrected = [gains[index].p_corrected for index in order]
    assert corrected == sorted(corrected)
    assert corrected[0] == pytest.approx(min(1.0, gains[order[0]].p * len(gains)))
    assert correct([]) == []
