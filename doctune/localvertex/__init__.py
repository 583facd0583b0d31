"""A local implementation of Vertex AI's API, which unmodified Google Cloud clients can use."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doctune.localvertex.config import LocalVertexConfig
    from doctune.localvertex.lifecycle import (
        LocalVertex,
        LocalVertexStatus,
        down,
        execute,
        status,
        up,
    )

__all__ = [
    "LocalVertex",
    "LocalVertexConfig",
    "LocalVertexStatus",
    "down",
    "execute",
    "status",
    "up",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "LocalVertexConfig":
        from doctune.localvertex import config as module
    else:
        from doctune.localvertex import lifecycle as module  # type: ignore[no-redef]
    return getattr(module, name)
