"""Beginnings that prompts have in common, read once: a system turn, a template, earlier turns."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any

LEAST_TOKENS = 16  # a shorter beginning is not worth a place
_RECENT = 32  # prompts that a new one is compared with
_SEEN_BEFORE = 2  # earlier prompts that must begin so: a question asked twice is no constant part


class PrefixCache:
    """The keys and values of beginnings, by their tokens; the least recently used one goes first.

    Nobody has to say what is constant: a beginning that three prompts have had is kept.
    """

    def __init__(self, most_tokens: int) -> None:
        """
        Args:
            most_tokens: Tokens of all beginnings together.
        """
        self._most_tokens = most_tokens
        self._kept: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._recent: deque[tuple[int, ...]] = deque(maxlen=_RECENT)
        self.tokens = 0  # how many are kept

    def choose(self, prompt: Sequence[int]) -> tuple[int, ...]:
        """Returns the beginning to read a prompt with, () for none; it may still have to be read.

        At least one token of the prompt is left over.
        """
        whole = tuple(prompt)
        known = max((p for p in self._kept if _begins(whole, p)), key=len, default=())
        shared = sorted((_common(whole, other) for other in self._recent), reverse=True)
        self._recent.append(whole)
        often = shared[_SEEN_BEFORE - 1] if len(shared) >= _SEEN_BEFORE else 0
        if often >= len(known) + LEAST_TOKENS and often <= self._most_tokens:
            return whole[:often]
        return known

    def get(self, prefix: tuple[int, ...]) -> Any | None:
        """Returns the keys and values of a beginning; None where it has to be read."""
        if prefix in self._kept:
            self._kept.move_to_end(prefix)
        return self._kept.get(prefix)

    def put(self, prefix: tuple[int, ...], keys_and_values: Any) -> None:
        """Keeps a beginning, and lets go of old ones where there is no room."""
        self.tokens += 0 if prefix in self._kept else len(prefix)
        self._kept[prefix] = keys_and_values
        while len(self._kept) > 1 and self.tokens > self._most_tokens:
            self.tokens -= len(self._kept.popitem(last=False)[0])


def _begins(prompt: tuple[int, ...], prefix: tuple[int, ...]) -> bool:
    return len(prefix) < len(prompt) and prompt[: len(prefix)] == prefix


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Returns how many tokens both begin with, less than the length of either."""
    low, high = 0, min(len(one), len(other)) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
