"""Open-loop load: users arrive by a Poisson process, whether or not earlier ones are answered.

A closed loop, which asks again only after an answer, slows down with the server and hides the
waiting time. Latencies are measured from the scheduled arrival, not from when a connection is free.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence

from doctune.capacity.client import Message, Sample, ask
from doctune.capacity.targets import Target
from doctune.vertex.http_session import open_session


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Returns arrival times in seconds from a Poisson process; at least one arrival."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable load, no secret
    times: list[float] = []
    at = 0.0
    while (at := at + chance.expovariate(rate)) < seconds:
        times.append(at)
    return times or [0.0]


async def run_stage(
    target: Target,
    prompts: Iterator[Sequence[Message]],
    *,
    rate: float,
    seconds: float,
    max_tokens: int,
    timeout: float,
    seed: int,
) -> list[Sample]:
    """Sends requests at a rate, waits for all answers, and returns them.

    Args:
        rate: Requests per second.
        timeout: Time limit of an answer; a longer one is an error.
    """
    times = arrivals(rate, seconds, seed)
    origin = time.perf_counter()
    async with open_session() as session:

        async def one(due: float, messages: Sequence[Message]) -> Sample:
            await asyncio.sleep(max(0.0, origin + due - time.perf_counter()))
            call = await asyncio.to_thread(target.call)
            return await ask(
                session,
                call,
                messages,
                due=due,
                origin=origin,
                max_tokens=max_tokens,
                timeout=timeout,
            )

        return list(await asyncio.gather(*(one(due, next(prompts)) for due in times)))


async def run_alone(
    target: Target,
    prompts: Iterator[Sequence[Message]],
    *,
    requests: int,
    max_tokens: int,
    timeout: float,
) -> list[Sample]:
    """Asks one question after the other, to measure the latency without other load."""
    origin = time.perf_counter()
    samples = []
    async with open_session() as session:
        for _ in range(requests):
            call = await asyncio.to_thread(target.call)
            now = time.perf_counter() - origin
            sample = await ask(
                session,
                call,
                next(prompts),
                due=now,
                origin=origin,
                max_tokens=max_tokens,
                timeout=timeout,
            )
            samples.append(sample)
    return samples
