"""Upstreams: an endpoint of Vertex AI, or any OpenAI-compatible address."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

from doctune.chat_schema import ChatRequest
from doctune.chat_wire import encoded
from doctune.errors import DoctuneError
from doctune.vertex.http_session import proxy_for
from doctune.vertex.serving_state import CHAT_ROUTE, EndpointAddress

if TYPE_CHECKING:
    from doctune.vertex.serving_state import EndpointReader, ServingState

STATE_SECONDS = 5.0  # how old what is known of an endpoint may be

_MOST_ERROR_BYTES = 10_000
_MOST_EVENT_BYTES = 1 << 20

logger = logging.getLogger("doctune.gateway")


class UpstreamError(Exception):
    """An upstream did not answer; another may. `status` is the HTTP status it gave, or 0."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(Exception):
    """An upstream refused the request as invalid: no other will accept it."""

    def __init__(self, message: str, status: int, param: str = "", code: str = "") -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which upstream, model version and deployed model an answer came from."""

    upstream: str
    model_version: str = ""
    deployed_model_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A tool that a model wants called; `arguments` is JSON, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    source: Source
    extra: Mapping[str, Any] = field(default_factory=dict)  # beside OpenAI's fields
    calls: tuple[Call, ...] = ()  # only where tools were offered


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a streamed answer; the last ones bring the reason and the counts."""

    text: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class _Target:
    url: str
    headers: dict[str, str]
    model: str


class Address(Protocol):
    """Where an upstream is, and what is known of it."""

    name: str

    async def target(self, stream: bool) -> _Target:
        """Returns where to send a request."""

    def versions(self) -> str:
        """Returns a text that changes with the versions in service; "" if unknown."""

    def source(self, headers: Any) -> Source:
        """Returns the source of an answer with these headers."""

    async def refresh(self) -> None:
        """Refreshes what is known of the versions in service."""


