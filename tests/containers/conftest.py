"""The images as `make images` built them, and containers started as Vertex AI starts them."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components import images
from doctune.runner import engine

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

STEPS = {
    "documents": images.DOCUMENTS,
    "training": images.TRAINING,
    "serving": images.SERVING,
    "ops": images.OPS,
}
# The gateway is a service, no step of a pipeline.
IMAGES = {**STEPS, "gateway": images.OPS.replace("/ops:", "/gateway:")}
# Nobody that an image or this machine knows.
RANDOM_USER = "54321:54321"


@dataclass(frozen=True)
class Ended:
    """What came of a container."""

    code: int
    output: str


class Engine:
    """The machine's container engine."""

    def __init__(self, client: "DockerClient") -> None:
        self.client = client

    def start(self, name: str, command: list[str] | None = None, **options: Any) -> "Container":
        """Starts a container with a read-only root, for a user that nobody knows."""
        engine.require_images(self.client, [IMAGES[name]])
        return self.client.containers.run(
            IMAGES[name],
            command[1:] if command else None,
            entrypoint=command[:1] if command else None,
            detach=True,
            user=RANDOM_USER,
            read_only=True,
            tmpfs={"/tmp": "mode=1777"},  # noqa: S108 the container's own
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            network_mode="host",
            **options,
        )

    def run(self, name: str, command: list[str] | None, **options: Any) -> Ended:
        """Runs a container to its end."""
        container = self.start(name, command, **options)
        try:
            code = container.wait(timeout=120)["StatusCode"]
            return Ended(code, container.logs().decode())
        finally:
            container.remove(force=True)


@pytest.fixture(scope="session")
def containers() -> Iterator[Engine]:
    with engine.connect() as client:
        yield Engine(client)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that anybody may write to, as a mounted bucket is."""
    # pytest's own folders are for their owner alone.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)
