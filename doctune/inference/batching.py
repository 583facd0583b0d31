"""Concurrent requests decoded together, in one worker thread.

Static batches: the worker takes the first instance that waits, gives others a few milliseconds to
join it, and decodes those with the same options as one batch. Each answer goes out as soon as it
is complete, but a new instance waits until the running batch has ended. That costs latency under
load against continuous batching, and needs nothing but `generate`; the queue is bounded, so the
wait is too.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from doctune.inference.generation import Completion, GenerationOptions, Message

# Answers conversations; calls the last argument with the position and each answer when complete.
Generate = Callable[
    [list[Sequence[Message]], GenerationOptions, Callable[[int, Completion], None]], object
]

# From here on the worker counts as broken, as after a fault of the accelerator: a restart mends it.
FAILURES_UNTIL_UNHEALTHY = 3

logger = logging.getLogger("doctune.serving")


class QueueFullError(Exception):
    """There is no room for more instances; try again later."""


@dataclass(frozen=True)
class _Item:
    conversation: Sequence[Message]
    options: GenerationOptions
    answer: Future[Completion] = field(default_factory=Future)


class Batcher:
    """A bounded queue of conversations and the thread that answers them."""

    def __init__(
        self,
        generate: Generate,
        *,
        max_batch_size: int,
        max_waiting: int,
        wait_seconds: float,
    ) -> None:
        self._generate = generate
        self._max_batch_size, self._max_waiting = max_batch_size, max_waiting
        self._wait_seconds = wait_seconds
        self._waiting: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._failures_in_a_row = 0
        self._thread = threading.Thread(target=self._work, name="generation", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether batches succeed."""
        return self._failures_in_a_row < FAILURES_UNTIL_UNHEALTHY

    def submit(
        self, conversations: Sequence[Sequence[Message]], options: Sequence[GenerationOptions]
    ) -> list[Future[Completion]]:
        """Queues conversations, each with its options: all of them or none.

        Raises:
            QueueFullError: They do not all fit.
        """
        items = [
            _Item(conversation, _canonical(option))
            for conversation, option in zip(conversations, options, strict=True)
        ]
        with self._changed:
            if self._closed or len(self._waiting) + len(items) > self._max_waiting:
                raise QueueFullError
            self._waiting.extend(items)
            self._changed.notify_all()
        return [item.answer for item in items]

    def close(self, timeout: float) -> None:
        """Takes nothing more, answers what waits, and ends the thread.

        Args:
            timeout: Seconds to wait for that.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _work(self) -> None:
        while batch := self._next_batch():
            # A future that its client has given up is not decoded.
            live = [item for item in batch if item.answer.set_running_or_notify_cancel()]
            if live:
                self._answer(live)

    def _next_batch(self) -> list[_Item]:
        """Returns the next items to decode together; nothing when closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return []
            options = self._waiting[0].options
            deadline = time.monotonic() + self._wait_seconds
            while not self._closed and self._alike(options) < self._max_batch_size:
                if not self._changed.wait(deadline - time.monotonic()):
                    break
            chosen: list[_Item] = []
            kept: deque[_Item] = deque()
            for item in self._waiting:
                fits = item.options == options and len(chosen) < self._max_batch_size
                (chosen if fits else kept).append(item)
            self._waiting = kept
            return chosen

    def _alike(self, options: GenerationOptions) -> int:
        return sum(item.options == options for item in self._waiting)

    def _answer(self, items: list[_Item]) -> None:
        def on_answer(position: int, answer: Completion) -> None:
            items[position].answer.set_result(answer)

        try:
            self._generate([item.conversation for item in items], items[0].options, on_answer)
        except Exception as error:
            self._failures_in_a_row += 1
            logger.exception("A batch of %d could not be generated", len(items))
            for item in items:
                if not item.answer.done():
                    item.answer.set_exception(error)
            return
        self._failures_in_a_row = 0


def _canonical(options: GenerationOptions) -> GenerationOptions:
    """Returns options equal for requests that are decoded alike: greedy ones need no sampling."""
    if options.temperature > 0:
        return options
    return GenerationOptions(max_new_tokens=options.max_new_tokens)
