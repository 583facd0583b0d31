"""Vertex AI on this machine, for the verbs that need it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doctune.settings import load_vertex_settings

if TYPE_CHECKING:
    from doctune.localvertex import LocalVertexConfig


def local_config() -> "LocalVertexConfig":
    from doctune.localvertex import LocalVertexConfig

    vertex = load_vertex_settings()
    return LocalVertexConfig(
        project=vertex.project,
        location=vertex.location,
        state_dir=vertex.local.state_dir.absolute(),
        programs=vertex.local.programs,
        buckets=(vertex.staging_bucket,),
    )


@contextmanager
def local_vertex() -> Iterator[dict[str, str]]:
    """Points this process at the Vertex AI of this machine, which is started if none runs."""
    from doctune.localvertex import LocalVertex

    with LocalVertex.attach_or_start(local_config()) as local:
        os.environ.update(local.environment)
        yield local.environment
