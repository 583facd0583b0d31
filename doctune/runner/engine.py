"""Runs containers with this machine's engine: Docker, or podman's Docker-compatible socket.

A container gets what a step gets on Vertex AI and no more: its root file system is read-only and it
has no capabilities. It sees the run's outputs, the environment variables that point to Vertex AI
and, read-only, each local file or folder that a variable or an argument names.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import psutil

from doctune import limits
from doctune.artifacts import cache_folder
from doctune.errors import UsageError
from doctune.processes import ignore_signals

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

# The process that owns a container, as "PID CREATED". Containers of dead processes are removed.
OWNER_LABEL = "doctune.owner"

_PASSED_ON = (
    *("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "STORAGE_EMULATOR_HOST"),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"),
    *("AIP_", "CLOUDSDK_", "CLOUD_ML_", "GCE_METADATA_", "GCSFS_", "GOOGLE_"),
    *("HF_HUB_OFFLINE", "HF_TOKEN"),
)
_STOP_SECONDS = 3
_SHARED_MEMORY = "1g"  # what torch's data loaders pass batches through; engines give 64 MB


@contextmanager
def connect() -> Iterator["DockerClient"]:
    """Yields a client of the engine at DOCKER_HOST, or else at the default socket.

    Raises:
        UsageError: No engine answers there.
    """
    import docker

    try:
        client = docker.from_env()
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        place = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        raise UsageError(
            f"No container engine answers at {place}: start Docker, or run `podman system service "
            "--time=0 unix:///tmp/podman.sock &` and set DOCKER_HOST=unix:///tmp/podman.sock."
        ) from error
    try:
        yield client
    finally:
        client.close()


def require_images(client: "DockerClient", images: Iterable[str]) -> dict[str, str]:
    """Returns the id of each image.

    Raises:
        UsageError: An image is not on this machine.
    """
    import docker

    found = {}
    for image in sorted(set(images)):
        try:
            found[image] = str(client.images.get(image).id)
        except docker.errors.ImageNotFound:
            raise UsageError(
                f"The image {image} is not on this machine: build it with `make images`, or pull "
                "it with your container engine."
            ) from None
    return found


def start(
    client: "DockerClient",
    image: str,
    command: list[str] | None,
    *,
    environment: Mapping[str, str],
    variables: Mapping[str, str] | None = None,
    folders: Iterable[Path] = (),
    arguments: Iterable[Any] = (),
) -> "Container":
    """Starts a container on the host's network, so that loopback is this machine's.

    Args:
        command: The command; None for the image's own.
        environment: The environment of a process on this machine; the variables that point to
            Vertex AI are passed on.
        variables: Further variables of the container.
        folders: Folders that it may write to, mounted at their path on this machine.
        arguments: Argument values; local files and folders among them are mounted read-only.
    """
    cache = cache_folder().absolute()
    cache.mkdir(parents=True, exist_ok=True)
    passed_on = {name: value for name, value in environment.items() if name.startswith(_PASSED_ON)}
    writable = [cache, *(folder.absolute() for folder in folders)]
    readable = _named_paths([*passed_on.values(), *arguments], writable)
    return client.containers.run(
        image,
        command,
        detach=True,
        environment={**passed_on, "DOCTUNE_CACHE": str(cache), **(variables or {})},
        volumes={
            **{str(path): {"bind": str(path), "mode": "ro"} for path in readable},
            **{str(path): {"bind": str(path), "mode": "rw"} for path in writable},
        },
        labels={OWNER_LABEL: _identity(psutil.Process())},
        network_mode="host",
        user=_user(client),
        read_only=True,
        tmpfs={"/tmp": "mode=1777,exec"},  # noqa: S108 the container's own
        shm_size=_SHARED_MEMORY,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )


def wait(container: "Container") -> int:
    """Copies the container's output to standard output, removes it, and returns its exit code.

    The container must not remove itself: its exit code would be lost, and kfp's own runner then
    reports a failed step as a success.
    """
    import docker

    try:
        for line in container.logs(stream=True, follow=True):
            sys.stdout.write(line.decode(errors="replace"))
            sys.stdout.flush()
        # The container ended when its output did.
        return int(container.wait(timeout=limits.PROCESS_END.seconds)["StatusCode"])
    finally:
        with contextlib.suppress(docker.errors.NotFound):  # a signal has ended it
            container.remove(force=True)


@contextmanager
def ended_by_signals(client: "DockerClient") -> Iterator[None]:
    """Ends this process's containers on SIGTERM or SIGINT, then calls the previous handler."""
    owner = _identity(psutil.Process())

    def end(number: int, frame: FrameType | None) -> None:
        ignore_signals()
        for container in client.containers.list(filters={"label": f"{OWNER_LABEL}={owner}"}):
            container.stop(timeout=_STOP_SECONDS)
            container.remove(force=True)
        before = handlers[signal.Signals(number)]
        if callable(before):
            before(number, frame)
        sys.exit(128 + number)

    handlers = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def remove_abandoned(client: "DockerClient") -> None:
    """Removes the containers of processes that were killed before they could do so."""
    import docker

    for container in client.containers.list(
        all=True, filters={"label": OWNER_LABEL}, ignore_removed=True
    ):
        if not _lives(container.labels[OWNER_LABEL]):
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True)


def _identity(process: psutil.Process) -> str:
    return f"{process.pid} {process.create_time():.2f}"


def _lives(identity: str) -> bool:
    try:
        return _identity(psutil.Process(int(identity.split()[0]))) == identity
    except psutil.NoSuchProcess:
        return False


def _user(client: "DockerClient") -> str:
    """Returns the user to run the container as, so that the caller owns what it writes."""
    info = client.info()
    rootless = info.get("Rootless") or "name=rootless" in info.get("SecurityOptions", [])
    return "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"


def _named_paths(values: Iterable[Any], writable: list[Path]) -> list[Path]:
    paths = {Path(value) for value in values if isinstance(value, str) and value.startswith("/")}
    return sorted(
        path
        for path in paths
        if path != Path("/")
        and path.exists()
        and not any(path.is_relative_to(folder) for folder in writable)
    )
