"""What an engine gives to the batcher and the server, whoever computes the tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from doctune.inference.chat_template import Message
    from doctune.inference.completion import Completion
    from doctune.inference.flight import Counts, Request, Ticket
    from doctune.inference.options import GenerationOptions


class InFlight(Protocol):
    """The requests that are being answered; used by one thread."""

    def __len__(self) -> int: ...

    @property
    def cached_tokens(self) -> int:
        """Tokens in the key-value cache."""

    def has_room_for(self, request: Request) -> bool:
        """Returns whether the cache has room for one more; the first request always fits."""

    def enlist(self, ticket: Ticket) -> None:
        """Takes a request in."""

    def read(self) -> None:
        """Reads some of the prompts that wait."""

    def step(self) -> None:
        """Gets a token for each row, and answers the tickets that have ended."""

    def remove_given_up(self) -> None:
        """Removes what was cancelled."""

    def fail(self, error: Exception) -> None:
        """Fails every request that is waiting for an answer."""


class Generator(Protocol):
    """A loaded model that answers conversations."""

    tokenizer: Any
    cache_bytes: int

    @property
    def context(self) -> int | None:
        """Most tokens of a prompt and its answer; None where the model does not say."""

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        options: GenerationOptions | None = None,
        *,
        batch_size: int = 16,
        on_answer: Callable[[int, Completion], None] | None = None,
    ) -> list[Completion]:
        """Answers each conversation, in the order given."""

    def flight(self, counts: Counts) -> InFlight:
        """Returns requests in flight, none yet."""

    def working(self) -> AbstractContextManager[Any]:
        """Returns what a thread that generates holds while it does."""

    def cache_bytes_per_token(self) -> int:
        """Returns what a token's keys and values take."""

    def chosen_for_machine(self) -> dict[str, object]:
        """Returns what was chosen for this machine, by name, for the log."""
