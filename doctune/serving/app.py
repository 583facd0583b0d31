"""The HTTP side of the model server: Vertex AI's health and predict routes, and OpenAI's chat.

Until the model is loaded, health answers 503 with the reason and predict 503 with `Retry-After`.
`/live` says whether a restart would help: not while the model loads, but where it is stuck.
A wrong request is answered 4xx with `{"error": "<field>: <what is wrong>"}`, a full queue 429.
The logs say how much was asked and answered, never what.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from doctune.chat_schema import ChatRequestError
from doctune.chat_wire import error_document
from doctune.inference.batching import QueueFullError, Ticket
from doctune.inference.batching import Request as Batched
from doctune.inference.generation import Completion
from doctune.serving.chat import answer_chat, refused
from doctune.serving.engine import Engine
from doctune.serving.metrics import CONTENT_TYPE, Measured, ServerMetrics
from doctune.serving.options import ServingOptions
from doctune.serving.schema import RequestError, is_chat_body, parse_request
from doctune.serving.transport import Admission, answers_while_client_waits, bounded_body

CHAT_ROUTE = "/v1/chat/completions"
LIVE_ROUTE = "/live"
METRICS_ROUTE = "/metrics"

_RETRY_WHILE_LOADING_SECONDS = 5
_RETRY_WHEN_FULL_SECONDS = 1

_FULL = "too many instances are waiting: try again"
_LATE = "no answer within the time limit"
_FAILED = "the model failed on this request"

logger = logging.getLogger("doctune.serving")


class Readiness:
    """The engine that answers, or why there is none."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.reason = "the model is loading"
        self.on_end: Callable[[Ticket, Future[Completion]], None] | None = None

    def begin(self, engine: Engine) -> None:
        """Lets an engine answer from now on."""
        engine.on_end = self.on_end
        self.engine = engine

    def problem(self) -> str:
        """Returns why the server cannot answer; "" when it can."""
        if self.engine is None:
            return self.reason
        return self.engine.problem

    def fault(self) -> str:
        """Returns what a restart would mend; "" where there is nothing, as while it loads."""
        return "" if self.engine is None else self.engine.problem


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

    admission = Admission(options.max_waiting + options.max_batch_size)
    metrics = ServerMetrics(lambda: readiness.engine, readiness.problem)
    readiness.on_end = metrics.observe_ticket
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    _add_probes(app, options, readiness, metrics)

    @app.post(options.predict_route)
    async def predict(request: Request) -> Response:
        engine = readiness.engine
        if engine is None:
            return _error(readiness.reason, 503, _RETRY_WHILE_LOADING_SECONDS)
        start = time.monotonic()
        try:
            async with asyncio.timeout(options.request_timeout_seconds):
                with admission():
                    body = await bounded_body(request, options.max_body_bytes)
                    if not is_chat_body(body):
                        answers = await _answer(engine, body, request)
                        _log("predict", answers, start)
                        return JSONResponse({"predictions": [a.prediction for a in answers]})
            return await chat(engine, request, body)
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

    @app.post(CHAT_ROUTE)
    async def chat_completions(request: Request) -> Response:
        engine = readiness.engine
        if engine is None:
            return _chat_error(readiness.reason, 503, _RETRY_WHILE_LOADING_SECONDS)
        try:
            async with asyncio.timeout(options.request_timeout_seconds):
                with admission():
                    body = await bounded_body(request, options.max_body_bytes)
        except RequestError as error:
            return refused(error)
        except QueueFullError:
            return _chat_error(_FULL, 429, _RETRY_WHEN_FULL_SECONDS)
        except TimeoutError:
            return _chat_error(_LATE, 503, _RETRY_WHILE_LOADING_SECONDS)
        return await chat(engine, request, body)

    async def chat(engine: Engine, request: Request, body: bytes) -> Response:
        try:
            answer = await answer_chat(
                engine, request, body, admission, options.request_timeout_seconds
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

    @app.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    app.add_middleware(Measured, metrics=metrics, routes=(options.predict_route, CHAT_ROUTE))
    return app


def _add_probes(
    app: FastAPI, options: ServingOptions, readiness: Readiness, metrics: ServerMetrics
) -> None:
    """Adds the routes that say how the server does."""

    @app.get(options.health_route)
    async def health() -> JSONResponse:
        problem = readiness.problem()
        if problem:
            return JSONResponse({"status": "unavailable", "reason": problem}, 503)
        return JSONResponse({"status": "ready"})

    @app.get(LIVE_ROUTE)
    async def live() -> JSONResponse:
        fault = readiness.fault()
        if fault:
            return JSONResponse({"status": "stuck", "reason": fault}, 503)
        return JSONResponse({"status": "alive"})

    @app.get(METRICS_ROUTE)
    async def counted() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)


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
