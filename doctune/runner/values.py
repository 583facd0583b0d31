"""Values as they come out of protobuf."""

from typing import Any


def integral(value: Any) -> Any:
    """Returns a document with 1.0 as 1: protobuf's Value knows only doubles, programs do not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [integral(item) for item in value]
    if isinstance(value, dict):
        return {key: integral(item) for key, item in value.items()}
    return value
