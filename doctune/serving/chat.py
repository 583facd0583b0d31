"""`/v1/chat/completions` of the model server, in OpenAI's shape, streamed or not.

The predict route takes the same bodies, so that an endpoint's `rawPredict` and `streamRawPredict`
reach it. Temperature is 0 unless the request says otherwise.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.responses import Response

from doctune.chat_schema import ChatRequest, parse_chat_request
from doctune.chat_wire import ChatAnswer, error_document, event, usage_of
from doctune.inference.batching import Ticket
from doctune.inference.completion import Completion
from doctune.serving.engine import Engine
from doctune.serving.tools import TOOL_CALLS, ToolChatRequest, read_calls
from doctune.serving.transport import Admission, answers_while_client_waits


async def answer_chat(
    engine: Engine, request: Request, body: bytes, admission: Admission, timeout_seconds: float
) -> Response:
    """Answers one chat request.

    Raises:
        ChatRequestError, RequestError: The request cannot be answered as it is.
        QueueFullError: Too much is waiting already.
        TimeoutError: There is no answer, or no first token of one, in time.
    """
    place = contextlib.ExitStack()
    with place:
        place.enter_context(admission())
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def on_text(piece: str | None) -> None:
            # The loop may be closed by the time the worker's last token is there.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        def check() -> tuple[ChatRequest, Any]:
            chat = parse_chat_request(body, engine.chat_requests)
            return chat, engine.check_chat(chat, on_text)

        chat, checked = await loop.run_in_executor(engine.check_thread, check)
        (ticket,) = engine.submit([checked])
        if not chat.stream:
            async with asyncio.timeout(timeout_seconds):
                (completion,) = await answers_while_client_waits(request, [ticket])
            text, calls = _said(chat, completion)
            reason = TOOL_CALLS if calls else completion.finish_reason
            return JSONResponse(_answer_to(chat).whole(text, reason, _usage(completion), calls))
        ticket.answer.add_done_callback(lambda _: on_text(None))
        stream = _events(chat, ticket, pieces, place.pop_all(), timeout_seconds)
        return StreamingResponse(
            stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )


async def _events(
    chat: ChatRequest,
    ticket: Ticket,
    pieces: "asyncio.Queue[str | None]",
    place: contextlib.ExitStack,
    timeout_seconds: float,
) -> AsyncIterator[bytes]:
    """Yields the events of a stream; the request is cancelled when the client disconnects."""
    answer = _answer_to(chat)
    try:
        with place:
            yield answer.start()
            async with asyncio.timeout(timeout_seconds):
                while (piece := await pieces.get()) is not None:
                    # Whether an answer calls a tool is known when it is whole.
                    if not _offered(chat):
                        yield answer.piece(piece)
            completion = ticket.answer.result(timeout=0)
            reason = completion.finish_reason
            if _offered(chat):
                text, calls = _said(chat, completion)
                reason = TOOL_CALLS if calls else reason
                if text:
                    yield answer.piece(text)
                if calls:
                    yield answer.calls(calls)
            usage = _usage(completion) if chat.wants_usage else None
            for last in answer.end(reason, usage):
                yield last
    except TimeoutError:
        yield event(error_document("no answer within the time limit", 503))
    except Exception:
        # The worker has logged what happened; a client needs to know only that it did.
        yield event(error_document("the model failed on this request", 500))
    finally:
        ticket.cancel()


def _offered(chat: ChatRequest) -> frozenset[str]:
    """Returns the names of the tools that the model was shown."""
    tools = chat.offered if isinstance(chat, ToolChatRequest) else ()
    return frozenset(tool["function"]["name"] for tool in tools)


def _said(chat: ChatRequest, completion: Completion) -> tuple[str, list[dict[str, Any]]]:
    """Returns the text of an answer and the calls of tools in it."""
    offered = _offered(chat)
    text, calls = read_calls(completion.text, offered) if offered else (completion.text, ())
    return text, [call.model_dump() for call in calls]


def _answer_to(chat: ChatRequest) -> ChatAnswer:
    return ChatAnswer(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), chat.model)


def _usage(completion: Completion) -> dict[str, int]:
    return usage_of(completion.prompt_tokens, completion.completion_tokens)
