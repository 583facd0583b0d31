"""The routes that answer: Vertex AI's predict, and OpenAI's chat."""

import asyncio
import logging
import time
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from doctune.chat_schema import ChatRequestError
from doctune.chat_wire import error_document
from doctune.inference.batching import QueueFullError
from doctune.inference.batching import Request as Batched
from doctune.inference.completion import Completion
from doctune.serving.chat import answer_chat
from doctune.serving.engine import Engine
from doctune.serving.options import ServingOptions
from doctune.serving.readiness import Readiness
from doctune.serving.schema import RequestError, is_chat_body, parse_request
from doctune.serving.transport import Admission, answers_while_client_waits, bounded_body

_RETRY_WHILE_LOADING_SECONDS = 5
_RETRY_WHEN_FULL_SECONDS = 1

_FULL = "too many instances are waiting: try again"
_LATE = "no answer within the time limit"
_FAILED = "the model failed on this request"

logger = logging.getLogger("doctune.serving")


class AnsweringRoutes:
    """Answers requests with the loaded engine, as many at once as its queue admits."""

    def __init__(self, options: ServingOptions, readiness: Readiness) -> None:
        self._options, self._readiness = options, readiness
        self._admission = Admission(options.max_waiting + options.max_batch_size)

    async def predict(self, request: Request) -> Response:
        """Answers Vertex AI's instances, or OpenAI's body, which `rawPredict` sends here."""
        engine = self._readiness.engine
        if engine is None:
            return self._loading.in_vertex_form()
        start = time.monotonic()
        try:
            async with asyncio.timeout(self._options.request_timeout_seconds):
                with self._admission():
                    body = await bounded_body(request, self._options.max_body_bytes)
                    if not is_chat_body(body):
                        answers = await _answer(engine, body, request)
                        _log("predict", answers, start)
                        return JSONResponse({"predictions": [a.prediction for a in answers]})
            return await self._chat(engine, request, body)
        except Exception as error:
            return refusal_of(error, "predict").in_vertex_form()

    async def chat_completions(self, request: Request) -> Response:
        """Answers OpenAI's chat, streamed where the request says so."""
        engine = self._readiness.engine
        if engine is None:
            return self._loading.in_openai_form()
        try:
            async with asyncio.timeout(self._options.request_timeout_seconds):
                with self._admission():
                    body = await bounded_body(request, self._options.max_body_bytes)
        except Exception as error:
            return refusal_of(error, "chat").in_openai_form()
        return await self._chat(engine, request, body)

    async def _chat(self, engine: Engine, request: Request, body: bytes) -> Response:
        try:
            answer = await answer_chat(
                engine, request, body, self._admission, self._options.request_timeout_seconds
            )
        except Exception as error:
            return refusal_of(error, "chat").in_openai_form()
        logger.info("chat: %d", answer.status_code)
        return answer

    @property
    def _loading(self) -> "Refusal":
        return Refusal(self._readiness.reason, 503, _RETRY_WHILE_LOADING_SECONDS)


@dataclass(frozen=True)
class Refusal:
    """The error that a client gets instead of an answer."""

    message: str
    status: int
    retry_seconds: int | None = None
    param: str = ""
    code: str = ""

    def in_vertex_form(self) -> JSONResponse:
        """Returns the response of the predict route."""
        return JSONResponse({"error": self.message}, self.status, self._headers)

    def in_openai_form(self) -> JSONResponse:
        """Returns the response of the chat route."""
        document = error_document(self.message, self.status, self.param, self.code)
        return JSONResponse(document, self.status, self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        return {} if self.retry_seconds is None else {"Retry-After": str(self.retry_seconds)}


def refusal_of(error: Exception, route: str) -> Refusal:
    """Returns the client's message for an error, and logs the error for the operator.

    Overload is logged as a warning. The message of an invalid request is not logged, since it may
    quote the request.
    """
    if isinstance(error, ChatRequestError):
        logger.info("%s: 400", route)
        return Refusal(str(error), 400, param=error.param, code=error.code)
    if isinstance(error, RequestError):
        logger.info("%s: %d", route, error.status)
        return Refusal(str(error), error.status)
    if isinstance(error, QueueFullError):
        refusal = Refusal(_FULL, 429, _RETRY_WHEN_FULL_SECONDS)
    elif isinstance(error, TimeoutError):
        refusal = Refusal(_LATE, 503, _RETRY_WHILE_LOADING_SECONDS)
    else:
        # The worker has logged what happened; a client needs to know only that it did.
        refusal = Refusal(_FAILED, 500)
    logger.warning("%s: %d, %s", route, refusal.status, refusal.message)
    return refusal


async def _answer(engine: Engine, body: bytes, request: Request) -> list[Completion]:
    """Checks a request in a thread, then waits for the answers or for a disconnect."""

    def check() -> list[Batched]:
        return engine.check(parse_request(body))

    loop = asyncio.get_running_loop()
    requests = await loop.run_in_executor(engine.check_thread, check)
    return await answers_while_client_waits(request, engine.submit(requests))


def _log(route: str, answers: list[Completion], start: float) -> None:
    logger.info(
        "%s: 200, %d instances, %d prompt tokens, %d completion tokens, %.3f s",
        route,
        len(answers),
        sum(answer.prompt_tokens for answer in answers),
        sum(answer.completion_tokens for answer in answers),
        time.monotonic() - start,
    )
