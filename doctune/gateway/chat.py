"""`POST /v1/chat/completions` and `/v1/completions`: from request to last event."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from doctune.chat_schema import ChatRequest
from doctune.chat_wire import encoded
from doctune.disconnects import ClientGoneError, while_client_waits
from doctune.gateway.cache import cache_control, cache_key
from doctune.gateway.limits import Admission
from doctune.gateway.problems import GatewayError
from doctune.gateway.records import Exchange
from doctune.gateway.request_ids import REQUEST_ID
from doctune.gateway.routing import Asked, OpenStream
from doctune.gateway.services import Services
from doctune.gateway.upstreams import Answer, UpstreamError
from doctune.gateway.wire import Wire

# What is reserved of a key's tokens where a request names no limit of its own.
DEFAULT_ANSWER_TOKENS = 1024
_CHARACTERS_PER_TOKEN = 3  # rather too few: what is not used is given back

logger = logging.getLogger("doctune.gateway")


async def answer(
    services: Services, request: Request, exchange: Exchange, model: Asked, wire: Wire
) -> Response:
    """Answers one request; its outcome is logged and counted when it ends.

    Raises:
        GatewayError: The request is refused, or no upstream answers.
    """
    stack = AsyncExitStack()
    admission = Admission()
    async with stack:
        stack.push_async_callback(_end, services, exchange)
        try:
            tokens = most_tokens(exchange.chat)
            admission = await stack.enter_async_context(
                services.limiter.admit(exchange.principal, model.name, tokens)
            )
            stack.callback(_settle, admission, exchange)
            if exchange.chat.stream:
                return await _streamed(services, request, exchange, model, wire, admission, stack)
            result = await while_client_waits(
                request.receive, _whole(services, request, exchange, model, stack)
            )
        except GatewayError as error:
            exchange.status = error.status
            error.add_headers(_headers(exchange, admission))
            raise
        except ClientGoneError as error:
            exchange.status = 499
            raise GatewayError(499, "The client is gone.", code="client_gone") from error
        exchange.take(result)
        exchange.status = 200
        body = encoded(wire.whole(exchange))
        return Response(body, headers=_headers(exchange, admission), media_type="application/json")


async def _whole(
    services: Services, request: Request, exchange: Exchange, model: Asked, stack: AsyncExitStack
) -> Answer:
    """Returns an answer from the cache or an upstream."""
    may_read, may_keep = cache_control(request.headers.get("cache-control", ""))
    key = cache_key(exchange.principal.owner, exchange.chat, model.versions())
    if key is None or not (may_read or may_keep):
        return await _asked(exchange, model)
    exchange.cache = "miss"
    if may_read:
        # Equal requests wait here for the first one's answer.
        await stack.enter_async_context(services.cache.alone(key))
        if (kept := await services.cache.get(key)) is not None:
            exchange.cache = "hit"
            return kept
    result = await _asked(exchange, model)
    await _keep(services, exchange, model, key if may_keep else None, result)
    return result


async def _asked(exchange: Exchange, model: Asked) -> Answer:
    async with model.place():
        result, exchange.fallback = await model.ask(exchange.chat)
    return result


async def _keep(
    services: Services, exchange: Exchange, model: Asked, key: str | None, result: Answer
) -> None:
    """Caches an answer, unless other versions are in service by now."""
    owner, chat = exchange.principal.owner, exchange.chat
    if (
        key is not None
        and not exchange.fallback
        and key == cache_key(owner, chat, model.versions())
    ):
        await services.cache.put(key, result)


async def _streamed(
    services: Services,
    request: Request,
    exchange: Exchange,
    model: Asked,
    wire: Wire,
    admission: Admission,
    stack: AsyncExitStack,
) -> Response:
    """Returns a streamed response, from the cache if it has the answer."""
    may_read, may_keep = cache_control(request.headers.get("cache-control", ""))
    key = cache_key(exchange.principal.owner, exchange.chat, model.versions())
    kept = None
    if key is not None and (may_read or may_keep):
        exchange.cache = "miss"
        if may_read:
            kept = await while_client_waits(request.receive, _kept_or_alone(services, key, stack))
    if kept is not None:
        exchange.cache = "hit"
        events = _from_cache(exchange, kept, wire)
    else:
        await stack.enter_async_context(model.place())
        opened = await stack.enter_async_context(model.stream(exchange.chat))
        exchange.source, exchange.fallback = opened.source, opened.fallback
        keep_as = key if may_keep else None
        events = _relayed(services, exchange, model, opened, wire, keep_as)
    headers = _headers(exchange, admission) | {"cache-control": "no-store"}
    # A client that leaves, even before the first event, ends in the response's clean-up.
    exchange.status = 499
    return _OwningStream(events, headers, stack.pop_all())


async def _kept_or_alone(services: Services, key: str, stack: AsyncExitStack) -> Answer | None:
    """Returns the cached answer, or None if this request is to compute it.

    In that case equal requests wait until the stack is closed.
    """
    if (kept := await services.cache.get(key)) is not None:
        return kept
    async with AsyncExitStack() as alone:
        await alone.enter_async_context(services.cache.alone(key))
        if (kept := await services.cache.get(key)) is None:
            stack.push_async_exit(alone.pop_all())
    return kept


class _OwningStream(StreamingResponse):
    """A streaming response that releases its resources however it ends."""

    def __init__(
        self, events: AsyncGenerator[bytes], headers: dict[str, str], owned: AsyncExitStack
    ) -> None:
        super().__init__(events, headers=headers, media_type="text/event-stream")
        self._events, self._owned = events, owned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()
            await self._owned.aclose()


async def _from_cache(exchange: Exchange, kept: Answer, wire: Wire) -> AsyncGenerator[bytes]:
    exchange.take(kept)
    exchange.note_first_token()
    yield wire.start(exchange)
    yield wire.piece(exchange, kept.text)
    exchange.status = 200
    for event in wire.end(exchange):
        yield event


async def _relayed(
    services: Services,
    exchange: Exchange,
    model: Asked,
    opened: OpenStream,
    wire: Wire,
    key: str | None,
) -> AsyncGenerator[bytes]:
    """Relays an upstream's stream; an error within it becomes an event, not a broken connection."""
    parts: list[str] = []
    try:
        yield wire.start(exchange)
        async for piece in opened.pieces:
            exchange.prompt_tokens = piece.prompt_tokens or exchange.prompt_tokens
            exchange.completion_tokens = piece.completion_tokens or exchange.completion_tokens
            exchange.finish_reason = piece.finish_reason or exchange.finish_reason
            if piece.text:
                exchange.note_first_token()
                parts.append(piece.text)
                yield wire.piece(exchange, piece.text)
        exchange.status, exchange.text = 200, "".join(parts)
        await _keep(services, exchange, model, key, _answer_of(exchange, opened))
        for event in wire.end(exchange):
            yield event
    except UpstreamError as error:
        exchange.status = 502
        logger.warning("%s: %s", exchange.id, error)
        problem = GatewayError(
            502, "The model's answer broke off: ask again.", code="stream_interrupted"
        )
        yield b"data: " + problem.body() + b"\n\n"
    finally:
        exchange.text = "".join(parts)


