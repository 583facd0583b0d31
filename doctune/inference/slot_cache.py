"""A key-value cache whose rows are added and removed while the others are decoded.

The dynamic cache of transformers copies all tokens of all rows at every step and whenever a row
leaves, and no row can join it. Here memory is set aside once: a new token is written into its
column, a row that leaves is overwritten by the last one, and rows that join are written behind the
others. All rows end at the same column, so what differs in length differs on the left, where the
attention mask hides it.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer


class SlotCache(DynamicCache):
    """The keys and values of some rows, with room for more rows and more tokens."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config=config)
        self._slots = [SlotLayer() for _ in self.layers]
        self.layers = list(self._slots)

    @staticmethod
    def suits(config: PretrainedConfig) -> bool:
        """Returns whether every layer of a model sees all tokens, which rows that join need."""
        return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)

    @property
    def columns(self) -> int:
        """How many tokens each row holds, hidden ones included."""
        return self._slots[0].used

    @property
    def capacity(self) -> int:
        """How many tokens each row has room for."""
        return self._slots[0].capacity[1]

    def append(self, joining: DynamicCache, rows: int, columns: int) -> None:
        """Adds the rows of another cache.

        Args:
            rows: Room for so many rows in all is set aside, where there is less.
            columns: Room for so many tokens a row.
        """
        for layer, other in zip(self._slots, joining.layers, strict=True):
            layer.append(other, rows, columns)

    def trim(self, columns: int) -> None:
        """Drops the first columns, which the mask hides from every row."""
        for layer in self._slots:
            layer.trim(columns)


class SlotLayer(DynamicLayer):
    """One layer's keys and values: `[rows, heads, columns, size of a head]`."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = self.used = 0
        self._stores: list[torch.Tensor] = []

    @property
    def capacity(self) -> tuple[int, int]:
        """Rows and columns that there is memory for."""
        return (self._stores[0].shape[0], self._stores[0].shape[2]) if self._stores else (0, 0)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Adds tokens to every row and returns the keys and values of all."""
        end = self.used + key_states.shape[-2]
        for store, states in zip(self._stores, (key_states, value_states), strict=True):
            store[: self.rows, :, self.used : end] = states
        self.used = end
        self._show()
        return self.keys, self.values  # type: ignore[return-value] # both are there

    def append(self, joining: Any, rows: int, columns: int) -> None:
        """Adds a layer's rows, ending where the others end."""
        arriving, length = joining.keys.shape[0], joining.keys.shape[-2]
        if not self.rows:
            self.used = 0
        shift = max(0, length - self.used)  # a longer row moves the others to the right
        self.used += shift
        room = (max(rows, self.rows + arriving), max(columns, self.used))
        if room[0] > self.capacity[0] or room[1] > self.capacity[1]:
            self._stores = [self._moved(i, joining, room, shift) for i in range(2)]
        elif shift and self.rows:
            for store in self._stores:
                kept = store[: self.rows, :, : self.used - shift].clone()
                store[: self.rows, :, shift : self.used] = kept
                store[: self.rows, :, :shift] = 0
        end = self.rows + arriving
        for store, states in zip(self._stores, (joining.keys, joining.values), strict=True):
            store[self.rows : end, :, : self.used - length] = 0  # hidden, but never NaN
            store[self.rows : end, :, self.used - length : self.used] = states
        self.rows = end
        self.dtype, self.device, self.is_initialized = joining.dtype, joining.device, True
        self._show()

    def trim(self, columns: int) -> None:
        """Moves all but the first columns to the front."""
        for store in self._stores:
            kept = store[: self.rows, :, columns : self.used].clone()
            store[: self.rows, :, : self.used - columns] = kept
        self.used -= columns
        self._show()

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keeps some rows: `indices[i]`, which is `i` or more, becomes row `i`."""
        kept = indices.tolist()
        for to, row in enumerate(kept):
            if to != row:
                for store in self._stores:
                    store[to, :, : self.used] = store[row, :, : self.used]
        self.rows = len(kept)
        self._show()

    def _moved(self, which: int, joining: Any, room: tuple[int, int], shift: int) -> torch.Tensor:
        states = (joining.keys, joining.values)[which]
        store: torch.Tensor = states.new_empty(room[0], states.shape[1], room[1], states.shape[3])
        if self.rows:
            before = self._stores[which][: self.rows, :, : self.used - shift]
            store[: self.rows, :, :shift] = 0
            store[: self.rows, :, shift : self.used] = before
        return store

    def _show(self) -> None:
        self.keys, self.values = (store[: self.rows, :, : self.used] for store in self._stores)
