"""A queue in which callers take turns: one that asks much makes another wait for one of its own."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class FairQueue(Generic[_T]):
    """Items of several callers. The next one is the oldest of the caller whose turn it is."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[str, deque[_T]] = OrderedDict()  # in the order of their turns

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __iter__(self) -> Iterator[_T]:
        for lane in self._lanes.values():
            yield from lane

    def append(self, caller: str, item: _T) -> None:
        """Adds an item; a caller that has none waiting takes the last turn."""
        self._lanes.setdefault(caller, deque()).append(item)

    def peek(self) -> _T:
        """Returns the next item.

        Raises:
            IndexError: There is none.
        """
        for lane in self._lanes.values():
            return lane[0]
        raise IndexError("the queue is empty")

    def pop(self) -> _T:
        """Takes the next item; its caller's next turn comes after everyone else's."""
        caller, lane = next(iter(self._lanes.items()))
        item = lane.popleft()
        if lane:
            self._lanes.move_to_end(caller)
        else:
            del self._lanes[caller]
        return item

    def discard(self, unwanted: Callable[[_T], bool]) -> None:
        """Drops the items of which that is true."""
        kept = ((c, deque(i for i in lane if not unwanted(i))) for c, lane in self._lanes.items())
        self._lanes = OrderedDict((caller, lane) for caller, lane in kept if lane)