def _answer_of(exchange: Exchange, opened: OpenStream) -> Answer:
    return Answer(
        text=exchange.text,
        finish_reason=exchange.finish_reason,
        prompt_tokens=exchange.prompt_tokens,
        completion_tokens=exchange.completion_tokens,
        source=opened.source,
        extra=exchange.extra,
    )


def _settle(admission: Admission, exchange: Exchange) -> None:
    # A client that left in mid-stream is charged for what it reserved: nobody counted the rest.
    if exchange.cache == "hit" or exchange.status not in (200, 499, 502):
        admission.tokens_used = 0
    elif exchange.status == 200:
        admission.tokens_used = exchange.prompt_tokens + exchange.completion_tokens


async def _end(services: Services, exchange: Exchange) -> None:
    services.experiments.ended(exchange)
    services.log.add(services.recorder.row(exchange))
    services.metrics.observe(exchange)
    if services.traces is not None:
        services.traces.record(exchange)


def most_tokens(chat: ChatRequest) -> int:
    """Returns how many of the key's tokens a request reserves."""
    characters = sum(len(turn.text) for turn in chat.messages)
    return characters // _CHARACTERS_PER_TOKEN + 8 + (chat.limit or DEFAULT_ANSWER_TOKENS)


def _headers(exchange: Exchange, admission: Admission) -> dict[str, str]:
    headers = {
        **admission.headers,
        REQUEST_ID: exchange.id,
        "x-doctune-cache": exchange.cache,
    }
    source = exchange.source
    if source is not None:
        headers["x-doctune-upstream"] = source.upstream
        headers["x-doctune-model-version"] = source.model_version
        headers["x-doctune-deployed-model"] = source.deployed_model_id
    if exchange.fallback:
        headers["x-doctune-fallback"] = "true"
    # Header values are Latin-1; anything else would end the response.
    return {name: value.encode("ascii", "replace").decode() for name, value in headers.items()}
