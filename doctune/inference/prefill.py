"""Prompts that are read bit by bit, so that those who wait for their next token wait little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache


class Prefill:
    """Some prompts on their way into the batch.

    A lone prompt, and a beginning that is not known yet, are read in pieces; several prompts are
    short and are read in one pass. When all is read, `logits`, `cache` and `mask` hold the result.
    """

    def __init__(
        self,
        model: Any,
        prompts: Sequence[list[int]],
        prefix: Sequence[int] = (),
        read_prefix: DynamicCache | None = None,
    ) -> None:
        """
        Args:
            prompts: Token ids, each with at least one token after the prefix.
            prefix: What every prompt begins with.
            read_prefix: Its keys and values, where they are known.
        """
        self.logits: torch.Tensor = torch.empty(0)
        self.mask: torch.Tensor = torch.empty(0)
        self.cache = DynamicCache(config=model.config)
        self._model, self._prompts = model, prompts
        self.prefix = tuple(prefix)
        self.read_prefix = read_prefix
        self._new_prefix = DynamicCache(config=model.config)
        self._position = 0  # in the beginning, then in a lone prompt

    @property
    def rows(self) -> int:
        """How many prompts there are."""
        return len(self._prompts)

    @property
    def tokens(self) -> int:
        """How many tokens have to be computed."""
        shared = len(self.prefix)
        rest = sum(len(prompt) - shared for prompt in self._prompts)
        return rest + (shared if self.read_prefix is None else 0)

    def advance(self, most_tokens: int) -> bool:
        """Reads at most so many tokens of what is read in pieces; returns whether all is read."""
        if self.prefix and self.read_prefix is None:
            self._advance_prefix(most_tokens)
            return False
        if self.rows > 1:
            self._read_together()
            return True
        return self._advance_alone(most_tokens)

    def _advance_prefix(self, most_tokens: int) -> None:
        self._pass(self.prefix, self._new_prefix, most_tokens)
        if self._position == len(self.prefix):
            self.read_prefix, self._position = self._new_prefix, 0

    def _advance_alone(self, most_tokens: int) -> bool:
        (prompt,) = self._prompts
        if self._position == 0 and self.prefix:
            self._begin()
            self._position = len(self.prefix)
        logits = self._pass(prompt, self.cache, most_tokens)
        if self._position < len(prompt):
            return False
        self.logits = logits
        self.mask = torch.ones((1, len(prompt)), dtype=torch.long, device=self._model.device)
        return True

    def _pass(self, tokens: Sequence[int], cache: DynamicCache, most: int) -> torch.Tensor:
        """Reads the next tokens of one row; returns the logits after the last of them."""
        start, end = self._position, min(len(tokens), self._position + most)
        device = self._model.device
        logits: torch.Tensor = self._model(
            input_ids=torch.tensor([list(tokens[start:end])], device=device),
            attention_mask=torch.ones((1, end), dtype=torch.long, device=device),
            position_ids=torch.arange(start, end, device=device)[None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        self._position = end
        return logits

    def _read_together(self) -> None:
        self._begin()
        device, shared = self._model.device, len(self.prefix)
        width = max(len(prompt) for prompt in self._prompts) - shared
        # Padded on the left, between what is shared and the rest, so that all prompts end together.
        ids = torch.zeros((self.rows, width), dtype=torch.long)
        mask = torch.ones((self.rows, shared + width), dtype=torch.long)
        for prompt, line, present in zip(self._prompts, ids, mask, strict=True):
            rest = torch.tensor(prompt[shared:])
            line[width - len(rest) :] = rest
            present[shared : shared + width - len(rest)] = 0
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
        self.mask = mask.to(device)
        self.logits = self._model(
            input_ids=ids.to(device),
            attention_mask=self.mask,
            position_ids=positions.to(device),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]

    def _begin(self) -> None:
        """Lets every row begin with what is known."""
        if self.read_prefix is None:
            return
        layers: Any = self.cache.layers
        known: Any = self.read_prefix.layers
        for layer, one in zip(layers, known, strict=True):
            keys, values = one.keys, one.values
            layer.update(keys.expand(self.rows, -1, -1, -1), values.expand(self.rows, -1, -1, -1))
