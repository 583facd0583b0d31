"""Which upstream answers where the first one is slow: hedged only where the settings ask for it."""

import asyncio
import time
from collections.abc import Iterator

import aiohttp
import pytest

from doctune.chat_schema import ChatRequest, ChatTurn
from doctune.gateway.options import ModelOptions
from doctune.gateway.problems import GatewayError
from doctune.gateway.routing import Model
from doctune.gateway.upstreams import Answer, OpenAIAddress, Upstream
from tests.gateway.upstream import FakeUpstream

CHAT = ChatRequest(model="handbook", messages=[ChatTurn(role="user", content="?")])


@pytest.fixture
def pair() -> Iterator[tuple[FakeUpstream, FakeUpstream]]:
    with FakeUpstream.run() as first, FakeUpstream.run() as second:
        yield first, second


def ask(
    pair: tuple[FakeUpstream, FakeUpstream], hedge_seconds: float | None
) -> tuple[Answer, bool]:
    """Asks a model with both upstreams."""
    addresses = [one.address for one in pair]
    options = ModelOptions(upstreams=addresses, hedge_seconds=hedge_seconds)

    async def run() -> tuple[Answer, bool]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
            upstreams = [Upstream(OpenAIAddress(one), session) for one in addresses]
            return await Model("handbook", options, upstreams).ask(CHAT)

    return asyncio.run(run())


def test_a_slow_upstream_is_waited_for_unless_hedging_is_asked_for(pair) -> None:
    first, second = pair
    first.delay = 0.4
    answer, fallback = ask(pair, None)
    assert (answer.source.upstream, fallback) == (first.address, False)
    assert (first.requests, second.requests) == (1, 0)


def test_a_hedged_request_gets_the_answer_that_comes_first(pair) -> None:
    first, second = pair
    first.delay = 10
    started = time.monotonic()
    answer, fallback = ask(pair, 0.1)
    assert time.monotonic() - started < 5
    assert (answer.source.upstream, fallback) == (second.address, True)
    assert (answer.prompt_tokens, answer.completion_tokens) == (7, 5)  # of one answer, not of two
    assert (first.requests, second.requests) == (1, 1)


def test_a_fast_answer_asks_nobody_else(pair) -> None:
    first, second = pair
    answer, _ = ask(pair, 5)
    assert answer.source.upstream == first.address
    assert (first.requests, second.requests) == (1, 0)


def test_the_next_is_asked_at_once_where_the_first_fails(pair) -> None:
    first, second = pair
    first.mode = "error"
    started = time.monotonic()
    answer, fallback = ask(pair, 10)
    assert time.monotonic() - started < 5
    assert (answer.source.upstream, fallback) == (second.address, True)


def test_where_all_fail_nobody_answers(pair) -> None:
    for one in pair:
        one.mode = "error"
    with pytest.raises(GatewayError, match="cannot be reached"):
        ask(pair, 0.1)