class Upstream:
    """Sends requests to one address and keeps its connections open."""

    def __init__(self, address: Address, session: aiohttp.ClientSession) -> None:
        self.address = address
        self._session = session

    @property
    def name(self) -> str:
        """The upstream as the settings name it."""
        return self.address.name

    async def ask(self, chat: ChatRequest, beside: Mapping[str, Any] | None = None) -> Answer:
        """Returns the answer.

        Args:
            beside: Fields of the body that replace the request's own, or are none of its own.

        Raises:
            UpstreamError, RefusedError: There is none.
        """
        async with self._post(chat, stream=False, beside=beside) as response:
            try:
                document = json.loads(await response.read())
                choice, usage = document["choices"][0], document.get("usage") or {}
                message = choice["message"]
                return Answer(
                    text=message["content"] or "",
                    calls=_calls(message) if beside else (),
                    finish_reason=choice["finish_reason"] or "stop",
                    prompt_tokens=usage.get("prompt_tokens", 0),
                    completion_tokens=usage.get("completion_tokens", 0),
                    source=self.address.source(response.headers),
                )
            except (ValueError, KeyError, IndexError, TypeError) as error:
                raise UpstreamError(f"{self.name} answered no chat completion") from error

    @asynccontextmanager
    async def stream(self, chat: ChatRequest) -> AsyncIterator[tuple[Source, AsyncIterator[Piece]]]:
        """Opens a stream: where it comes from, and its pieces.

        Raises:
            UpstreamError, RefusedError: There is none, or it breaks off.
        """
        async with self._post(chat, stream=True) as response:
            if response.content_type != "text/event-stream":
                raise UpstreamError(f"{self.name} answered {response.content_type}, no stream")
            yield self.address.source(response.headers), _pieces(response, self.name)

    @asynccontextmanager
    async def _post(
        self, chat: ChatRequest, *, stream: bool, beside: Mapping[str, Any] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        target = await self.address.target(stream)
        body = chat.model_dump(mode="json", exclude_none=True, exclude={"user", "metadata"})
        body |= beside or {}
        body["model"] = target.model
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        else:
            body.pop("stream", None)
        try:
            async with self._session.post(
                target.url,
                data=encoded(body),
                headers={"Content-Type": "application/json", **target.headers},
                proxy=proxy_for(target.url),
            ) as response:
                if response.status >= 400:
                    await self._fail(response)
                yield response
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(f"{self.name} cannot be reached: {type(error).__name__}") from error

    async def _fail(self, response: aiohttp.ClientResponse) -> None:
        text = (await response.content.read(_MOST_ERROR_BYTES)).decode(errors="replace")
        status = response.status
        if status in (400, 413, 422):
            error = _error_of(text)
            raise RefusedError(
                str(error.get("message", text))[:1000],
                status,
                str(error.get("param") or ""),
                str(error.get("code") or ""),
            )
        if status in (401, 403, 404):
            # The gateway's own credentials or endpoint, nothing that the client did.
            logger.warning("%s answered %d", self.name, status)
        raise UpstreamError(f"{self.name} answered {status}", status)


class OpenAIAddress:
    """`https://HOST/v1#MODEL`. A key comes by `DOCTUNE_GATEWAY_UPSTREAM_KEY`."""

    def __init__(self, name: str, key: str = "") -> None:
        self.name = name
        self._url, _, self._model = name.partition("#")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def target(self, stream: bool) -> _Target:
        """Returns where to send a request."""
        url = f"{self._url.rstrip('/')}/chat/completions"
        return _Target(url, self._headers, self._model)

    def versions(self) -> str:
        """Returns the address: what serves behind it is not known."""
        return self.name

    def source(self, headers: Any) -> Source:
        """Returns where an answer came from."""
        return Source(upstream=self.name, model_version=self._model)

    async def refresh(self) -> None:
        """Does nothing: what serves behind the address is not known."""


class VertexAddress:
    """An endpoint as `EndpointAddress` names it.

    Of several models or adapters, the request's `model` chooses. One deployed model is asked
    whatever its share of the traffic, by the invoke route that only models with
    `invoke_route_prefix` have.
    """

    def __init__(self, name: str, reader: EndpointReader) -> None:
        self.name = name
        address = EndpointAddress.parse(name)
        self._display_name, self._deployed = address.endpoint, address.deployed_model_id
        self._model = address.model or address.endpoint
        self._reader = reader
        self._state: ServingState | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def target(self, stream: bool) -> _Target:
        """Returns where to send a request.

        Raises:
            UpstreamError: There is no such endpoint, or nothing is deployed there.
        """
        if self._state is None or time.monotonic() - self._read_at > STATE_SECONDS:
            await self.refresh()
        route = self._route(stream)
        try:
            token = self._reader.valid_token or await asyncio.to_thread(self._reader.token)
        except DoctuneError as error:
            raise UpstreamError(str(error)) from error
        return _Target(route, {"Authorization": f"Bearer {token}"}, self._model)

    def _route(self, stream: bool) -> str:
        state = self._state
        if state is not None and self._deployed:
            if state.version_of(self._deployed) is None:
                raise UpstreamError(f"{self.name}: no such model is deployed there")
            return state.invoke_url(self._deployed, CHAT_ROUTE)
        if state is None or not state.versions:
            raise UpstreamError(f"{self.name}: no deployed model gets traffic")
        return state.raw_url(stream=stream)

    def versions(self) -> str:
        """Returns which deployed models answer, in which shares."""
        if self._state is None:
            return ""
        if self._deployed:
            return f"{self._deployed}={self._state.version_of(self._deployed)}#{self._model}"
        return f"{self._state.fingerprint}#{self._model}"

    def source(self, headers: Any) -> Source:
        """Returns where an answer came from, by the headers that Vertex AI adds."""
        deployed = self._deployed or headers.get("X-Vertex-AI-Deployed-Model-Id", "")
        version = self._state.version_of(deployed) if self._state else None
        return Source(upstream=self.name, model_version=version or "", deployed_model_id=deployed)

    async def refresh(self) -> None:
        """Asks Vertex AI what is served; keeps what was known if it does not answer."""
        async with self._reading:
            if time.monotonic() - self._read_at < STATE_SECONDS and self._state is not None:
                return
            try:
                self._state = await asyncio.to_thread(self._reader.read, self._display_name)
                self._read_at = time.monotonic()
            except DoctuneError as error:
                logger.warning("%s: %s", self.name, error)
                if self._state is None:
                    raise UpstreamError(str(error)) from error
                self._read_at = time.monotonic()


async def _pieces(response: aiohttp.ClientResponse, name: str) -> AsyncIterator[Piece]:
    """Yields the pieces of a stream of server-sent events."""
    try:
        async for data in _events(response):
            if data == b"[DONE]":
                return
            document = json.loads(data)
            if "error" in document:
                # What it says may repeat the prompt, and this goes to the log.
                raise UpstreamError(f"{name} reported an error within the stream")
            usage = document.get("usage") or {}
            choice = document["choices"][0] if document.get("choices") else {}
            yield Piece(
                text=choice.get("delta", {}).get("content") or "",
                finish_reason=choice.get("finish_reason") or "",
                prompt_tokens=usage.get("prompt_tokens", 0),
                completion_tokens=usage.get("completion_tokens", 0),
            )
    except (aiohttp.ClientError, OSError) as error:
        raise UpstreamError(f"{name} broke the stream off: {type(error).__name__}") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UpstreamError(f"{name} sent an event that is no chunk") from error
    raise UpstreamError(f"{name} broke the stream off")


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yields the data of server-sent events, as they arrive: by what was read, not by the line."""
    rest = b""
    async for block in response.content.iter_any():
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
        if len(rest) > _MOST_EVENT_BYTES:
            raise ValueError("an event without an end")


def _calls(message: Mapping[str, Any]) -> tuple[Call, ...]:
    return tuple(
        Call(
            id=str(one.get("id") or ""),
            name=str(one["function"]["name"]),
            arguments=str(one["function"].get("arguments") or ""),
        )
        for one in message.get("tool_calls") or ()
    )


def _error_of(text: str) -> dict[str, Any]:
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {"message": str(error)}
