"""Rows of predictions as the gateway writes them, for tests of what reads them."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from doctune.database.ids import PREFIX
from doctune.database.predictions import write_predictions

NOW = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)
_numbers = itertools.count(1)


def prediction_id(at: datetime = NOW, number: int | None = None) -> str:
    number = next(_numbers) if number is None else number
    return f"{PREFIX}{int(at.timestamp() * 1000):012x}{number:020x}"


def prediction_row(
    question: str = "How deep is the sill?",
    answer: str = "90 mm",
    *,
    at: datetime = NOW,
    owner: str = "ana",
    **more: Any,
) -> dict[str, Any]:
    return {
        "created_at": at,
        "id": prediction_id(at),
        "key_id": "key1",
        "owner": owner,
        "end_user": None,
        "conversation_id": None,
        "model": "handbook",
        "model_version": "1",
        "deployed_model_id": None,
        "upstream": None,
        "messages": [{"role": "user", "content": question}],
        "parameters": {},
        "answer": answer,
        "finish_reason": "stop",
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "first_token_ms": None,
        "total_ms": 12.5,
        "status": 200,
        "cache": "miss",
        "experiment": None,
        "arm": None,
        "sources": None,
        **more,
    }


def write_prediction(engine: Engine, *texts: str, **more: Any) -> str:
    """Writes one prediction and returns its id."""
    row = prediction_row(*texts, **more)
    write_predictions(engine, [row])
    return str(row["id"])


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)
