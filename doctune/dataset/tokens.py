"""Counts tokens.

With the base model's tokenizer the count is exact. Without one it is estimated: one token for every
six characters of a word (rounded up), for each character of a script without spaces, and for each
punctuation mark. Against SmolLM2's tokenizer the estimate was between 13% too low (a handbook full
of part numbers) and 7% too high (quarterly reports): give a tokenizer if the budget is hard.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from doctune.dataset.text import words
from doctune.errors import DatasetError

_PUNCTUATION = re.compile(r"[^\w\s]")
_CHARACTERS_A_TOKEN = 6


class TokenCounter:
    """Counts tokens with a tokenizer, or by estimate.

    Args:
        tokenizer: None for the estimate; a folder or file with `tokenizer.json`; or an object with
            `encode(text)`, such as those of transformers and tokenizers.

    Raises:
        DatasetError: The path holds no tokenizer, or the library to read it is missing.
    """

    def __init__(self, tokenizer: Any = None) -> None:
        if isinstance(tokenizer, str | Path):
            tokenizer = _load(Path(tokenizer))
        self._tokenizer = tokenizer
        self.name = "estimate" if tokenizer is None else type(tokenizer).__name__
        self.count = lru_cache(maxsize=1 << 16)(self._count)

    def _count(self, text: str) -> int:
        if self._tokenizer is None:
            return estimate_tokens(text)
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return len(getattr(encoded, "ids", encoded))


def estimate_tokens(text: str) -> int:
    """Estimates the number of tokens of a text; see the module's docstring."""
    letters = sum(-(-len(word) // _CHARACTERS_A_TOKEN) for word in words(text))
    return letters + len(_PUNCTUATION.findall(text))


def _load(path: Path) -> Any:
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise DatasetError(f"{path} holds no tokenizer.json: give the base model's folder.")
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise DatasetError(
            "Counting with a tokenizer needs the package tokenizers: pip install tokenizers."
        ) from None
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain Exception
        raise DatasetError(f"{file} is not a tokenizer: {error}.") from error
