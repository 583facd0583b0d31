"""The routes that answer: Vertex AI's predict, and OpenAI's chat."""

import asyncio
import logging
import time

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from doctune.chat_schema import ChatRequestError
from doctune.chat_wire import error_document
from doctune.inference.batching import QueueFullError
from doctune.inference.batching import Request as Batched
from doctune.inference.generation import Completion
from doctune.serving.chat import answer_chat, refused
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
    """Answers requests by the engine that is ready, as many at once as its queue admits."""

    def __init__(self, options: ServingOptions, readiness: Readiness) -> None:
        self._options, self._readiness = options, readiness
        self._admission = Admission(options.max_waiting + options.max_batch_size)

    async def predict(self, request: Request) -> Response:
        """Answers Vertex AI's instances, or OpenAI's body, which `rawPredict` sends here."""
        engine = self._readiness.engine
        if engine is None:
            return _error(self._readiness.reason, 503, _RETRY_WHILE_LOADING_SECONDS)
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
        except RequestError as error:
            logger.info("predict: %d", error.status)
            return _error(str(error), error.status)
        except QueueFullError:
            logger.warning("predict: 429, too many instances are waiting")
            return _error(_FULL, 429, _RETRY_WHEN_FULL_SECONDS)
        except TimeoutError:
            logger.warning("predict: 503, no answer within the time limit")
            return _error(_LATE, 503, _RETRY_WHILE_LOADING_SECONDS)
        except Exception:
            # The worker has logged what happened; a client needs to know only that it did.
            return _error(_FAILED, 500)

    async def chat_completions(self, request: Request) -> Response:
        """Answers OpenAI's chat, streamed where the request says so."""
        engine = self._readiness.engine
        if engine is None:
            return _chat_error(self._readiness.reason, 503, _RETRY_WHILE_LOADING_SECONDS)
        try:
            async with asyncio.timeout(self._options.request_timeout_seconds):
                with self._admission():
                    body = await bounded_body(request, self._options.max_body_bytes)
        except RequestError as error:
            return refused(error)
        except QueueFullError:
            return _chat_error(_FULL, 429, _RETRY_WHEN_FULL_SECONDS)
        except TimeoutError:
            return _chat_error(_LATE, 503, _RETRY_WHILE_LOADING_SECONDS)
        return await self._chat(engine, request, body)

    async def _chat(self, engine: Engine, request: Request, body: bytes) -> Response:
        try:
            answer = await answer_chat(
                engine, request, body, self._admission, self._options.request_timeout_seconds
            )
        except (ChatRequestError, RequestError) as error:
            response = refused(error)
            logger.info("chat: %d", response.status_code)
            return response
        except QueueFullError:
            logger.warning("chat: 429, too many requests are waiting")
            return _chat_error(_FULL, 429, _RETRY_WHEN_FULL_SECONDS)
        except TimeoutError:
            logger.warning("chat: 503, no answer within the time limit")
            return _chat_error(_LATE, 503, _RETRY_WHILE_LOADING_SECONDS)
        except Exception:
            # The worker has logged what happened; a client needs to know only that it did.
            return _chat_error(_FAILED, 500)
        logger.info("chat: %d", answer.status_code)
        return answer


def _error(message: str, status: int, retry_seconds: int | None = None) -> JSONResponse:
    headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}
    return JSONResponse({"error": message}, status, headers)


def _chat_error(message: str, status: int, retry_seconds: int | None = None) -> JSONResponse:
    headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}
    return JSONResponse(error_document(message, status), status, headers)


async def _answer(engine: Engine, body: bytes, request: Request) -> list[Completion]:
    """Checks a request off the event loop, then waits for answers or for a disconnect."""

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
