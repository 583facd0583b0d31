"""Converts values of parameters and artifacts to plain JSON values."""

from typing import Any


def integral(value: Any) -> Any:
    """Returns a JSON value with 1.0 as 1, since protobuf's Value has only doubles."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [integral(item) for item in value]
    if isinstance(value, dict):
        return {key: integral(item) for key, item in value.items()}
    return value


def plain(value: Any) -> Any:
    """Returns a value as plain JSON: an artifact as {uri, metadata, schema_title}."""
    from kfp import dsl

    if isinstance(value, dsl.Artifact):
        return {
            "uri": value.uri,
            "metadata": value.metadata,
            "schema_title": type(value).schema_title,
        }
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def one_line(error: BaseException) -> str:
    """Returns an error's message in one line, or its type if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__
