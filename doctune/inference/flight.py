"""The requests that are being answered: prompts that are read, and rows that get tokens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from doctune.inference.completion import Completion
from doctune.inference.options import GenerationOptions
from doctune.inference.sampling import Sampler, pick_tokens
from doctune.inference.text_stream import Decode, TextStream

if TYPE_CHECKING:
    from doctune.inference.decoding import Decoder
    from doctune.inference.prefill import Prefill


@dataclass(frozen=True, kw_only=True)
class Request:
    """A prompt to answer.

    `on_text` is called in the worker's thread with each new piece of the answer; it must not block.
    Callers take turns; who has none of its own shares that of all others without.
    """

    prompt: list[int]  # token ids
    options: GenerationOptions
    stop: Sequence[str] = ()
    on_text: Callable[[str], None] | None = None
    caller: str = ""


@dataclass(eq=False)
class Ticket:
    """A queued request: its answer to come, and how to cancel it."""

    request: Request
    answer: Future[Completion] = field(default_factory=Future)
    given_up: bool = False
    queued: float = field(default_factory=time.monotonic)
    started: float | None = None  # when its prompt began to be read
    first_token: float | None = None

    def cancel(self) -> None:
        """Cancels the request: it is not decoded any further."""
        self.given_up = True
        self.answer.cancel()


@dataclass
class Counts:
    """What a worker has done since it began."""

    prompt_tokens: int = 0  # of prompts that were read, those that were known included
    reused_tokens: int = 0  # of these, the ones that were known
    completion_tokens: int = 0
    steps: int = 0  # passes that gave each row a token
    rows: int = 0  # rows of all these passes: rows / steps is the mean batch


class Decodes(Protocol):
    """What a flight needs of the generator that it belongs to."""

    model: Any

    @property
    def chunk_tokens(self) -> int:
        """Most prompt tokens that are read between two tokens of those who are being answered."""

    @property
    def prefill_tokens(self) -> int:
        """Most prompt tokens that are read together, but for one long prompt."""

    def stop_tokens(self) -> frozenset[int]:
        """Returns the ids of the tokens that end a turn."""

    def decoder(self) -> Decoder:
        """Returns a decoder without rows."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Returns the text of tokens."""

    def rows_in_cache(self, widest: int, max_new_tokens: int) -> int:
        """Returns how many rows the cache has room for."""


