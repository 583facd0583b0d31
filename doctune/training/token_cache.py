"""An on-disk cache of tokenised data sets, keyed by the digest of their inputs.

Data sets are read, tokenised and written block by block, and memory-mapped for training: five bytes
a token in the page cache, which the workers of a machine share, instead of about forty-four as
Python objects in each of them.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from doctune.artifacts import cache_folder
from doctune.digests import digest_file, digest_value
from doctune.errors import TrainingError
from doctune.files import atomic_folder
from doctune.training.examples import (
    TokenizedExamples,
    TokenTable,
    read_conversations,
    read_passages,
    tokenize_conversations,
    tokenize_passages,
)

logger = logging.getLogger("doctune.training")

# Part of the key: raise it when tokenisation or the file format changes.
_VERSION = 2
# Texts that are tokenised and in memory at the same time.
_BLOCK = 4096
_DTYPES = {"input_ids": "<u4", "taught": "u1", "ends": "<i8"}
_COUNTS = "counts.json"

_T = TypeVar("_T")


def tokenized_file(path: Path, tokenizer: Any, max_length: int) -> TokenizedExamples:
    """Returns the tokenised chat examples of a JSONL file, from the cache if possible.

    Raises:
        DatasetError: The file is missing, empty or malformed.
    """
    kept = _place("chat", path, tokenizer, max_length)
    if (found := _read(kept)) is not None:
        return found
    blocks = _blocks(read_conversations(path))
    return _keep(kept, (tokenize_conversations(block, tokenizer, max_length) for block in blocks))


def tokenized_passages(path: Path, tokenizer: Any, max_length: int) -> TokenizedExamples:
    """Returns the tokenised distinct passages of a JSONL file's examples.

    Raises:
        DatasetError: The file is missing or malformed, or no example has a passage.
    """
    kept = _place("passages", path, tokenizer, max_length)
    if (found := _read(kept)) is not None:
        return found
    blocks = _blocks(read_passages(path))
    return _keep(kept, (tokenize_passages(block, tokenizer, max_length) for block in blocks))


def _blocks(items: Iterable[_T]) -> Iterator[list[_T]]:
    remaining = iter(items)
    while block := list(islice(remaining, _BLOCK)):
        yield block


def _place(kind: str, path: Path, tokenizer: Any, max_length: int) -> Path:
    parts = [
        *(_VERSION, kind, max_length, tokenizer.chat_template, tokenizer.eos_token),
        tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else tokenizer.name_or_path,
        digest_file(path) if path.is_file() else "",
    ]
    return cache_folder() / "tokens" / digest_value(parts)


def _keep(kept: Path, blocks: Iterable[TokenizedExamples]) -> TokenizedExamples:
    """Writes the blocks to the cache, or to a temporary folder if it is not writable."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=kept.parent):
            pass  # checked before, since the blocks can be iterated only once
    except OSError as error:
        logger.warning("The token cache %s cannot be written: %s", kept.parent, error)
        kept = Path(tempfile.mkdtemp(prefix="doctune-tokens-"), "tokens")
    with atomic_folder(kept, replace=False) as folder:
        _write(folder, blocks)
    found = _read(kept)
    if found is None:
        raise TrainingError(f"Tokens were written to {kept}, but cannot be read from there.")
    return found


def _write(folder: Path, blocks: Iterable[TokenizedExamples]) -> None:
    end, cut, dropped = 0, 0, 0
    with (
        (folder / "input_ids").open("wb") as input_ids,
        (folder / "taught").open("wb") as taught,
        (folder / "ends").open("wb") as ends,
    ):
        for block in blocks:
            cut, dropped = cut + block.answers_cut, dropped + block.dropped
            for example in block.examples:
                end += len(example.input_ids)
                input_ids.write(_bytes("input_ids", example.input_ids))
                taught.write(_bytes("taught", example.taught))
                ends.write(_bytes("ends", [end]))
    (folder / _COUNTS).write_text(json.dumps({"answers_cut": cut, "dropped": dropped}))


def _bytes(name: str, values: Any) -> bytes:
    return np.asarray(values, dtype=_DTYPES[name]).tobytes()


def _read(folder: Path) -> TokenizedExamples | None:
    if not folder.is_dir():
        return None
    try:
        counts = json.loads((folder / _COUNTS).read_text())
        ids, taught, ends = (_mapped(folder, name) for name in _DTYPES)
        if len(ids) != len(taught) or len(ids) != (int(ends[-1]) if len(ends) else 0):
            raise ValueError("its files do not match")
        cut, dropped = int(counts["answers_cut"]), int(counts["dropped"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("The token cache %s is broken (%s); tokenising again", folder, error)
        _discard(folder)
        return None
    return TokenizedExamples(
        examples=TokenTable(ids, taught, ends), answers_cut=cut, dropped=dropped
    )


def _mapped(folder: Path, name: str) -> npt.NDArray[Any]:
    path = folder / name
    if not path.stat().st_size:
        return np.empty(0, _DTYPES[name])  # an empty file cannot be mapped
    return np.memmap(path, dtype=_DTYPES[name], mode="r")


def _discard(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    folder.rmdir()
