"""Loads the method table and the message types from the cache that `derive` fills.

The cache is keyed by the versions of the client and of protobuf and by derive.py itself, so an
upgrade makes a new one. Loading it takes about 50 ms and 30 MiB.
"""

import hashlib
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf import descriptor, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from doctune import limits
from doctune.artifacts import cache_folder
from doctune.errors import LocalVertexError
from doctune.files import atomic_folder, exclusively
from doctune.localvertex.api import derive

_PACKAGES = (
    "google-cloud-aiplatform",
    "google-cloud-resource-manager",
    "google-cloud-secret-manager",
    "protobuf",
)


@dataclass(frozen=True)
class Method:
    """One RPC of one version of the API."""

    service: str
    name: str
    version: str
    path: str
    kind: str
    request: str
    response: str
    operation: str
    metadata: str
    routes: tuple[tuple[str, str, str], ...]

    @property
    def key(self) -> str:
        """The key of the handler, the same for all versions: "ModelService.GetModel"."""
        return f"{self.service}.{self.name}"


class Table:
    """All methods by gRPC path, and the classes of their messages."""

    def __init__(self, methods: Mapping[str, Method], pool: descriptor_pool.DescriptorPool) -> None:
        self.methods = methods
        self.pool = pool

    def message_class(self, full_name: str) -> type[Message]:
        """Returns the class of a message type, such as google.cloud.aiplatform.v1.Model."""
        return message_factory.GetMessageClass(self.descriptor(full_name))

    def descriptor(self, full_name: str) -> descriptor.Descriptor:
        """Returns a message type."""
        return self.pool.FindMessageTypeByName(full_name)

    @cached_property
    def by_key(self) -> Mapping[str, Method]:
        """The methods by key; v1's where both versions have it."""
        return {method.key: method for method in reversed(list(self.methods.values()))}


def load_table() -> Table:
    """Loads the table, after deriving it if it is not in the cache (about 5 s).

    Raises:
        LocalVertexError: The installed client cannot be read.
    """
    folder = cache_folder() / "localvertex" / f"table-{_cache_key()}"
    if not (folder / derive.METHODS_FILE).is_file():
        with exclusively(folder, "reading the installed google-cloud-aiplatform"):
            if not (folder / derive.METHODS_FILE).is_file():
                _derive(folder)
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(
        (folder / derive.DESCRIPTORS_FILE).read_bytes()
    )
    for file in files.file:
        pool.Add(file)
    rows = json.loads((folder / derive.METHODS_FILE).read_text(encoding="utf-8"))
    return Table({row["path"]: _method(row) for row in rows}, pool)


def _method(row: dict[str, Any]) -> Method:
    routes = tuple((verb, uri, body) for verb, uri, body in row.pop("routes"))
    return Method(**row, routes=routes)


def _cache_key() -> str:
    digest = hashlib.sha256(Path(derive.__file__).read_bytes())
    for package in _PACKAGES:
        digest.update(f"{package}={importlib.metadata.version(package)}\n".encode())
    return digest.hexdigest()[:16]


def _derive(folder: Path) -> None:
    with atomic_folder(folder) as temporary:
        try:
            result = subprocess.run(
                [sys.executable, "-m", derive.__name__, str(temporary)],
                capture_output=True,
                text=True,
                check=False,
                timeout=limits.TOOL.seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise limits.TOOL.passed("the classes of google-cloud-aiplatform") from error
        if result.returncode != 0:
            raise LocalVertexError(
                "the installed google-cloud-aiplatform cannot be read: "
                f"{result.stderr.strip().splitlines()[-1:]}; install the pinned version."
            )