class Flight:
    """What is being answered; row i of the decoder is `rows[i]`."""

    def __init__(self, generator: Decodes, counts: Counts) -> None:
        self._generator, self._counts = generator, counts
        self._stops = generator.stop_tokens()
        self._decoder = generator.decoder()
        self._rows: list[_Row] = []
        # Prompts that are still to be read, in groups that are read together. The first may be
        # half read.
        self._reading: deque[_Group] = deque()

    def __len__(self) -> int:
        return len(self._rows) + sum(len(group.tickets) for group in self._reading)

    @property
    def decoding(self) -> int:
        """Rows that get a token at each step."""
        return len(self._rows)

    @property
    def cached_tokens(self) -> int:
        """Tokens in the key-value cache: those of rows, and beginnings that are kept."""
        rows = list(self._rows)
        held = sum(len(row.ticket.request.prompt) + len(row.tokens) for row in rows)
        return held + self._decoder.prefixes.tokens

    def has_room_for(self, request: Request) -> bool:
        """Returns whether the cache has room for one more; the first request always fits."""
        everyone = [ticket.request for ticket in self._tickets()]
        if not everyone:
            return True
        if not self._decoder.can_join and (self._rows or not self._fits_group(request, ())):
            return False
        widest = max(self._decoder.widest, *(len(r.prompt) for r in [*everyone, request]))
        longest = max(r.options.max_new_tokens for r in [*everyone, request])
        return self._generator.rows_in_cache(widest, longest) > len(everyone)

    def enlist(self, ticket: Ticket) -> None:
        """Takes a request in; its prompt is read in the next turns."""
        decoder = self._decoder
        prompt = ticket.request.prompt
        prefix = decoder.prefixes.choose(prompt) if decoder.can_join else ()
        if self._fits_group(ticket.request, prefix):
            self._reading[-1].tickets.append(ticket)
        else:
            self._reading.append(_Group([ticket], prefix))

    def _fits_group(self, request: Request, prefix: tuple[int, ...]) -> bool:
        """Returns whether a prompt can be read together with the last group."""
        if not self._reading or self._reading[-1].prefill is not None:
            return False
        group = self._reading[-1]
        longest = max(len(r.request.prompt) for r in group.tickets)
        width = max(longest, len(request.prompt)) - len(prefix)
        # Those who wait for their next token wait for a group, too.
        most = self._generator.chunk_tokens if self._rows else self._generator.prefill_tokens
        return group.prefix == prefix and width * (len(group.tickets) + 1) <= most

    def read(self) -> None:
        """Reads prompts: a little where others are being answered, else a whole group."""
        if not self._reading:
            return
        group = self._reading[0]
        if group.prefill is None:
            now = time.monotonic()
            for ticket in group.tickets:
                ticket.started = now
            prompts = [ticket.request.prompt for ticket in group.tickets]
            group.prefill = self._decoder.prefill(prompts, group.prefix)
            self._count(group.prefill, prompts)
        if self._decoder.read(group.prefill, self._generator.chunk_tokens):
            self._join(group, group.prefill)
            self._reading.popleft()

    def _count(self, prefill: Prefill, prompts: Sequence[list[int]]) -> None:
        tokens = sum(map(len, prompts))
        self._counts.prompt_tokens += tokens
        self._counts.reused_tokens += max(0, tokens - prefill.tokens)

    def _join(self, group: _Group, read: Prefill) -> None:
        self._decoder.reserve(max(t.request.options.max_new_tokens for t in self._tickets()))
        self._decoder.join(read, len(self._rows) + len(group.tickets))
        self._rows += [_Row(ticket, self._generator) for ticket in group.tickets]

    def step(self) -> None:
        """Decodes one token for each row, and removes the rows that have ended."""
        if not self._rows:
            return
        tokens = pick_tokens(self._decoder.logits, [row.sampler for row in self._rows])
        self._counts.steps += 1
        self._counts.rows += len(tokens)
        self._counts.completion_tokens += sum(token not in self._stops for token in tokens)
        ended = [
            number
            for number, (row, token) in enumerate(zip(self._rows, tokens, strict=True))
            if row.take(token, token in self._stops)
        ]
        self._leave(ended)
        if self._rows:
            self._decoder.step([row.tokens[-1] for row in self._rows])

    def remove_given_up(self) -> None:
        """Removes what was cancelled. A group that is half read is given up as a whole."""
        self._leave([i for i, row in enumerate(self._rows) if row.ticket.given_up])
        for group in list(self._reading):
            if group.prefill is None:
                group.tickets = [ticket for ticket in group.tickets if not ticket.given_up]
            if all(ticket.given_up for ticket in group.tickets):
                self._reading.remove(group)

    def fail(self, error: Exception) -> None:
        """Fails every request that is waiting for an answer."""
        for ticket in self._tickets():
            if not ticket.answer.done():
                ticket.answer.set_exception(error)

    def _tickets(self) -> list[Ticket]:
        reading = [ticket for group in self._reading for ticket in group.tickets]
        return [*(row.ticket for row in self._rows), *reading]

    def _leave(self, numbers: list[int]) -> None:
        if numbers:
            self._rows = [self._rows[number] for number in self._decoder.leave(numbers)]


@dataclass(eq=False)
class _Group:
    """Prompts with one beginning that are read together."""

    tickets: list[Ticket]
    prefix: tuple[int, ...]
    prefill: Prefill | None = None


class AnswerRow:
    """The state of one answer whose tokens arrive."""

    def __init__(self, ticket: Ticket, decode: Decode) -> None:
        self.ticket = ticket
        self.tokens: list[int] = []
        self._stream = TextStream(decode, ticket.request.stop)

    def take(self, token: int, is_end: bool) -> bool:
        """Adds a token; returns whether the answer has ended, in which case it has been given."""
        request = self.ticket.request
        if self.ticket.first_token is None:
            self.ticket.first_token = time.monotonic()
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
            seconds=time.monotonic() - (self.ticket.started or self.ticket.queued),
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


class _Row(AnswerRow):
    """An answer with what draws its tokens."""

    def __init__(self, ticket: Ticket, generator: Decodes) -> None:
        super().__init__(ticket, generator.decode)
        self.sampler = Sampler(ticket.request.options, generator.model.device)
