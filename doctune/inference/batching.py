"""Concurrent requests decoded together, in one worker thread.

Continuous batching: all requests in flight take one token at a time, each with its own options, so
that requests which differ in seed, temperature or length share every pass over the weights. One
that has ended leaves at once and a waiting one takes its place. What its client has given up leaves
before the next token. The queue is bounded, so the wait is too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from doctune.inference.generation import Completion
from doctune.inference.options import GenerationOptions
from doctune.inference.sampling import Sampler, pick_tokens
from doctune.inference.text_stream import TextStream

if TYPE_CHECKING:
    from doctune.inference.decoding import Decoder
    from doctune.inference.generation import TextGenerator

# From here on the worker counts as broken, as after a fault of the accelerator: a restart helps.
FAILURES_UNTIL_UNHEALTHY = 3

logger = logging.getLogger("doctune.serving")


class QueueFullError(Exception):
    """There is no room for more requests; try again later."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A prompt to answer.

    `on_text` is called in the worker's thread with each new piece of the answer; it must not block.
    """

    prompt: list[int]  # token ids
    options: GenerationOptions
    stop: Sequence[str] = ()
    on_text: Callable[[str], None] | None = None


@dataclass(eq=False)
class Ticket:
    """A queued request: its answer to come, and how to cancel it."""

    request: Request
    answer: Future[Completion] = field(default_factory=Future)
    given_up: bool = False

    def cancel(self) -> None:
        """Cancels the request: it is not decoded any further."""
        self.given_up = True
        self.answer.cancel()


class Batcher:
    """A bounded queue of requests and the thread that answers them."""

    def __init__(
        self,
        generator: TextGenerator,
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
        self._waiting: deque[Ticket] = deque()
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
        since = self._busy_since
        silent = 0.0 if since is None else time.monotonic() - since
        if silent > self._stuck_seconds:
            return f"requests wait, but there has been no token for {silent:.0f} s"
        return ""

    def submit(self, requests: Sequence[Request]) -> list[Ticket]:
        """Queues requests: all of them or none.

        Raises:
            QueueFullError: They do not all fit.
        """
        tickets = [Ticket(request) for request in requests]
        with self._changed:
            self._waiting = deque(ticket for ticket in self._waiting if not ticket.given_up)
            if self._closed or len(self._waiting) + len(tickets) > self._max_waiting:
                raise QueueFullError
            self._waiting.extend(tickets)
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
        import torch

        with torch.inference_mode():
            flight = _Flight(self._generator)
            while self._wait(flight):
                self._busy_since = time.monotonic()
                try:
                    flight.remove_given_up()
                    for group in self._admitted(flight):
                        flight.join(group)
                    flight.step()
                    self._failures_in_a_row = 0
                except Exception as error:
                    self._failures_in_a_row += 1
                    logger.exception("A batch of %d could not be generated", len(flight))
                    flight.fail(error)
                    flight = _Flight(self._generator)

    def _wait(self, flight: _Flight) -> bool:
        """Returns once there is work; False when closed and nothing is left."""
        with self._changed:
            if not (len(flight) or self._waiting):
                self._busy_since = None
            self._changed.wait_for(lambda: len(flight) or self._waiting or self._closed)
            return bool(len(flight) or self._waiting)

    def _admitted(self, flight: _Flight) -> list[list[Ticket]]:
        """Takes requests from the queue, in groups whose prompts are prefilled together."""
        with self._changed:
            groups: list[list[Ticket]] = []
            joining = 0
            while self._waiting and len(flight) + joining < self._max_batch_size:
                ticket = self._waiting[0]
                if ticket.given_up:
                    self._waiting.popleft()
                    continue
                if not flight.has_room_for(ticket.request, [t for g in groups for t in g]):
                    break
                self._waiting.popleft()
                joining += 1
                size = self._generator.prefill_tokens // len(ticket.request.prompt)
                if groups and len(groups[-1]) < size:
                    groups[-1].append(ticket)
                else:
                    groups.append([ticket])
            return groups


class _Flight:
    """The requests that are being answered; row i of the decoder is `rows[i]`."""

    def __init__(self, generator: TextGenerator) -> None:
        self._generator = generator
        self._stops = generator.stop_tokens()
        self._decoder: Decoder = generator.decoder()
        self._rows: list[_Row] = []
        self._joining: list[Ticket] = []

    def __len__(self) -> int:
        return len(self._rows)

    def has_room_for(self, request: Request, joining: Sequence[Ticket]) -> bool:
        """Returns whether the cache has room for one more; the first request always fits."""
        everyone = [row.ticket.request for row in self._rows]
        everyone += [ticket.request for ticket in joining]
        if not everyone:
            return True
        if self._rows and not self._decoder.can_join:
            return False
        widest = max(self._decoder.widest, *(len(r.prompt) for r in [*everyone, request]))
        longest = max(r.options.max_new_tokens for r in [*everyone, request])
        return self._generator.rows_in_cache(widest, longest) > len(everyone)

    def join(self, tickets: list[Ticket]) -> None:
        """Reads prompts and adds them as rows."""
        self._joining = tickets
        requests = [ticket.request for ticket in tickets]
        self._decoder.reserve(
            max(
                request.options.max_new_tokens
                for request in [*requests, *(row.ticket.request for row in self._rows)]
            )
        )
        started = time.monotonic()
        rows = [_Row(ticket, self._generator, started) for ticket in tickets]
        self._decoder.join([r.prompt for r in requests], len(self._rows) + len(tickets))
        self._rows += rows
        self._joining = []

    def step(self) -> None:
        """Decodes one token for each row, and removes the rows that have ended."""
        if not self._rows:
            return
        tokens = pick_tokens(self._decoder.logits, [row.sampler for row in self._rows])
        ended = [
            number
            for number, (row, token) in enumerate(zip(self._rows, tokens, strict=True))
            if row.take(token, token in self._stops)
        ]
        self._leave(ended)
        if self._rows:
            self._decoder.step([row.tokens[-1] for row in self._rows])

    def remove_given_up(self) -> None:
        """Removes the rows whose request was cancelled."""
        self._leave([i for i, row in enumerate(self._rows) if row.ticket.given_up])

    def fail(self, error: Exception) -> None:
        """Fails every request that is waiting for an answer."""
        for ticket in [*(row.ticket for row in self._rows), *self._joining]:
            if not ticket.answer.done():
                ticket.answer.set_exception(error)

    def _leave(self, numbers: list[int]) -> None:
        if numbers:
            self._rows = [self._rows[number] for number in self._decoder.leave(numbers)]


class _Row:
    """The state of one answer that is being decoded."""

    def __init__(self, ticket: Ticket, generator: TextGenerator, started: float) -> None:
        self.ticket = ticket
        self.tokens: list[int] = []
        self.sampler = Sampler(ticket.request.options, generator.model.device)
        self._stream = TextStream(generator.decode, ticket.request.stop)
        self._started = started

    def take(self, token: int, is_end: bool) -> bool:
        """Adds a token; returns whether the answer has ended, in which case it has been given."""
        request = self.ticket.request
        if is_end:
            return self._end("stop")
        self.tokens.append(token)
        self._tell(self._stream.push(token))
        if self._stream.stopped:
            return self._end("stop")
        if len(self.tokens) == request.options.max_new_tokens:
            return self._end("length")
        return False

    def _end(self, finish_reason: str) -> bool:
        self._tell(self._stream.finish())
        completion = Completion(
            seconds=time.monotonic() - self._started,
            text=self._stream.text,
            prompt_tokens=len(self.ticket.request.prompt),
            completion_tokens=len(self.tokens),
            finish_reason="stop" if self._stream.stopped else finish_reason,
        )
        # A ticket may be given up between the last look and now.
        if not self.ticket.answer.done():
            self.ticket.answer.set_result(completion)
        return True

    def _tell(self, piece: str) -> None:
        if piece and self.ticket.request.on_text and not self.ticket.given_up:
            self.ticket.request.on_text(piece)
