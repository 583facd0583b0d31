"""`doctune run --runner docker`: each step in the container of its image.

kfp.local.DockerRunner does it, but for the container itself: kfp 2.17 lets a container remove
itself and takes one that is gone for a success, so that a step that failed at once could pass. Here
the exit code is read before the container is removed.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from doctune.runner import engine

if TYPE_CHECKING:
    from docker import DockerClient
    from kfp.local import DockerRunner

_SIGNALS = 128  # exit codes above this stand for signals


def require_engine(spec: Path) -> None:
    """Raises UsageError where no engine answers, or an image of the spec's steps is missing."""
    with engine.connect() as client:
        engine.require_images(client, _images(spec))


@contextmanager
def docker_runner(
    spec: Path, pipeline_root: Path, arguments: Mapping[str, Any]
) -> Iterator[tuple["DockerRunner", dict[str, str]]]:
    """Makes kfp.local run the spec's steps in containers of ours while this lasts.

    Args:
        arguments: The pipeline's; files and folders of this machine among them are mounted.

    Yields:
        The runner for `kfp.local.init`, and the id of each image, for the cache.
    """
    from kfp.local import DockerRunner, docker_task_handler

    with engine.connect() as client, engine.ended_by_signals(client):
        engine.remove_abandoned(client)
        ids = engine.require_images(client, _images(spec))
        run_by_kfp = docker_task_handler.run_docker_container
        docker_task_handler.run_docker_container = _runs_containers(
            client, pipeline_root, list(_texts(arguments.values()))
        )
        try:
            yield DockerRunner(), ids
        finally:
            docker_task_handler.run_docker_container = run_by_kfp


def _runs_containers(
    client: "DockerClient", pipeline_root: Path, arguments: list[str]
) -> Callable[..., int]:
    def run(
        image: str, command: list[str], environment: Mapping[str, str] | None = None, **_: Any
    ) -> int:
        container = engine.start(
            client,
            image,
            command,
            environment=os.environ,
            variables=environment,
            folders=[pipeline_root],
            arguments=arguments,
        )
        code = engine.wait(container)
        if code > _SIGNALS:
            # The reason, where the step could not give one itself.
            sys.stdout.write(f"PipelineError: the step was ended by signal {code - _SIGNALS}\n")
        return code

    return run


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
