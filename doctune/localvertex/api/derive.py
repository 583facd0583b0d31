"""Derives the method table and the message types from the installed google-cloud-aiplatform.

Run as a program, because it imports every service of the client (seconds, and about 400 MiB): the
server itself then needs neither. Nothing is written down by hand:

- gRPC paths and message types: each service's gRPC transport is given a channel that records what
  is asked of it.
- REST routes: `_get_http_options` of each service's REST transport.
- Result and metadata types of long-running methods: the `from_gapic(...)` call in the client.

    python -m doctune.localvertex.api.derive FOLDER

writes `methods.json` and `descriptors.pb` (a FileDescriptorSet) to FOLDER.
"""

import importlib
import inspect
import json
import logging
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
from google.protobuf import descriptor, descriptor_pb2

VERSIONS = ("v1", "v1beta1")
METHODS_FILE = "methods.json"
DESCRIPTORS_FILE = "descriptors.pb"

_FROM_GAPIC = re.compile(
    r"from_gapic\(\s*response,\s*self\._transport\.operations_client,"
    r"\s*([\w.]+),\s*metadata_type=([\w.]+)"
)

# Operations, IAM and locations are mixed into every service besides.
_SERVED = ("google.cloud.aiplatform", "google.cloud.resourcemanager", "google.cloud.secretmanager")

logger = logging.getLogger("doctune.localvertex.derive")


