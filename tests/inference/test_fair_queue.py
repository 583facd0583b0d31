"""Callers take turns."""

import pytest

from doctune.inference.fair_queue import FairQueue


def queue(*items: str) -> FairQueue[str]:
    """Each item's first letter is its caller."""
    made: FairQueue[str] = FairQueue()
    for item in items:
        made.append(item[0], item)
    return made


def test_one_that_asks_much_does_not_hold_up_one_that_asks_little() -> None:
    waiting = queue("a1", "a2", "a3", "b1", "c1", "c2")
    assert [waiting.pop() for _ in range(len(waiting))] == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_a_newcomer_waits_for_one_of_each_at_most() -> None:
    waiting = queue("a1", "a2", "b1", "b2")
    waiting.pop()
    waiting.append("c", "c1")
    assert [waiting.pop() for _ in range(3)] == ["b1", "a2", "c1"]


def test_what_is_unwanted_leaves_with_its_lane() -> None:
    waiting = queue("a1", "a2", "b1")
    waiting.discard(lambda item: item.startswith("a"))
    assert list(waiting) == ["b1"]
    assert waiting.peek() == waiting.pop() == "b1"
    with pytest.raises(IndexError, match="empty"):
        waiting.peek()
