"""Runs the gateway: reads the settings and starts the server."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from doctune.configuration.settings import VERTEX_CONFIG_FILE, config_folder, load_vertex_settings
from doctune.database.engine import Engine
from doctune.database.keys import has_valid_keys
from doctune.database.schema import prepare
from doctune.errors import ConfigurationError
from doctune.experiments.service_database import open_service_database
from doctune.gateway.options import Documents, GatewayOptions, load_gateway_options
from doctune.gateway.services import Surroundings
from doctune.logs import share_with_uvicorn

REDIS_VARIABLE = "REDIS_URL"
USER_KEY_VARIABLE = "DOCTUNE_GATEWAY_USER_KEY"
STATE_FOLDER = Path(".doctune/gateway")

logger = logging.getLogger("doctune.gateway")


@dataclass(frozen=True)
class VertexPlace:
    """A project, a region, and the endpoint that is asked where `gateway.yaml` names none."""

    project: str
    location: str
    endpoint: str


def gateway_options(
    host: str | None = None, port: int | None = None, documents: Documents | None = None
) -> GatewayOptions:
    """Returns the settings in force; `PORT`, as Cloud Run sets it, comes after the flag.

    Args:
        documents: What agents answer from where the settings name none.

    Raises:
        ConfigurationError: A setting is wrong.
    """
    if port is None and os.environ.get("PORT"):
        if not os.environ["PORT"].isdigit():
            raise ConfigurationError(f"PORT must be a number; it is {os.environ['PORT']!r}.")
        port = int(os.environ["PORT"])
    flags = {"host": host, "port": port}
    return load_gateway_options(config_folder(), vertex_place().endpoint, flags, documents)


def vertex_place() -> VertexPlace:
    """Returns the project, region and endpoint.

    Without `vertex_config.yaml`, as in the gateway's image, they come from the environment: the
    rest of that file is about training.

    Raises:
        ConfigurationError: A setting is wrong.
    """
    if (config_folder() / VERTEX_CONFIG_FILE).is_file():
        settings = load_vertex_settings()
        return VertexPlace(settings.project, settings.location, settings.endpoint.name)
    return VertexPlace(
        os.environ.get("DOCTUNE_VERTEX_PROJECT", ""),
        os.environ.get("DOCTUNE_VERTEX_LOCATION", "us-central1"),
        os.environ.get("DOCTUNE_VERTEX_ENDPOINT__NAME", ""),
    )


def surroundings(state_dir: Path = STATE_FOLDER) -> Surroundings:
    """Opens the database, whose schema is made or checked, and finds the project.

    Raises:
        ConfigurationError: The database's schema is of another version, or its URL is wrong.
    """
    vertex = vertex_place()
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = gateway_database(state_dir)
    prepare(engine)
    return Surroundings(
        engine=engine,
        state_dir=state_dir,
        project=vertex.project,
        location=vertex.location,
        redis_url=os.environ.get(REDIS_VARIABLE, ""),
        user_key=_user_key(state_dir),
    )


def gateway_database(state_dir: Path = STATE_FOLDER) -> Engine:
    """Returns an engine for the database that the environment names.

    By default, it is an SQLite file in the state folder.

    Raises:
        ConfigurationError: A variable is missing, or the URL is wrong.
    """
    return open_service_database(default_url=f"sqlite:///{state_dir.absolute()}/gateway.db")


def check_somebody_may_ask(options: GatewayOptions, around: Surroundings) -> None:
    """Refuses a public address while there are no keys.

    Raises:
        ConfigurationError: The address is public, and there is neither a key nor an issuer.
    """
    if options.public and not has_valid_keys(around.engine) and not options.identity:
        raise ConfigurationError(
            f"nobody has a key, and {options.host} can be reached from elsewhere: create one with "
            "doctune gateway keys create --name NAME."
        )


def serve(
    options: GatewayOptions, around: Surroundings, on_listening: Callable[[str], None]
) -> None:
    """Serves until SIGTERM or SIGINT; then finishes requests in flight and writes the log.

    Args:
        on_listening: Called with the address.

    Raises:
        ConfigurationError: The port is taken.
    """
    import uvicorn

    from doctune.gateway.app import create_app
    from doctune.gateway.connections import bounded_protocol
    from doctune.gateway.services import Services

    services = Services(options, around)
    config = uvicorn.Config(
        create_app(services),
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        loop="auto",
        http=bounded_protocol(options.head_seconds, options.unread_seconds),
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=options.shutdown_seconds,
    )
    share_with_uvicorn()
    sockets = _listen(options.host, options.port)
    host, port = sockets[0].getsockname()[:2]
    on_listening(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    server = uvicorn.Server(config)
    # uvicorn raises the signal again when it has shut down; by then it is dealt with.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run(sockets=sockets)
    around.engine.dispose()


def _listen(host: str, port: int) -> list[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"{host}:{port} cannot be listened on: {error.strerror}. Choose another --port."
        ) from error
    listening.setblocking(False)
    return [listening]


def _user_key(state_dir: Path) -> bytes:
    """Returns the key that end users' names are hashed with: given, or generated once."""
    given = os.environ.get(USER_KEY_VARIABLE)
    if given:
        return given.encode()
    path = state_dir / "user.key"
    if not path.is_file():
        with contextlib.suppress(FileExistsError), open(path, "x", opener=_for_owner) as file:
            file.write(secrets.token_hex(32))
    return path.read_text(encoding="ascii").encode()


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
