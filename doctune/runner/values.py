"""Values of parameters and artifacts as documents."""

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


def plain(value: Any) -> Any:
    """Returns a value as a document: an artifact as {uri, metadata, schema_title}."""
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
    """Returns an error's message in one line; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
