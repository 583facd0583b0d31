"""Requests in flight in OpenVINO GenAI, which batches, caches and samples by itself.

What it gives back are tokens; text, stop strings and streaming are ours, as for the native engine.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from doctune.inference.flight import AnswerRow, Counts, Request, Ticket
from doctune.inference.options import GenerationOptions
from doctune.inference.text_stream import Decode

BLOCK_TOKENS = 32  # OpenVINO's block of the key-value cache on a CPU


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model in OpenVINO."""

    pipeline: Any  # openvino_genai.ContinuousBatchingPipeline
    decode: Decode
    stops: frozenset[int]  # tokens that end a turn
    cache_blocks: int
    numbers: Iterator[int]  # of requests; none is given twice


class OpenVinoFlight:
    """The requests that OpenVINO answers; only the thread that made it may use it."""

    def __init__(self, model: Loaded, counts: Counts) -> None:
        self._model, self._counts = model, counts
        self._rows: list[_Row] = []

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def cached_tokens(self) -> int:
        """Tokens of the rows; what OpenVINO keeps of earlier prompts is not told."""
        rows = list(self._rows)
        return sum(len(row.ticket.request.prompt) + len(row.tokens) for row in rows)

    def has_room_for(self, request: Request) -> bool:
        """Returns whether the cache has room for one more; the first request always fits."""
        requests = [*(row.ticket.request for row in self._rows), request]
        blocks = sum(_blocks(one) for one in requests)
        return len(requests) == 1 or blocks <= self._model.cache_blocks

    def enlist(self, ticket: Ticket) -> None:
        """Hands a request over; its prompt is read in the next steps, in pieces."""
        import numpy as np
        import openvino

        request = ticket.request
        ticket.started = time.monotonic()
        prompt = openvino.Tensor(np.array([request.prompt], dtype=np.int64))
        config = _config(request.options, self._model.stops)
        handle = self._model.pipeline.add_request(next(self._model.numbers), prompt, config)
        self._rows.append(_Row(ticket, self._model.decode, handle))
        self._counts.prompt_tokens += len(request.prompt)

    def read(self) -> None:
        """Does nothing: `step` reads prompts, too."""

    def step(self) -> None:
        """Computes once, and answers the tickets that have ended.

        Raises:
            RuntimeError: OpenVINO could not, or has no room for a request.
        """
        if not self._rows:
            return
        self._model.pipeline.step()
        gained = [row for row in self._rows if row.collect(self._model.stops, self._counts)]
        self._counts.steps += bool(gained)
        self._counts.rows += len(gained)
        self._rows = [row for row in self._rows if not row.ended]

    def remove_given_up(self) -> None:
        """Cancels what its client has given up."""
        for row in self._rows:
            if row.ticket.given_up:
                row.handle.cancel()
        self._rows = [row for row in self._rows if not row.ticket.given_up]

    def fail(self, error: Exception) -> None:
        """Fails every request that is waiting for an answer."""
        for row in self._rows:
            row.handle.cancel()
            if not row.ticket.answer.done():
                row.ticket.answer.set_exception(error)
        self._rows = []


class _Row(AnswerRow):
    """An answer, and OpenVINO's handle on it."""

    def __init__(self, ticket: Ticket, decode: Decode, handle: Any) -> None:
        super().__init__(ticket, decode)
        self.handle = handle
        self.ended = False

    def collect(self, stops: frozenset[int], counts: Counts) -> bool:
        """Takes the tokens that have come; returns whether there were any."""
        import openvino_genai

        came = False
        while not self.ended and self.handle.can_read():
            for output in self.handle.read().values():
                for token in output.generated_ids:
                    came = True
                    counts.completion_tokens += token not in stops
                    if self.take(token, token in stops):
                        self.ended = True
                        # Where a stop string ends it, OpenVINO would go on.
                        self.handle.cancel()
                        break
        if not self.ended and self.handle.get_status() != openvino_genai.GenerationStatus.RUNNING:
            raise RuntimeError(f"OpenVINO gave up a request: {self.handle.get_status().name}")
        return came


def _blocks(request: Request) -> int:
    tokens = len(request.prompt) + request.options.max_new_tokens
    return -(-tokens // BLOCK_TOKENS) + 1


def _config(options: GenerationOptions, stops: frozenset[int]) -> Any:
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = options.max_new_tokens
    config.stop_token_ids = set(stops)
    if options.temperature > 0:
        config.do_sample = True
        config.temperature = options.temperature
        config.top_p = options.top_p
        # Its own default is one seed for all.
        config.rng_seed = secrets.randbits(63) if options.seed is None else options.seed
    return config
