"""The REST server: converts requests to messages and back, by the client's routes."""

import json
import logging
import re
from typing import Any

from aiohttp import web
from google.protobuf.message import Message

from doctune.localvertex import operation_methods
from doctune.localvertex.api.codec import Document, snake_case
from doctune.localvertex.api.errors import ApiError, Status, invalid
from doctune.localvertex.api.routes import Route, Router
from doctune.localvertex.dispatch import dispatch
from doctune.localvertex.services import invocations, predictions
from doctune.localvertex.vertex import Vertex

_OPERATION = re.compile(
    r"/(?:v1|v1beta1|ui)/(?P<name>projects/.+/operations/[^/:]+)(?::(?P<verb>cancel|wait))?"
)
_OPERATIONS = re.compile(r"/(?:v1|v1beta1|ui)/(?P<name>projects/.+/operations)")
# Query parameters that all of Google's APIs take.
_SYSTEM_PARAMETERS = frozenset(
    {"access_token", "alt", "callback", "fields", "key", "oauth_token", "prettyPrint"}
    | {"quotaUser", "uploadType", "upload_protocol"}
)
MAX_BODY_BYTES = 64 << 20

logger = logging.getLogger("doctune.localvertex")


class RestApi:
    """Answers REST requests to Vertex AI."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex
        self._router = Router(vertex.table.methods.values())

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answers one request; errors have Vertex's shape."""
        try:
            return await self._answer(request)
        except ApiError as error:
            body = _text(request, error.rest_body())
            return web.json_response(text=body, status=error.status.http_code)
        except web.HTTPException:
            raise
        except Exception as error:
            logger.exception("%s %s failed", request.method, request.path)
            internal = ApiError(Status.INTERNAL, f"Internal error: {error}")
            return web.json_response(internal.rest_body(), status=500)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if (match := _OPERATION.fullmatch(request.path)) is not None:
            return await self._operation(request, match["name"], match["verb"])
        if (match := _OPERATIONS.fullmatch(request.path)) and request.method == "GET":
            query = {snake_case(key): value for key, value in request.query.items()}
            found = await operation_methods.answer(self._vertex, "list", match["name"], query)
            return self._response(request, found)
        if (invocation := invocations.invocation_in(request.rel_url.raw_path)) is not None:
            return await invocations.invoke(self._vertex, request, invocation)
        route = self._router.find(request.method, request.path)
        if route is None:
            raise ApiError(
                Status.NOT_FOUND, f"{request.method} {request.path} is not a method of this API."
            )
        return await self._call(request, *route)

    async def _operation(
        self, request: web.Request, name: str, verb: str | None
    ) -> web.StreamResponse:
        verb = verb or {"GET": "get", "DELETE": "delete"}.get(request.method, "get")
        body = await _json_object(request) if verb == "wait" else {}
        return self._response(
            request, await operation_methods.answer(self._vertex, verb, name, body)
        )

    async def _call(
        self, request: web.Request, route: Route, fields: dict[str, str]
    ) -> web.StreamResponse:
        # Raw predictions pass the body through without parsing it.
        if route.method.key == "PredictionService.Predict":
            endpoint = self._vertex.projects.canonical(fields["endpoint"])
            body = await _json_object(request)
            body.pop("endpoint", None)
            predicted = await predictions.predict(self._vertex, endpoint, body)
            return web.json_response(text=_text(request, predicted))
        if route.method.key == "PredictionService.RawPredict":
            return await self._raw_predict(request, fields["endpoint"])
        if route.method.key == "PredictionService.StreamRawPredict":
            return await self._stream_raw_predict(request, fields["endpoint"])
        parsed = self._parse(route, fields, request, await request.read())
        return self._response(request, await dispatch(self._vertex, route.method, parsed))

    async def _raw_predict(self, request: web.Request, endpoint: str) -> web.Response:
        endpoint = self._vertex.projects.canonical(endpoint)
        answer = await predictions.raw_predict(
            self._vertex,
            endpoint,
            await request.read(),
            request.headers.get("Content-Type", "application/json"),
        )
        return web.Response(
            body=answer.body,
            status=answer.status,
            content_type=answer.content_type,
            headers=answer.headers(endpoint),
        )

    async def _stream_raw_predict(self, request: web.Request, endpoint: str) -> web.StreamResponse:
        endpoint = self._vertex.projects.canonical(endpoint)
        content_type = request.headers.get("Content-Type", "application/json")
        async with predictions.stream_raw_predict(
            self._vertex, endpoint, await request.read(), content_type
        ) as (answer, headers):
            response = web.StreamResponse(
                status=answer.status, headers={**headers, "Content-Type": answer.content_type}
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    def _parse(
        self, route: Route, fields: dict[str, str], request: web.Request, body: bytes
    ) -> Message:
        codec = self._vertex.codec
        parsed = self._vertex.table.message_class(route.method.request)()
        if body and route.body == "*":
            codec.parse_json(body, parsed)
        elif body and route.body:
            codec.parse_json(body, getattr(parsed, snake_case(route.body)))
        query: Document = {}
        for key in dict.fromkeys(request.query):
            own = snake_case(key) in parsed.DESCRIPTOR.fields_by_name
            if own or (key not in _SYSTEM_PARAMETERS and not key.startswith("$")):
                _nest(query, key.split("."), request.query.getall(key), parsed)
        if query:
            codec.merge_query(query, parsed)
        for field, value in fields.items():
            *above, last = field.split(".")
            target: Any = parsed
            for part in above:
                target = getattr(target, part)
            setattr(target, last, value)
        return parsed

    def _response(self, request: web.Request, value: Message) -> web.Response:
        # The generated REST clients ask with %24alt=json;enum-encoding=int.
        numbers = "enum-encoding=int" in request.query.get("$alt", "")
        return web.Response(
            text=self._vertex.codec.json(value, enums_as_numbers=numbers, indent=_indent(request)),
            content_type="application/json",
        )


def _indent(request: web.Request) -> int | None:
    """Returns how far JSON is indented: scripts read curl's answers by lines, as Google sends them.

    Google's client libraries, which name themselves, need no lines.
    """
    query = request.query
    asked = query.get("prettyPrint", query.get("$prettyPrint", "true"))
    return None if asked == "false" or "x-goog-api-client" in request.headers else 2


def _text(request: web.Request, document: Document) -> str:
    return json.dumps(document, indent=_indent(request))


def _nest(query: Document, path: list[str], values: list[str], into: Message) -> None:
    """Inserts a dotted query parameter into a nested document; repeated fields become lists."""
    descriptor: Any = into.DESCRIPTOR
    field = None
    for part in path:
        field = descriptor.fields_by_name.get(snake_case(part)) if descriptor else None
        descriptor = field.message_type if field else None
    *above, last = path
    for part in above:
        query = query.setdefault(part, {})
    query[last] = values if field is not None and field.is_repeated else values[-1]


async def _json_object(request: web.Request) -> Document:
    body = await request.read()
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error
    if not isinstance(value, dict):
        raise invalid("Invalid JSON payload received. An object is expected.")
    return value
