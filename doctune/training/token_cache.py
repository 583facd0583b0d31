"""Tokenised data sets, kept by the digest of all that they depend on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from doctune.artifacts import cache_folder
from doctune.digests import digest_file, digest_value
from doctune.files import atomic_path
from doctune.training.examples import (
    Example,
    TokenizedExamples,
    passages_of,
    read_conversations,
    tokenize_conversations,
    tokenize_passages,
)

logger = logging.getLogger("doctune.training")

# Part of the key: raise it when the same texts are to give other tokens.
_VERSION = 1


def tokenized_file(path: Path, tokenizer: Any, max_length: int) -> TokenizedExamples:
    """Returns the chat examples of a JSONL file as tokens, from the cache where they are known.

    Raises:
        DatasetError: The file is missing, empty or malformed.
    """
    kept = _place("chat", path, tokenizer, max_length)
    if (found := _read(kept)) is None:
        found = tokenize_conversations(read_conversations(path), tokenizer, max_length)
        _write(kept, found)
    return found


def tokenized_passages(path: Path, tokenizer: Any, max_length: int) -> TokenizedExamples:
    """Returns the distinct raw passages that a JSONL file's examples were made from, as tokens.

    Raises:
        DatasetError: The file is missing or malformed, or no example has a passage.
    """
    kept = _place("passages", path, tokenizer, max_length)
    if (found := _read(kept)) is None:
        found = tokenize_passages(passages_of(path), tokenizer, max_length)
        _write(kept, found)
    return found


def _place(kind: str, path: Path, tokenizer: Any, max_length: int) -> Path:
    parts = [
        *(_VERSION, kind, max_length, tokenizer.chat_template, tokenizer.eos_token),
        tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else tokenizer.name_or_path,
        digest_file(path) if path.is_file() else "",
    ]
    return cache_folder() / "tokens" / f"{digest_value(parts)}.npz"


def _read(path: Path) -> TokenizedExamples | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            ends = np.cumsum(file["lengths"])[:-1]
            ids = np.split(file["input_ids"], ends)
            taught = np.split(file["taught"], ends)
            cut, dropped = file["lost"].tolist()
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        logger.warning("The token cache %s is broken (%s); tokenising again", path, error)
        return None
    examples = [
        Example(tokens.tolist(), flags.tolist()) for tokens, flags in zip(ids, taught, strict=True)
    ]
    return TokenizedExamples(examples=examples, answers_cut=cut, dropped=dropped)


def _write(path: Path, tokenized: TokenizedExamples) -> None:
    examples = tokenized.examples
    if not examples:
        return
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                lengths=np.array([len(example.input_ids) for example in examples]),
                input_ids=np.concatenate([np.array(e.input_ids, np.int32) for e in examples]),
                taught=np.concatenate([np.array(e.taught, np.bool_) for e in examples]),
                lost=np.array([tokenized.answers_cut, tokenized.dropped]),
            )
    except OSError as error:
        logger.warning("The token cache %s cannot be written: %s", path.parent, error)
