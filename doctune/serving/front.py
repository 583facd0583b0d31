"""doctune's wire in front of another engine's OpenAI routes, as ASGI middleware.

vLLM loads it by `--middleware`. It imports neither transformers nor FastAPI nor torch, whose
versions are the engine's own. `/predict` takes instances and parameters, or a chat; both chat
routes refuse by name what is not supported, as the native engine does; health says what it says
there. Everything else goes through as it is.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from doctune.chat_schema import ChatRequestError, parse_chat_request
from doctune.chat_wire import error_document
from doctune.disconnects import ClientGoneError, while_client_waits
from doctune.serving.options import ServingOptions
from doctune.serving.schema import (
    Instance,
    Parameters,
    RequestError,
    check_answer_tokens,
    check_instances,
    is_chat_body,
    parse_request,
)
from doctune.serving.vllm_command import OPTIONS_VARIABLE, SERVED_NAME

CHAT_ROUTE = "/v1/chat/completions"
_LIVE_ROUTE = "/live"
_ENGINE_HEALTH = "/health"
_DEFAULT_TOKENS = 128

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Front:
    """The middleware."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._options = ServingOptions.model_validate_json(os.environ[OPTIONS_VARIABLE])

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers doctune's routes; passes on all others."""
        options = self._options
        path = scope.get("path")
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "GET" and path in (options.health_route, _LIVE_ROUTE):
            await self._health(scope, send)
        elif scope["method"] == "POST" and path == options.predict_route:
            await self._predict(scope, receive, send)
        elif scope["method"] == "POST" and path == CHAT_ROUTE:
            await self._chat(scope, receive, send)
        elif path == options.predict_route:
            await _answer(send, 405, {"error": "Method Not Allowed"})
        else:
            await self._app(scope, receive, send)

    async def _health(self, scope: Message, send: Send) -> None:
        answer = await self._ask({**scope, "path": _ENGINE_HEALTH, "method": "GET"}, b"")
        if answer.status == 200:
            await _answer(send, 200, {"status": "ready"})
        else:
            reason = "the engine says that it is not well: see its log"
            await _answer(send, 503, {"status": "unavailable", "reason": reason})

    async def _predict(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            body = await _read(scope, receive, self._options.max_body_bytes)
            if is_chat_body(body):
                await self._pass_on(scope, body, receive, send)
                return
            request = parse_request(body)
            check_instances(len(request.instances), self._options.max_instances)
            parameters = request.parameters or Parameters()
            wanted = parameters.max_new_tokens
            check_answer_tokens(wanted, self._options.max_new_tokens, "parameters.max_new_tokens")
            asked = self._all(scope, request.instances, parameters)
            async with asyncio.timeout(self._options.request_timeout_seconds):
                predictions = await while_client_waits(receive, asked)
            await _answer(send, 200, {"predictions": predictions})
        except RequestError as error:
            await _answer(send, error.status, {"error": str(error)})
        except TimeoutError:
            await _answer(send, 503, {"error": "no answer within the time limit"})
        except ClientGoneError:
            return

    async def _all(
        self, scope: Message, instances: list[Instance], parameters: Parameters
    ) -> list[dict[str, Any]]:
        """Asks for every instance at once; the engine decodes them together."""
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(self._one(scope, number, instance, parameters))
                for number, instance in enumerate(instances)
            ]
        answers = [task.result() for task in asked]
        for answer in answers:
            if isinstance(answer, RequestError):
                raise answer
        return [answer for answer in answers if isinstance(answer, dict)]

    async def _one(
        self, scope: Message, number: int, instance: Instance, parameters: Parameters
    ) -> dict[str, Any] | RequestError:
        chat = {
            "model": SERVED_NAME,
            "messages": instance.conversation(),
            "temperature": parameters.temperature,
            "top_p": parameters.top_p,
            "max_tokens": parameters.max_new_tokens
            or min(_DEFAULT_TOKENS, self._options.max_new_tokens),
        }
        if parameters.seed is not None:
            chat["seed"] = parameters.seed
        answer = await self._ask({**scope, "path": CHAT_ROUTE}, json.dumps(chat).encode())
        if answer.status != 200:
            name = "prompt" if instance.messages is None else "messages"
            return _error(answer, f"instances[{number}].{name}")
        document = json.loads(answer.body)
        choice, usage = document["choices"][0], document["usage"]
        return {
            "text": (choice["message"]["content"] or "").strip(),
            "prompt_tokens": usage["prompt_tokens"],
            "completion_tokens": usage["completion_tokens"],
            "finish_reason": choice["finish_reason"],
        }

    async def _chat(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            body = await _read(scope, receive, self._options.max_body_bytes)
            await self._pass_on(scope, body, receive, send)
        except RequestError as error:
            await _answer(send, error.status, error_document(str(error), error.status))

    async def _pass_on(self, scope: Message, body: bytes, receive: Receive, send: Send) -> None:
        """Checks a chat as the native engine does, and lets the engine stream or answer it."""
        try:
            chat = parse_chat_request(body)
            field_name = "max_tokens" if chat.max_tokens is not None else "max_completion_tokens"
            check_answer_tokens(chat.limit, self._options.max_new_tokens, field_name)
        except ChatRequestError as error:
            await _answer(send, 400, error_document(str(error), 400, error.param, error.code))
            return
        except RequestError as error:
            await _answer(send, error.status, error_document(str(error), error.status))
            return
        known = {SERVED_NAME, *self._options.adapter_folders}
        wanted = chat.model_dump(mode="json", exclude_none=True)
        wanted["messages"] = chat.conversation()
        wanted["model"] = chat.model if chat.model in known else SERVED_NAME
        wanted.setdefault("temperature", 0)
        if chat.limit is None:
            wanted["max_tokens"] = min(_DEFAULT_TOKENS, self._options.max_new_tokens)
        content = json.dumps(wanted).encode()
        await self._app(
            {**_with_length(scope, content), "path": CHAT_ROUTE}, _once(content, receive), send
        )

    async def _ask(self, scope: Message, body: bytes) -> _Answer:
        """Returns the engine's whole answer to a request made here."""
        answer = _Answer()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
            elif message["type"] == "http.response.body":
                answer.body += message.get("body", b"")

        forever: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        await self._app(_with_length(scope, body), _once(body, lambda: forever), collect)
        return answer


@dataclass
class _Answer:
    status: int = 500
    body: bytes = field(default=b"")


def _error(answer: _Answer, name: str) -> RequestError:
    """Returns the engine's refusal as an error that names the instance."""
    try:
        error = json.loads(answer.body).get("error") or {}
        message = str(error.get("message", "the engine refused it"))
    except (ValueError, AttributeError):
        message = "the engine refused it"
    message = message.removeprefix("messages: ")
    if message.startswith("max_tokens: "):
        rest = message.removeprefix("max_tokens: ").replace("messages has", f"{name} has")
        return RequestError(f"parameters.max_new_tokens: {rest}", answer.status)
    return RequestError(f"{name}: {message}", answer.status)


async def _read(scope: Message, receive: Receive, limit: int) -> bytes:
    """Reads the body, up to little more than the limit.

    Raises:
        RequestError: The body is larger.
    """
    declared = dict(scope["headers"]).get(b"content-length", b"")
    body, more = bytearray(), True
    too_large = declared.isdigit() and int(declared) > limit
    while more and not too_large:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more, too_large = message.get("more_body", False), len(body) > limit
    if too_large:
        raise RequestError(f"the body is larger than {limit} bytes", 413)
    return bytes(body)


def _once(body: bytes, after: Callable[[], Awaitable[Message]]) -> Receive:
    """Returns a receiver that yields a body, then later messages, such as a disconnect."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await after()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _with_length(scope: Message, body: bytes) -> dict[str, Any]:
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if name not in (b"content-length", b"transfer-encoding", b"content-type")
    ]
    kept += [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
    return {**scope, "headers": kept, "raw_path": None}


async def _answer(send: Send, status: int, document: dict[str, Any]) -> None:
    body = json.dumps(document, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
