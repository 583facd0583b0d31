"""Concurrent requests decoded together, in one worker thread.

Continuous batching: all requests in flight take one token at a time, each with its own options, so
that requests which differ in seed, temperature or length share every pass over the weights. One
that has ended leaves at once and a waiting one takes its place. What its client has given up leaves
before the next token. Long prompts are read in pieces between the tokens of others, and callers
take turns. The queue is bounded, so the wait is too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from doctune.inference.fair_queue import FairQueue
from doctune.inference.flight import Counts, Request, Ticket
from doctune.inference.generator import Generator, InFlight

# From here on the worker counts as broken, as after a fault of the accelerator: a restart helps.
FAILURES_UNTIL_UNHEALTHY = 3

logger = logging.getLogger("doctune.serving")

__all__ = ["BatchState", "Batcher", "Counts", "QueueFullError", "Request", "Ticket"]


class QueueFullError(Exception):
    """There is no room for more requests; try again later."""


@dataclass(frozen=True, kw_only=True)
class BatchState:
    """What a batcher does at a moment, and has done so far."""

    waiting: int
    running: int  # rows that get tokens, and prompts that are being read
    cached_tokens: int
    cache_bytes: int  # of these tokens
    cache_budget: int  # bytes
    silent_seconds: float  # since the last token, while there is work
    counts: Counts


class Batcher:
    """A bounded queue of requests and the thread that answers them."""

    def __init__(
        self,
        generator: Generator,
        *,
        max_batch_size: int,
        max_waiting: int,
        stuck_seconds: float = 120.0,
    ) -> None:
        """
        Args:
            max_batch_size: Most requests that are decoded together.
            max_waiting: Most that wait.
            stuck_seconds: With work but without a token for so long, the worker counts as stuck.
        """
        self._generator = generator
        self._stuck_seconds = stuck_seconds
        self._busy_since: float | None = None  # the last token, or when work came; None when idle
        self._max_batch_size, self._max_waiting = max_batch_size, max_waiting
        self._waiting: FairQueue[Ticket] = FairQueue()
        self._counts = Counts()
        self._flight: InFlight | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._failures_in_a_row = 0
        self._thread = threading.Thread(target=self._work, name="generation", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether batches succeed, and tokens come where there is work."""
        return not self.problem

    @property
    def problem(self) -> str:
        """What is wrong with the worker; "" where nothing is."""
        if self._failures_in_a_row >= FAILURES_UNTIL_UNHEALTHY:
            return "the last batches failed: see the server's log"
        silent = self._silent_seconds()
        if silent > self._stuck_seconds:
            return f"requests wait, but there has been no token for {silent:.0f} s"
        return ""

    def state(self) -> BatchState:
        """Returns what the worker does now and has done so far."""
        flight = self._flight
        cached = flight.cached_tokens if flight is not None else 0
        with self._changed:
            waiting = len(self._waiting)
        return BatchState(
            waiting=waiting,
            running=len(flight) if flight is not None else 0,
            cached_tokens=cached,
            cache_bytes=cached * self._generator.cache_bytes_per_token(),
            cache_budget=self._generator.cache_bytes,
            silent_seconds=self._silent_seconds(),
            counts=replace(self._counts),
        )

    def _silent_seconds(self) -> float:
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def submit(self, requests: Sequence[Request]) -> list[Ticket]:
        """Queues requests: all of them or none.

        Raises:
            QueueFullError: They do not all fit.
        """
        tickets = [Ticket(request) for request in requests]
        with self._changed:
            self._waiting.discard(lambda ticket: ticket.given_up)
            if self._closed or len(self._waiting) + len(tickets) > self._max_waiting:
                raise QueueFullError
            for ticket in tickets:
                self._waiting.append(ticket.request.caller, ticket)
            self._changed.notify_all()
        return tickets

    def close(self, timeout: float) -> None:
        """Refuses new requests, answers the queued ones, and ends the thread.

        Args:
            timeout: Seconds to wait for that.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _work(self) -> None:
        with self._generator.working():
            self._flight = flight = self._generator.flight(self._counts)
            while self._wait(flight):
                self._busy_since = time.monotonic()
                try:
                    flight.remove_given_up()
                    self._admit(flight)
                    flight.read()
                    flight.step()
                    self._failures_in_a_row = 0
                except Exception as error:
                    self._failures_in_a_row += 1
                    logger.exception("A batch of %d could not be generated", len(flight))
                    flight.fail(error)
                    self._flight = flight = self._generator.flight(self._counts)

    def _wait(self, flight: InFlight) -> bool:
        """Returns once there is work; False when closed and nothing is left."""
        with self._changed:
            if not (len(flight) or self._waiting):
                self._busy_since = None
            self._changed.wait_for(lambda: len(flight) or self._waiting or self._closed)
            return bool(len(flight) or self._waiting)

    def _admit(self, flight: InFlight) -> None:
        """Takes requests from the queue, as many as there is room for."""
        with self._changed:
            self._waiting.discard(lambda ticket: ticket.given_up)
            while self._waiting and len(flight) < self._max_batch_size:
                if not flight.has_room_for(self._waiting.peek().request):
                    break
                flight.enlist(self._waiting.pop())
