"""What `/openapi.json` says that the routes' signatures do not: bodies, keys, methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.routing import Match, Route

from doctune.chat_schema import ChatRequest

OPEN_ROUTES = ("/healthz", "/readyz")  # the only ones that need no key

_KEY = {"key": {"type": "http", "scheme": "bearer"}}
_PROMPT = {
    "description": "One text.",
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "maxItems": 1,
        },
    ],
}


def describe(app: FastAPI) -> None:
    """Makes the application's description say which routes need a key."""

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            found.setdefault("components", {})["securitySchemes"] = _KEY
            for route, methods in found["paths"].items():
                for method in methods.values():
                    method["security"] = [] if route in OPEN_ROUTES else [{"key": []}]
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign] # FastAPI's way to change it


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """Returns the description of a body that a route reads by itself."""
    return _body(_schema(model))


def chat_body(most_messages: int) -> dict[str, Any]:
    """Returns the description of a chat request's body."""
    return _body(_chat_schema(most_messages))


def text_body(most_messages: int) -> dict[str, Any]:
    """Returns the description of a text completion's body: a chat's, but for the prompt."""
    schema = _chat_schema(most_messages)
    schema["title"] = "TextCompletionRequest"
    schema["properties"] = {"prompt": _PROMPT} | {
        name: part for name, part in schema["properties"].items() if name != "messages"
    }
    schema["required"] = ["model", "prompt"]
    return _body(schema)


def allowed_methods(request: Request) -> str:
    """Returns the methods that a path takes, as the header `Allow` names them."""
    found: set[str] = set()
    for route in request.app.router.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return ", ".join(sorted(found))


def _chat_schema(most_messages: int) -> dict[str, Any]:
    schema = _schema(ChatRequest)
    properties = schema["properties"]
    # The model server needs no model's name, the gateway does.
    properties["model"] = {"type": "string", "minLength": 1, "maxLength": 256}
    properties["messages"]["maxItems"] = most_messages
    schema["required"] = ["model", "messages"]
    given = {"properties": {"stream_options": {"type": "object"}}, "required": ["stream_options"]}
    streamed = {"properties": {"stream": {"const": True}}, "required": ["stream"]}
    return {**schema, "if": given, "then": streamed}


def _body(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    inlined: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}))
    return inlined


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}
