"""Sketches choose candidates without losing the best units."""

from pathlib import Path

import numpy as np
import pytest

from doctune.knowledge import KnowledgeIndex, index
from doctune.knowledge.sketches import Sketches


def test_a_sketch_estimates_products_to_within_a_tenth() -> None:
    random = np.random.default_rng(0)
    vectors = random.standard_normal((300, 384)).astype(np.float32)
    vectors *= 2 / np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = vectors[7] / 2 + 0.02 * random.standard_normal(384).astype(np.float32)
    asked /= np.linalg.norm(asked)
    estimate = Sketches(vectors.astype(np.float16)).products(asked)
    assert np.abs(estimate - vectors @ asked).mean() < 0.2
    assert int(estimate.argmax()) == 7


def test_dimensions_need_not_fill_words() -> None:
    vectors = np.eye(70, dtype=np.float16) + np.float16(0.01)
    vector = np.asarray(vectors[3], dtype=np.float32)
    assert Sketches(vectors).products(vector).shape == (70,)


@pytest.mark.parametrize(
    "question", ["How long is the motor covered?", "filter", "Who pays for a repair?"]
)
def test_a_large_index_ranks_as_a_small_one(
    index_folder: Path, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handbook = KnowledgeIndex(index_folder)
    exact = [(hit.number, hit.score) for hit in handbook.best(question, 10)]
    monkeypatch.setattr(index, "_EXACT_UNITS", 0)
    found = [(hit.number, hit.score) for hit in handbook.best(question, 10)]
    assert [number for number, _ in found] == [number for number, _ in exact]
    assert np.allclose([score for _, score in found], [score for _, score in exact], atol=1e-5)


def test_the_highest_come_first_and_of_equal_ones_the_first_row() -> None:
    scores = np.array([1, 3, 2, 3, -np.inf, 2], dtype=np.float32)
    assert index._highest(scores, 4).tolist() == [1, 3, 2, 5]
    assert index._highest(scores, 10).tolist() == [1, 3, 2, 5, 0, 4]
