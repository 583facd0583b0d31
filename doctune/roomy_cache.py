"""A key-value cache with room to grow, so that a new token does not copy all earlier ones.

The dynamic cache of transformers concatenates at every step, which is a sixth of the time of a
decoding step at 32 rows of 100 tokens. This one writes into memory set aside for `room` more
tokens and moves only when that is used up.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer


class _RoomyLayer(DynamicLayer):
    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self._stores: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Adds the new tokens and returns the keys and values of all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old_keys: torch.Tensor = key_states[..., :0, :]
        old_values: torch.Tensor = value_states[..., :0, :]
        if self.keys is not None and self.values is not None and self.keys.numel():
            old_keys, old_values = self.keys, self.values
        used, added = old_keys.shape[-2], key_states.shape[-2]
        if not self._stores or used + added > self._stores[0].shape[-2]:
            self._stores = [self._grown(old, added) for old in (old_keys, old_values)]
        for store, states in zip(self._stores, (key_states, value_states), strict=True):
            store[..., used : used + added, :] = states
        self.keys, self.values = (store[..., : used + added, :] for store in self._stores)
        return self.keys, self.values

    def _grown(self, old: torch.Tensor, added: int) -> torch.Tensor:
        used = old.shape[-2]
        store = old.new_empty((*old.shape[:-2], used + added + self._room, old.shape[-1]))
        store[..., :used, :] = old
        return store

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keeps some of the rows."""
        if self.get_seq_length() > 0:
            used = self.get_seq_length()
            self._stores = [store[indices] for store in self._stores]
            self.keys, self.values = (store[..., :used, :] for store in self._stores)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeats each row; the room is set aside anew with the next tokens."""
        super().batch_repeat_interleave(repeats)
        self._stores = []


def roomy_cache(config: PretrainedConfig, room: int) -> DynamicCache:
    """Returns a cache for a model; layers of other kinds than full attention stay as they are.

    Args:
        room: How many tokens are expected after the prompt.
    """
    cache = DynamicCache(config=config)
    cache.layers = [
        _RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache
