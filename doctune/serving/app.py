"""The HTTP side of the model server: Vertex AI's health and predict routes, and OpenAI's chat.

Until the model is loaded, health answers 503 with the reason and predict 503 with `Retry-After`.
`/live` says whether a restart would help: yes if the model is stuck, no while it loads.
An invalid request gets 4xx with `{"error": "<field>: <what is wrong>"}`, and 429 if the queue is
full. The logs have counts and sizes of requests and answers, never their text.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from doctune.serving.answering import AnsweringRoutes
from doctune.serving.metrics import CONTENT_TYPE, Measured, ServerMetrics
from doctune.serving.options import ServingOptions
from doctune.serving.readiness import Readiness

CHAT_ROUTE = "/v1/chat/completions"
LIVE_ROUTE = "/live"
METRICS_ROUTE = "/metrics"


def create_app(
    options: ServingOptions, readiness: Readiness, on_start: Callable[[], None]
) -> FastAPI:
    """Returns the application.

    Args:
        readiness: Holds the engine once it is loaded.
        on_start: Called when the server is about to listen; starts loading the model.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        on_start()
        yield
        if readiness.engine is not None:
            await asyncio.to_thread(readiness.engine.close)

    metrics = ServerMetrics(lambda: readiness.engine, readiness.problem)
    readiness.on_end = metrics.observe_ticket
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    _add_probes(app, options, readiness, metrics)
    routes = AnsweringRoutes(options, readiness)
    app.post(options.predict_route)(routes.predict)
    app.post(CHAT_ROUTE)(routes.chat_completions)

    @app.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    app.add_middleware(Measured, metrics=metrics, routes=(options.predict_route, CHAT_ROUTE))
    return app


def _add_probes(
    app: FastAPI, options: ServingOptions, readiness: Readiness, metrics: ServerMetrics
) -> None:
    """Adds the routes for health, liveness and metrics."""

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
