"""Ids of predictions: unique, sortable by time, and containing their time."""

import secrets
import time
from datetime import UTC, datetime

PREFIX = "chatcmpl-"


def new_id() -> str:
    """Returns a new id."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{PREFIX}{milliseconds:012x}{secrets.token_hex(10)}"


def moment_of(prediction_id: str) -> datetime | None:
    """Returns when an id was made, to the millisecond; None if it is not one of ours."""
    digits = prediction_id.removeprefix(PREFIX)
    if digits == prediction_id or len(digits) != 32:
        return None
    try:
        return datetime.fromtimestamp(int(digits[:12], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