class _RecordingChannel(grpc.Channel):
    """A channel that records which methods a transport requests, and calls none."""

    def __init__(self) -> None:
        self.methods: dict[str, tuple[str, Any, Any]] = {}

    def _record(self, kind: str) -> Callable[..., Any]:
        def multi_callable(
            path: str,
            request_serializer: Any = None,
            response_deserializer: Any = None,
            *_: Any,
            **__: Any,
        ) -> Callable[..., None]:
            self.methods[path] = (kind, request_serializer, response_deserializer)
            return lambda *_, **__: None

        return multi_callable

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._record("unary_unary")(*args, **kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._record("unary_stream")(*args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._record("stream_unary")(*args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._record("stream_stream")(*args, **kwargs)

    def subscribe(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: there is no connectivity."""

    def unsubscribe(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: there is no connectivity."""

    def close(self) -> None:
        """Does nothing: nothing is open."""

    def __enter__(self) -> "_RecordingChannel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def derive(folder: Path) -> None:
    """Writes the method table and the message types of the installed client to `folder`."""
    files = _Files()
    methods = [
        method
        for version in VERSIONS
        for service in _service_modules(f"google.cloud.aiplatform_{version}.services")
        for method in _service_methods(service, version, files)
    ]
    methods += _service_methods("google.cloud.resourcemanager_v3.services.projects", "v3", files)
    secrets = "google.cloud.secretmanager_v1.services.secret_manager_service"
    methods += _service_methods(secrets, "v1", files)
    for module in ("google.longrunning.operations_pb2", "google.api.httpbody_pb2"):
        files.add(importlib.import_module(module).DESCRIPTOR)
    files.add(importlib.import_module("google.rpc.error_details_pb2").DESCRIPTOR)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / METHODS_FILE).write_text(json.dumps(methods), encoding="utf-8")
    (folder / DESCRIPTORS_FILE).write_bytes(files.collected.SerializeToString())


class _Files:
    """The .proto files of the messages, each after the files that it imports."""

    def __init__(self) -> None:
        self.collected = descriptor_pb2.FileDescriptorSet()
        self._names: set[str] = set()

    def add(self, file: descriptor.FileDescriptor) -> None:
        if file.name in self._names:
            return
        self._names.add(file.name)
        for dependency in file.dependencies:
            self.add(dependency)
        file.CopyToProto(self.collected.file.add())


def _service_modules(package: str) -> Iterator[str]:
    services = importlib.import_module(package)
    for module in pkgutil.iter_modules(services.__path__):
        yield f"{package}.{module.name}"


def _service_methods(package: str, version: str, files: _Files) -> list[dict[str, Any]]:
    try:
        transport_module = importlib.import_module(f"{package}.transports.grpc")
        client_module = importlib.import_module(f"{package}.client")
    except ImportError as error:
        # A service with missing dependencies cannot be called from this environment anyway.
        logger.warning("%s is left out: %s", package, error)
        return []
    transport_class = _only(transport_module, lambda name: name.endswith("GrpcTransport"))
    client_class = getattr(
        client_module, transport_class.__name__.replace("GrpcTransport", "Client")
    )
    methods = []
    for path, (kind, serializer, deserializer) in _recorded(transport_class).items():
        service_path, name = path.strip("/").split("/")
        if not service_path.startswith(_SERVED):
            continue
        request, response = _descriptor(serializer), _descriptor(deserializer)
        if request is None or response is None:
            continue  # plain protobuf serializers have no message type; only IAM's methods use them
        operation, metadata = _long_running_types(client_module, client_class, name)
        for message in (request, response, operation, metadata):
            if message is not None:
                files.add(message.file)
        methods.append(
            {
                "service": service_path.rpartition(".")[2],
                "name": name,
                "version": version,
                "path": path,
                "kind": kind,
                "request": request.full_name,
                "response": response.full_name,
                "operation": operation.full_name if operation else "",
                "metadata": metadata.full_name if metadata else "",
                "routes": _routes(package, name),
            }
        )
    return methods


def _recorded(transport_class: type) -> dict[str, tuple[str, Any, Any]]:
    channel = _RecordingChannel()
    transport: Any = transport_class(channel=channel)
    # The transport wraps its channel in a logging interceptor that requests a method only when it
    # is called. So the recorder replaces the interceptor, and the methods are requested again.
    transport._logged_channel = channel
    transport._stubs = {}
    skipped = {"operations_client", "grpc_channel", "kind", "host"}
    for name, _ in inspect.getmembers(transport_class, lambda member: isinstance(member, property)):
        if name not in skipped:
            getattr(transport, name)
    return channel.methods


def _only(module: ModuleType, accept: Callable[[str], bool]) -> type:
    (found,) = (value for name, value in vars(module).items() if accept(name))
    return found


def _descriptor(codec: Any) -> descriptor.Descriptor | None:
    """Returns the message type behind a bound `serialize`, `deserialize` or `FromString`."""
    return _message_descriptor(getattr(codec, "__self__", None))


def _message_descriptor(message_class: Any) -> descriptor.Descriptor | None:
    if message_class is None:
        return None
    if hasattr(message_class, "DESCRIPTOR"):
        return message_class.DESCRIPTOR
    return message_class.pb(message_class()).DESCRIPTOR


def _long_running_types(
    client_module: ModuleType, client_class: type, name: str
) -> tuple[descriptor.Descriptor | None, descriptor.Descriptor | None]:
    method = getattr(client_class, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), None)
    match = _FROM_GAPIC.search(inspect.getsource(method)) if method else None
    if match is None:
        return None, None
    return (
        _message_descriptor(_resolve(client_module, match[1])),
        _message_descriptor(_resolve(client_module, match[2])),
    )


def _resolve(module: ModuleType, dotted: str) -> Any:
    value: Any = module
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def _routes(package: str, name: str) -> list[list[str]]:
    try:
        module = importlib.import_module(f"{package}.transports.rest_base")
    except ImportError:
        return []
    base = _only(module, lambda n: n.startswith("_Base") and n.endswith("RestTransport"))
    method = getattr(base, f"_Base{name}", None)
    if method is None or not hasattr(method, "_get_http_options"):
        return []
    return [
        [option["method"].upper(), option["uri"], option.get("body", "")]
        for option in method._get_http_options()
    ]


if __name__ == "__main__":
    derive(Path(sys.argv[1]))
