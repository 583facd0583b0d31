"""`doctune run --runner docker`: each step in the container of its image.

kfp 2.17's own runner lets a container remove itself and treats a missing container as a success, so
a step that fails immediately can appear to pass. Here the exit code is read before the container is
removed.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from doctune.runner import engine

if TYPE_CHECKING:
    from docker import DockerClient

    from doctune.runner.steps import Launch

_SIGNALS = 128  # exit codes above this stand for signals


def require_engine(spec: Path) -> None:
    """Raises UsageError if no container engine answers or the image of a step is missing."""
    with engine.connect() as client:
        engine.require_images(client, _images(spec))


@contextmanager
def container_launch(
    spec: Path, pipeline_root: Path, arguments: Mapping[str, Any]
) -> Iterator[tuple["Launch", dict[str, str]]]:
    """Yields a function that runs a step in a container of its image, and the id of each image.

    Args:
        arguments: The pipeline's arguments; local files and folders among them are mounted.
    """
    with engine.connect() as client, engine.ended_by_signals(client):
        engine.remove_abandoned(client)
        ids = engine.require_images(client, _images(spec))
        yield _launch(client, pipeline_root, list(_texts(arguments.values()))), ids


def _launch(client: "DockerClient", pipeline_root: Path, arguments: list[str]) -> "Launch":
    from doctune.runner.steps import Launched

    def launch(
        image: str, command: Sequence[str], parts: Sequence[str], variables: Mapping[str, str]
    ) -> Launched:
        container = engine.start(
            client,
            image,
            [*command, *parts],
            environment=os.environ,
            variables=variables,
            folders=[pipeline_root],
            arguments=arguments,
        )
        code = engine.wait(container)
        # The reason if the step could not report one itself; otherwise its log has it.
        ended = f"PipelineError: the step was ended by signal {code - _SIGNALS}"
        return Launched(code, ended if code > _SIGNALS else "")

    return launch


def _images(spec: Path) -> list[str]:
    document = next(iter(yaml.safe_load_all(spec.read_text(encoding="utf-8"))))
    executors = document["deploymentSpec"]["executors"].values()
    return [part["container"]["image"] for part in executors if "container" in part]


def _texts(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _texts(value)
        elif isinstance(value, Mapping):
            yield from _texts(value.values())
