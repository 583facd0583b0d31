"""The HTTP side of the model server: Vertex AI's health and predict routes.

Until the model is loaded, health answers 503 with the reason and predict 503 with `Retry-After`.
A wrong request is answered 4xx with `{"error": "<field>: <what is wrong>"}`, a full queue 429.
The logs say how much was asked and answered, never what.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from doctune.inference.batching import QueueFullError
from doctune.inference.generation import Completion, GenerationOptions
from doctune.serving.engine import Engine
from doctune.serving.options import ServingOptions
from doctune.serving.schema import PredictRequest, RequestError, parse_request

_RETRY_WHILE_LOADING_SECONDS = 5
_RETRY_WHEN_FULL_SECONDS = 1

logger = logging.getLogger("doctune.serving")


class Readiness:
    """Which engine answers, or why none does."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.reason = "the model is loading"

    def problem(self) -> str:
        """Returns why the server cannot answer; "" when it can."""
        if self.engine is None:
            return self.reason
        return "" if self.engine.healthy else "the last batches failed: see the server's log"


def create_app(
    options: ServingOptions, readiness: Readiness, on_start: Callable[[], None]
) -> FastAPI:
    """Returns the application.

    Args:
        readiness: Where the engine is put once it is loaded.
        on_start: Called when the server is about to listen; starts the loading.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        on_start()
        yield
        if readiness.engine is not None:
            await asyncio.to_thread(readiness.engine.close)

    admission = _Admission(options.max_waiting + options.max_batch_size)
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get(options.health_route)
    async def health() -> JSONResponse:
        problem = readiness.problem()
        if problem:
            return JSONResponse({"status": "unavailable", "reason": problem}, 503)
        return JSONResponse({"status": "ready"})

    @app.post(options.predict_route)
    async def predict(request: Request) -> JSONResponse:
        engine = readiness.engine
        if engine is None:
            return _error(readiness.reason, 503, _RETRY_WHILE_LOADING_SECONDS)
        start = time.monotonic()
        try:
            async with asyncio.timeout(options.request_timeout_seconds):
                with admission():
                    body = await _bounded_body(request, options.max_body_bytes)
                    answers = await _answer(engine, body, request)
        except RequestError as error:
            logger.info("predict: %d", error.status)
            return _error(str(error), error.status)
        except QueueFullError:
            logger.warning("predict: 429, too many instances are waiting")
            return _error(
                "too many instances are waiting: try again", 429, _RETRY_WHEN_FULL_SECONDS
            )
        except TimeoutError:
            logger.warning("predict: 503, no answer within the time limit")
            return _error("no answer within the time limit", 503, _RETRY_WHILE_LOADING_SECONDS)
        except Exception:
            # The worker has logged what happened; a client needs to know only that it did.
            return _error("the model failed on this request", 500)
        logger.info(
            "predict: 200, %d instances, %d prompt tokens, %d completion tokens, %.3f s",
            len(answers),
            sum(answer.prompt_tokens for answer in answers),
            sum(answer.completion_tokens for answer in answers),
            time.monotonic() - start,
        )
        return JSONResponse({"predictions": [answer.prediction for answer in answers]})

    @app.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    return app


class _Admission:
    """Bounds the requests in the house, so that their bodies cannot fill the memory."""

    def __init__(self, most: int) -> None:
        self._most, self._inside = most, 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        if self._inside >= self._most:
            raise QueueFullError
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


def _error(message: str, status: int, retry_seconds: int | None = None) -> JSONResponse:
    headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}
    return JSONResponse({"error": message}, status, headers)


async def _bounded_body(request: Request, limit: int) -> bytes:
    """Returns the body, without ever holding much more than the limit."""
    body = bytearray()
    declared = request.headers.get("content-length", "")
    too_large = declared.isdigit() and int(declared) > limit
    if not too_large:
        async for chunk in request.stream():
            body += chunk
            if too_large := len(body) > limit:
                break
    if too_large:
        raise RequestError(f"the body is larger than {limit} bytes", 413)
    return bytes(body)


async def _answer(engine: Engine, body: bytes, request: Request) -> list[Completion]:
    """Checks a request off the event loop, then waits for its answers or for its client to go."""

    def check() -> tuple[PredictRequest, list[GenerationOptions]]:
        parsed = parse_request(body)
        return parsed, engine.check(parsed)

    loop = asyncio.get_running_loop()
    parsed, chosen = await loop.run_in_executor(engine.check_thread, check)
    answers = asyncio.gather(*(asyncio.wrap_future(f) for f in engine.submit(parsed, chosen)))
    gone = asyncio.create_task(_client_is_gone(request))
    waiting: set[asyncio.Future[Any]] = {answers, gone}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            return answers.result()
        raise RequestError("the client is gone", 499)
    finally:
        # What nobody waits for any more is not decoded.
        gone.cancel()
        answers.cancel()


async def _client_is_gone(request: Request) -> None:
    """Returns when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
