"""`/v1/review`: the queue of answers to look at, for keys with the scope `review`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from doctune.database import reviews
from doctune.database.engine import DatabaseError
from doctune.database.tables import Feedback, ReviewEvent, ReviewItem
from doctune.feedback.request import LONGEST_TEXT
from doctune.gateway.bodies import read_body
from doctune.gateway.problems import GatewayError
from doctune.gateway.services import Services
from doctune.validation import first_problem

_PAGE = 50
_STATES = {"accept": "accepted", "edit": "edited", "reject": "rejected", "merge": "merged"}
_T = TypeVar("_T")


class DecisionRequest(BaseModel):
    """What a reviewer decides of an answer that they have claimed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    action: Literal["accept", "edit", "reject", "merge"]
    answer: str | None = Field(default=None, min_length=1, max_length=LONGEST_TEXT)
    into: str | None = Field(default=None, max_length=64)
    note: str | None = Field(default=None, max_length=LONGEST_TEXT)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> DecisionRequest:
        if (self.answer is not None) != (self.action in ("accept", "edit")):
            raise ValueError("accept and edit need the right answer, and nothing else has one")
        if (self.into is not None) != (self.action == "merge"):
            raise ValueError("merge needs `into`, and nothing else has it")
        return self


def add_review(app: FastAPI, services: Services) -> None:
    """Adds the routes."""

    @app.get("/v1/review/queue")
    async def queue(request: Request) -> JSONResponse:
        who = await services.identities.of(request.headers, "review")
        items = await _asked(reviews.queue_page, services.engine, who.owner, who.name, _PAGE)
        return JSONResponse({"object": "list", "data": [_card(item) for item in items]})

    @app.post("/v1/review/items/{name}/claim")
    async def claim(request: Request, name: str) -> JSONResponse:
        who = await services.identities.of(request.headers, "review")
        until = await _asked(reviews.claim, services.engine, who.owner, who.name, name)
        detail = await _asked(reviews.review_detail, services.engine, who.owner, name)
        return JSONResponse({**_detail(detail), "claimed_until": until.isoformat()})

    @app.post("/v1/review/items/{name}/release")
    async def release(request: Request, name: str) -> JSONResponse:
        who = await services.identities.of(request.headers, "review")
        await _asked(reviews.release, services.engine, who.owner, who.name, name)
        return JSONResponse({"id": name, "object": "review.item"})

    @app.post("/v1/review/items/{name}/decision")
    async def decision(request: Request, name: str) -> JSONResponse:
        who = await services.identities.of(request.headers, "review")
        said = _decision(await read_body(request, services.options))

        def decide() -> None:
            reviews.decide(
                services.engine,
                who.owner,
                who.name,
                name,
                state=_STATES[said.action],
                answer=services.recorder.text(said.answer),
                merged_into=said.into,
                note=services.recorder.text(said.note),
            )

        await _asked(decide)
        return JSONResponse({"id": name, "object": "review.item", "state": _STATES[said.action]})


def _decision(body: bytes) -> DecisionRequest:
    try:
        return DecisionRequest.model_validate_json(body)
    except ValidationError as error:
        raise GatewayError(400, first_problem(error), code="invalid_value") from error


async def _asked(ask: Callable[..., _T], *arguments: Any) -> _T:
    try:
        return await asyncio.to_thread(ask, *arguments)
    except reviews.NotYoursError as error:
        raise GatewayError(
            409,
            "This item is not yours to decide: claim it first, or take the next one.",
            code="not_claimed",
        ) from error
    except DatabaseError as error:
        raise GatewayError(
            503,
            "The review queue cannot be reached now. Try again.",
            code="database_unavailable",
            retry_after=5,
        ) from error


def _card(item: ReviewItem) -> dict[str, Any]:
    return {
        "id": item.prediction_id,
        "object": "review.item",
        "question": item.question,
        "cluster": item.cluster,
        "priority": item.priority,
        "disagreement": item.disagreement,
        "state": item.state,
    }


def _detail(detail: reviews.ReviewDetail) -> dict[str, Any]:
    prediction = detail.prediction
    return {
        **_card(detail.item),
        "answer": prediction.answer if prediction else None,
        "model": prediction.model if prediction else None,
        "model_version": prediction.model_version if prediction else None,
        "sources": (prediction.sources if prediction else None) or [],
        "feedback": [_said(row) for row in detail.feedback],
        "history": [_event(event) for event in detail.events],
    }


def _said(row: Feedback) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "value": row.value,
        "reason": row.reason,
        "source": row.source,
        "version": row.version,
        "created_at": row.created_at.isoformat(),
    }


def _event(event: ReviewEvent) -> dict[str, Any]:
    return {
        "action": event.action,
        "reviewer": event.reviewer,
        "created_at": event.created_at.isoformat(),
        "details": event.details,
    }
