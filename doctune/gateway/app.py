"""The routes of the gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from doctune.chat_schema import ChatRequest
from doctune.database.engine import DatabaseError, ping
from doctune.feedback.request import FeedbackRequest, is_bad
from doctune.gateway import chat as chat_route
from doctune.gateway.bodies import (
    chat_request,
    feedback_request,
    read_body,
    text_request,
)
from doctune.gateway.conversations import add_conversations
from doctune.gateway.experiment_pages import add_experiment_pages
from doctune.gateway.feedback import keep
from doctune.gateway.keys import Principal
from doctune.gateway.metrics import CONTENT_TYPE
from doctune.gateway.openapi import allowed_methods, body_of, chat_body, describe, text_body
from doctune.gateway.page import add_page
from doctune.gateway.problems import GatewayError
from doctune.gateway.records import Exchange
from doctune.gateway.request_ids import REQUEST_ID, RequestIds, new_request_id
from doctune.gateway.review import add_review
from doctune.gateway.routing import Model
from doctune.gateway.services import Services
from doctune.gateway.upstreams import UpstreamError
from doctune.gateway.wire import ChatWire, TextWire, Wire

_READY_SECONDS = 5.0
_FLUSH_SECONDS = 5.0
# With the scope admin: which arm of an experiment answers. It is no exposure.
ARM_HEADER = "x-doctune-arm"

logger = logging.getLogger("doctune.gateway")


def create_app(services: Services) -> FastAPI:
    """Returns the application; it opens and closes the services."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.open()
        yield
        await services.close()

    app = FastAPI(
        title="doctune gateway",
        description="One API in front of every model.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": {"description": "An error in OpenAI's shape."}},
    )
    app.add_middleware(RequestIds)
    _add_errors(app)
    _add_health(app, services)
    _add_models(app, services)
    _add_answers(app, services)
    _add_feedback(app, services)
    add_review(app, services)
    add_conversations(app, services)
    add_experiment_pages(app, services)
    add_page(app)
    describe(app)
    return app


def _add_answers(app: FastAPI, services: Services) -> None:
    async def answer(request: Request, read: Callable[..., ChatRequest], wire: Wire) -> Response:
        principal = await services.identities.of(request.headers, "chat")
        body = await read_body(request, services.options)
        chat = read(body, services.options)
        exchange = Exchange(
            principal,
            chat,
            end_user=services.recorder.end_user(chat.user),
            traceparent=request.headers.get("traceparent", ""),
        )
        model = services.experiments.route(
            exchange,
            services.recorder.unit(exchange),
            _model(services, principal, chat.model),
            request.headers.get(ARM_HEADER, "") if "admin" in principal.scopes else "",
        )
        services.metrics.in_flight.inc()
        try:
            return await chat_route.answer(
                services, request, exchange, model.bound(exchange), model.wire(wire)
            )
        finally:
            services.metrics.in_flight.dec()

    @app.post("/v1/chat/completions", openapi_extra=chat_body(services.options.max_messages))
    async def chat_completions(request: Request) -> Response:
        return await answer(request, chat_request, ChatWire())

    @app.post("/v1/completions", openapi_extra=text_body(services.options.max_messages))
    async def completions(request: Request) -> Response:
        return await answer(request, text_request, TextWire())


def _add_models(app: FastAPI, services: Services) -> None:
    @app.get("/v1/models")
    async def models(request: Request) -> JSONResponse:
        principal = await services.identities.of(request.headers, "chat")
        listed = [
            _card(model) for model in services.models.values() if principal.may_ask(model.name)
        ]
        return JSONResponse({"object": "list", "data": listed})

    @app.get("/v1/models/{name:path}")
    async def model(request: Request, name: str) -> JSONResponse:
        principal = await services.identities.of(request.headers, "chat")
        return JSONResponse(_card(_model(services, principal, name)))


