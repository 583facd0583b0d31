"""`/v1/conversations` and `/v1/sources`: what is remembered, and the pages of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from doctune.database import conversations as kept
from doctune.database.engine import DatabaseError
from doctune.database.tables import Conversation
from doctune.errors import StorageError
from doctune.gateway.problems import GatewayError
from doctune.gateway.services import Services

_LISTED, _MOST_LISTED = 50, 100
_T = TypeVar("_T")


def add_conversations(app: FastAPI, services: Services) -> None:
    """Adds the routes."""

    @app.get("/v1/conversations")
    async def conversations(request: Request) -> JSONResponse:
        principal = await services.identities.of(request.headers, "chat")
        limit, before = _window(request)
        rows = await _asked(
            kept.list_conversations, services.engine, principal.owner, limit, before
        )
        return JSONResponse({"object": "list", "data": [_card(row) for row in rows]})

    @app.get("/v1/conversations/{name}")
    async def conversation(request: Request, name: str) -> JSONResponse:
        principal = await services.identities.of(request.headers, "chat")
        place = kept.ConversationKey(principal.owner, name)
        row = await _asked(kept.find, services.engine, place)
        if row is None:
            raise _unknown(name)
        said = await _asked(kept.messages, services.engine, place)
        now = {one.id for one in await _asked(kept.path, services.engine, place)}
        return JSONResponse(
            {**_card(row), "messages": [_message(one, one.id in now) for one in said]}
        )

    @app.delete("/v1/conversations/{name}")
    async def delete(request: Request, name: str) -> JSONResponse:
        principal = await services.identities.of(request.headers, "chat")
        place = kept.ConversationKey(principal.owner, name)
        if not await _asked(kept.delete_conversation, services.engine, place):
            raise _unknown(name)
        return JSONResponse({"id": name, "object": "conversation.deleted", "deleted": True})

    @app.get("/v1/sources/{name}/page.png", response_class=Response)
    async def page(request: Request, name: str) -> Response:
        principal = await services.identities.of(request.headers, "chat")
        for model in services.models.values():
            if not principal.may_ask(model.name):
                continue
            try:
                picture = await model.picture(name, principal)
            except StorageError as error:
                raise GatewayError(404, str(error), code="page_unavailable") from error
            if picture is not None:
                headers = {"cache-control": "private, max-age=3600"}
                return Response(picture, headers=headers, media_type="image/png")
        # Who may not see a source learns no more than that there is none.
        raise GatewayError(404, "There is no such source.", code="source_not_found")


def _window(request: Request) -> tuple[int, datetime | None]:
    """Returns how many are listed, and before which moment."""
    given = request.query_params
    limit = given.get("limit", str(_LISTED))
    try:
        if not limit.isdecimal() or not 1 <= int(limit) <= _MOST_LISTED:
            raise ValueError
        before = datetime.fromtimestamp(int(given["before"]), UTC) if "before" in given else None
    except (ValueError, OverflowError, OSError) as error:
        raise GatewayError(
            400,
            f"limit is a number from 1 to {_MOST_LISTED}, before one of seconds, as in `updated`.",
            code="invalid_value",
        ) from error
    return int(limit), before


async def _asked(ask: Callable[..., _T], *arguments: Any) -> _T:
    try:
        return await asyncio.to_thread(ask, *arguments)
    except DatabaseError as error:
        raise GatewayError(
            503, "Conversations cannot be read now. Try again.", code="database_unavailable"
        ) from error


def _unknown(name: str) -> GatewayError:
    return GatewayError(
        404, f"You have no conversation {name[:64]}.", code="conversation_not_found"
    )


def _card(row: Conversation) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "conversation",
        "model": row.agent,
        "title": row.title,
        "created": int(row.created_at.timestamp()),
        "updated": int(row.updated_at.timestamp()),
    }


def _message(one: kept.NewMessage, on_path: bool) -> dict[str, Any]:
    return {
        "id": one.id,
        "after": one.parent_id or None,
        "role": one.role,
        "content": one.content,
        "created": int(one.created_at.timestamp()),
        "current": on_path,
        **one.details,
    }
