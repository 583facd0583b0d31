"""Starts the local Vertex AI for the commands that need it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doctune.configuration.settings import load_vertex_settings

if TYPE_CHECKING:
    from doctune.localvertex import LocalVertexConfig

# The project of the configuration that comes with doctune.
LOCAL_PROJECT = "doctune-local"


def local_config(programs: Mapping[str, list[str]] | None = None) -> "LocalVertexConfig":
    """Returns the configuration; `programs` go before those of the settings."""
    from doctune.localvertex import LocalVertexConfig

    vertex = load_vertex_settings()
    return LocalVertexConfig(
        project=vertex.project,
        location=vertex.location,
        state_dir=vertex.local.state_dir.absolute(),
        programs={**(programs or {}), **vertex.local.programs},
        buckets=(vertex.staging_bucket,),
        trusted_models=vertex.local.trusted_models,
        allowed_hosts=vertex.local.allowed_hosts,
        bigquery=vertex.local.bigquery,
        refuse_folder_renames=vertex.local.refuse_folder_renames,
    )


@contextmanager
def local_vertex(programs: Mapping[str, list[str]] | None = None) -> Iterator[dict[str, str]]:
    """Points this process at the local Vertex AI, starting it if it is not running.

    Args:
        programs: What stands for images in one that is started, before what the settings say.
    """
    from doctune.localvertex import LocalVertex

    with (
        LocalVertex.attach_or_start(local_config(programs)) as local,
        _variables(local.environment) as environment,
    ):
        yield environment


@contextmanager
def keep_local_vertex() -> Iterator[dict[str, str]]:
    """As `local_vertex`, with a server that goes on after this process."""
    from doctune.localvertex import up

    with _variables(up(local_config()).environment) as environment:
        yield environment


@contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Sets variables of this process, which are as they were at the end: the proxy may be gone."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield dict(environment)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