def _add_feedback(app: FastAPI, services: Services) -> None:
    @app.post("/v1/feedback", status_code=201, openapi_extra=body_of(FeedbackRequest))
    async def feedback(request: Request) -> JSONResponse:
        principal = await services.identities.of(request.headers, "feedback")
        said = feedback_request(await read_body(request, services.options))

        def kept() -> str:
            try:
                # An answer may be rated before the log has written it.
                services.log.flush(_FLUSH_SECONDS)
                return keep(services.engine, services.keeping, principal, said)
            except DatabaseError as error:
                logger.warning("Feedback cannot be stored: %s", type(error).__name__)
                raise GatewayError(
                    503,
                    "The feedback was not stored: the database is unavailable. Try again.",
                    code="database_unavailable",
                    retry_after=5,
                ) from error

        feedback_id = await asyncio.to_thread(kept)
        if said.kind == "rating":
            services.metrics.count_vote("down" if is_bad(said.kind, said.value()) else "up")
        document = {"id": feedback_id, "object": "feedback", "prediction_id": said.prediction_id}
        return JSONResponse(document, 201)


def _add_health(app: FastAPI, services: Services) -> None:
    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        async def database() -> None:
            await asyncio.to_thread(ping, services.engine)

        checks: dict[str, Awaitable[None]] = {"database": database()}
        checks |= {f"model {m.name}": m.refresh() for m in services.models.values()}
        problems = {}
        for name, check in checks.items():
            try:
                async with asyncio.timeout(_READY_SECONDS):
                    await check
            except (DatabaseError, UpstreamError, TimeoutError) as error:
                # Anyone may ask: what is wrong goes to the log, which part to the client.
                logger.warning("Not ready: %s: %s", name, error)
                problems[name] = "does not answer"
        status = "unavailable" if problems else "ready"
        return JSONResponse({"status": status, "problems": problems}, 503 if problems else 200)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        await services.identities.of(request.headers, "admin")
        services.metrics.log_waiting.set(services.log.waiting)
        services.metrics.log_dropped.set(services.log.dropped)
        services.metrics.limits_degraded.set(services.limiter.degraded)
        return Response(services.metrics.render(), media_type=CONTENT_TYPE)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(GatewayError)
    async def refuse(_: Request, error: GatewayError) -> Response:
        return Response(error.body(), error.status, error.headers())

    @app.exception_handler(HTTPException)
    async def refuse_route(request: Request, error: HTTPException) -> Response:
        wrong_method = error.status_code == 405
        problem = GatewayError(
            error.status_code,
            _no_such_route(request, error),
            code="method_not_allowed" if wrong_method else "unknown_route",
        )
        # Starlette names the methods of the first route with this path alone.
        more = {"allow": allowed_methods(request)} if wrong_method else error.headers or {}
        headers = {**more, **problem.headers()}
        return Response(problem.body(), error.status_code, headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:
        # The server logs the stack; a client needs to know only that it was not its fault.
        named = new_request_id()
        logger.error("%s failed: %s", named, type(error).__name__)
        problem = GatewayError(
            500,
            "The gateway failed on this request.",
            code="internal_error",
            headers={REQUEST_ID: named},
        )
        return Response(problem.body(), 500, problem.headers())


def _no_such_route(request: Request, error: HTTPException) -> str:
    path = request.scope["path"][:256]
    if error.status_code == 404:
        return f"There is no {path} here: GET /openapi.json lists the routes."
    if error.status_code == 405:
        return f"{path} takes {allowed_methods(request)}, not {request.method}."
    return str(error.detail)


def _model(services: Services, principal: Principal, name: str) -> Model:
    model = services.models.get(name)
    if model is None or not principal.may_ask(name):
        raise GatewayError(
            404,
            f"There is no model {name[:256]} for this key: GET /v1/models lists those it may use.",
            code="model_not_found",
            param="model",
        )
    return model


def _card(model: Model) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "doctune",
    }
