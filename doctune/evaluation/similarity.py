"""Semantic similarity by the sentence encoder of `doctune.inference.sentence_encoder`."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from doctune.evaluation.samples import Floats
from doctune.inference import sentence_encoder


def encoder_folder() -> Path | None:
    """Returns where the encoder's weights are, or None where the package is not installed."""
    if importlib.util.find_spec(sentence_encoder.PACKAGE) is None:
        return None
    return sentence_encoder.encoder_folder()


def embed(texts: Sequence[str], folder: Path) -> Floats:
    """Returns one row of length 1 a text."""
    return sentence_encoder.encode(texts, folder).astype(np.float64)


def similarities(first: Sequence[str], second: Sequence[str], *, folder: Path) -> Floats:
    """Returns the cosine of each pair of texts, from -1 to 1."""
    return np.einsum("ij,ij->i", embed(first, folder), embed(second, folder))
