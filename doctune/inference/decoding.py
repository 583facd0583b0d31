"""Continuous batching: rows join the batch, get one token a step, and leave when they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from doctune.inference.prefill import Prefill
from doctune.inference.prefix_cache import PrefixCache
from doctune.inference.slot_cache import SlotCache

SLACK_COLUMNS = 64  # room beyond the longest row, so that the cache is seldom moved to the front
_LEAST_SHARED_PREFIX = 8
_ALL = 1 << 40


class Decoder:
    """Rows in flight, numbered from 0; `logits` are those of each row's next token.

    Where a layer of the model sees only the last tokens, no row can join others: `can_join` says
    so, and rows join only when none is left.
    """

    def __init__(self, model: Any, prefix_tokens: int) -> None:
        """Makes a decoder without rows.

        Args:
            model: A causal language model in evaluation mode.
            prefix_tokens: Most tokens of beginnings that are kept, read, for later prompts.
        """
        self.can_join = SlotCache.suits(model.config)
        self.logits: torch.Tensor = torch.empty(0)
        self.prefixes = PrefixCache(prefix_tokens)
        self._model = model
        self._room = SLACK_COLUMNS  # columns of a row after its prompt
        self._widths: list[int] = []  # columns of each row when it joined
        self._cache: Any = None
        self._mask: torch.Tensor = torch.empty(0)

    def __len__(self) -> int:
        """Returns how many rows are in flight."""
        return len(self._widths)

    @property
    def widest(self) -> int:
        """Tokens of the longest prompt in flight, its padding included; 0 without rows."""
        return max(self._widths, default=0)

    def reserve(self, max_new_tokens: int) -> None:
        """Reserves tokens after the prompt, for the rows in flight and those that join next."""
        self._room = max_new_tokens + SLACK_COLUMNS

    def prefill(self, prompts: Sequence[list[int]], prefix: Sequence[int] = ()) -> Prefill:
        """Returns prompts that are still to be read.

        Args:
            prompts: Token ids, each with at least one token after the prefix.
            prefix: What every prompt begins with.
        """
        return Prefill(self._model, prompts, prefix, self.prefixes.get(tuple(prefix)))

    def read(self, prefill: Prefill, most_tokens: int = _ALL) -> bool:
        """Reads on; returns whether all is read. Where rows cannot join, it is read at once."""
        done = prefill.advance(most_tokens if self.can_join else _ALL)
        if prefill.prefix and prefill.read_prefix is not None:
            self.prefixes.put(prefill.prefix, prefill.read_prefix)
        return done

    def join(self, read: Prefill, most_rows: int) -> None:
        """Adds prompts that have been read as the last rows.

        Args:
            most_rows: Rows that memory is set aside for.
        """
        logits, mask = read.logits, read.mask
        joins = bool(self._widths)
        self._widths += [mask.shape[1]] * read.rows
        if self.can_join:
            if joins:
                self._trim()
            else:
                self._cache = self._cache or SlotCache(self._model.config)
            self._cache.append(read.cache, most_rows, self.widest + self._room)
        else:
            self._cache = read.cache
        if joins:
            mask = torch.cat(_of_one_width(self._mask, mask))
            logits = torch.cat([self.logits, logits])
        self._mask, self.logits = mask, logits

    def leave(self, rows: Sequence[int]) -> list[int]:
        """Removes rows; the last rows take their numbers.

        Returns:
            The former number of each row that stays.
        """
        gone = set(rows)
        kept = list(range(len(self) - len(gone)))
        late = iter([row for row in range(len(kept), len(self)) if row not in gone])
        kept = [next(late) if row in gone else row for row in kept]
        self._widths = [self._widths[row] for row in kept]
        chosen = torch.tensor(kept, dtype=torch.long, device=self._model.device)
        self._cache.batch_select_indices(chosen)
        self._mask, self.logits = self._mask[chosen], self.logits[chosen]
        return kept

    def step(self, tokens: Sequence[int]) -> None:
        """Gives each row its next token."""
        if self.can_join and self._cache.columns == self._cache.capacity:
            self._trim()
        mask = torch.cat([self._mask, self._mask.new_ones(len(self), 1)], dim=1)
        self.logits = self._model(
            input_ids=torch.tensor(tokens, device=self._model.device)[:, None],
            attention_mask=mask,
            position_ids=mask.sum(dim=1, keepdim=True) - 1,
            past_key_values=self._cache,
            use_cache=True,
        ).logits[:, -1]
        self._mask = mask

    def _trim(self) -> None:
        hidden = int(self._mask.any(dim=0).int().argmax())
        if hidden:
            self._cache.trim(hidden)
            self._mask = self._mask[:, hidden:]


def _of_one_width(*masks: torch.Tensor) -> list[torch.Tensor]:
    """Returns masks with hidden columns in front of the narrower ones."""
    widest = max(mask.shape[1] for mask in masks)
    return [
        torch.cat([mask.new_zeros(mask.shape[0], widest - mask.shape[1]), mask], dim=1)
        for mask in masks
    ]


def shared_prefix(model: Any, prompts: Sequence[list[int]]) -> list[int]:
    """Returns the common prefix of all prompts, or nothing where it is too short to pay.

    At least one token of each prompt is left over. Where a layer sees only the last tokens, padding
    within the prompt would count as seen, so nothing is shared.
    """
    if len(prompts) < 2 or not SlotCache.suits(model.config):
        return []
    least = min(len(prompt) for prompt in prompts) - 1
    first, last = min(prompts), max(prompts)  # in order, so these two differ the earliest
    shared = next((i for i in range(least) if first[i] != last[i]), least)
    return first[:shared] if shared >= _LEAST_SHARED_PREFIX else []
