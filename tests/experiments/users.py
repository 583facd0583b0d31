"""Users that ask through the gateway and rate by a stated rule.

Each asks one question and rates the answer `up` with a chance of `GOOD_CHANCE`, or of `BAD_CHANCE`
where the answer only repeats one piece.
"""

import itertools
import threading
import time
from collections.abc import Callable
from typing import Protocol

import httpx

from doctune.experiments.assignment import bucket_of
from tests.gateway.conftest import Gateway

GOOD_CHANCE, BAD_CHANCE = 0.9, 0.2
QUESTION = "What does the pump have?"
SHORT = {"max_new_tokens": 6}


class Front(Protocol):
    """What stands before the models; after a crash it may be another gateway."""

    now: Gateway


def pleases(answer: str) -> bool:
    """The rule by which users judge: an answer that only repeats one piece does not please."""
    return not any(answer == (answer[:size] * len(answer))[: len(answer)] for size in range(1, 5))


_numbers = itertools.count()


class Users:
    """Threads that are users: each asks, rates by the rule, and never comes back."""

    def __init__(
        self,
        front: Front,
        model: str,
        threads: int = 6,
        pleased: Callable[[str], bool] = pleases,
    ) -> None:
        self._front, self._model, self._pleased = front, model, pleased
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def __enter__(self) -> "Users":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _work(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._ended.is_set():
                user = f"user-{next(_numbers)}"
                try:
                    self._visit(client, user)
                except httpx.HTTPError:
                    time.sleep(0.2)  # the gateway is away for a moment

    def _visit(self, client: httpx.Client, user: str) -> None:
        front = self._front.now
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": SHORT["max_new_tokens"],
            "user": user,
        }
        answer = client.post(f"{front.url}/v1/chat/completions", json=body, headers=front.headers())
        if answer.status_code != 200:
            return
        document = answer.json()
        pleased = self._pleased(document["choices"][0]["message"]["content"])
        chance = GOOD_CHANCE if pleased else BAD_CHANCE
        up = bucket_of("whim", user) < chance * 10_000
        rating = {
            "prediction_id": document["id"],
            "kind": "rating",
            "rating": "up" if up else "down",
            "user": user,
        }
        client.post(f"{front.url}/v1/feedback", json=rating, headers=front.headers())
