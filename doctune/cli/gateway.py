"""`doctune gateway` and `doctune database`: the API in front of the models, and its database."""

import csv
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from doctune.cli.app import app
from doctune.cli.local_vertex import LOCAL_PROJECT, keep_local_vertex
from doctune.cli.session import AsJson

if TYPE_CHECKING:
    from doctune.database.engine import Engine
    from doctune.gateway.options import GatewayOptions

gateway = typer.Typer(
    help="The OpenAI-compatible API in front of the models: keys, limits, cache, log, chat page.",
    no_args_is_help=True,
)
keys = typer.Typer(help="API keys.", no_args_is_help=True)
database = typer.Typer(help="The gateway's database.", no_args_is_help=True)
gateway.add_typer(keys, name="keys")
app.add_typer(gateway, name="gateway")
app.add_typer(database, name="database")

_FIRST_KEY = "first"


@gateway.command()
def up(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 in a container.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0: a free one.")] = None,
) -> None:
    """Serve until Ctrl-C. Prints the address, the chat page and, if there is none, a first key.

    With the local project, the local Vertex AI is started if it is not running.
    """
    from doctune.cli.agent import latest_documents
    from doctune.database.keys import has_valid_keys
    from doctune.gateway.keys import create_key
    from doctune.gateway.server import (
        check_somebody_may_ask,
        gateway_options,
        serve,
        surroundings,
    )

    options = gateway_options(host, port, latest_documents())
    around = surroundings()
    check_somebody_may_ask(options, around)
    with ExitStack() as stack:
        if _needs_local_vertex(options):
            stack.enter_context(keep_local_vertex())
        first = ""
        # A key on a screen is for the one who sits there, never for a log in the cloud.
        if not options.public and not has_valid_keys(around.engine):
            name = f"{_FIRST_KEY}-{datetime.now(UTC):%Y%m%d%H%M%S}"
            first = create_key(around.engine, name, scopes=("chat", "feedback", "review", "admin"))

        def listening(address: str) -> None:
            typer.echo(f"Address    {address}/v1")
            typer.echo(f"Chat page  {address}/")
            typer.echo(f"Models     {', '.join([*options.models, *options.agents])}")
            typer.echo(f"Key        {first} (shown once)" if first else "Key        as made before")
            sys.stdout.flush()

        serve(options, around, listening)


@keys.command("create")
def create(
    name: Annotated[str, typer.Option(help="Name of the key.")],
    owner: Annotated[str, typer.Option(help="The tenant; default: the key's name.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="chat, feedback, review, admin.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model that it may use; default: all.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="An access group whose documents it may find, besides public ones."),
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    tokens_per_day: Annotated[int | None, typer.Option(min=1)] = None,
    requests_in_flight: Annotated[int | None, typer.Option(min=1)] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires.")] = None,
) -> None:
    """Create a key. It is shown only once."""
    from doctune.gateway.keys import create_key
    from doctune.gateway.options import LimitOptions

    key = create_key(
        _engine(),
        name,
        owner=owner,
        scopes=scope or ("chat", "feedback"),
        models=model or (),
        groups=group or (),
        limits=LimitOptions(
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            tokens_per_day=tokens_per_day,
            requests_in_flight=requests_in_flight,
        ),
        expires_at=datetime.now(UTC) + timedelta(days=days) if days else None,
    )
    typer.echo(key)


@keys.command("list")
def list_() -> None:
    """Show the keys, without their secrets."""
    from doctune.database.keys import list_keys

    whole = Column("name", no_wrap=True)  # `revoke` takes it, so it must not be cut
    table = Table(
        *(whole, "owner", "id", "scopes", "models", "groups", "created", "expires", "revoked"),
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for key in list_keys(_engine()):
        moments = (key.created_at, key.expires_at, key.revoked_at)
        table.add_row(
            key.name,
            key.owner,
            key.id,
            " ".join(key.scopes),
            " ".join(key.models) or "all",
            " ".join(key.groups) or "everybody",
            *(f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in moments),
        )
    Console().print(table)


@keys.command()
def revoke(name: Annotated[str, typer.Argument(help="The key's name.")]) -> None:
    """Revoke a key; it is refused within two seconds."""
    from doctune.database.keys import revoke_key

    revoke_key(_engine(), name)
    typer.echo(f"The key {name} is no longer valid.")


@gateway.command()
def models() -> None:
    """Show the models that clients can use, and where each is served."""
    from doctune.cli.agent import latest_documents
    from doctune.gateway.server import gateway_options

    table = Table("model", "upstreams, in order")
    known = gateway_options(documents=latest_documents())
    for name, options in known.models.items():
        table.add_row(name, "\n".join(options.upstreams))
    for name, agent in known.agents.items():
        stages = [stage.upstream for stage in agent.stages]
        table.add_row(name, "\n".join([*stages, "the documents' own words"]))
    Console().print(table)


@gateway.command()
def usage(
    days: Annotated[int, typer.Option(min=1, help="Number of days.")] = 30,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Show requests and tokens by day, key and model."""
    from doctune.database.usage import Usage, usage_by_day

    rows = usage_by_day(_engine(), days)
    names = [field.name for field in fields(Usage)]
    if as_csv:
        writer = csv.DictWriter(sys.stdout, names)
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
        return
    # Without a frame, and with titles in two lines, a row fits into a terminal.
    titles = [Column(name.replace("_", "\n"), no_wrap=True) for name in names]
    table = Table(*titles, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for row in rows:
        table.add_row(*map(str, asdict(row).values()))
    Console().print(table)


@gateway.command()
def tail(
    lines: Annotated[int, typer.Option("-n", min=1, help="Number of requests to show.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue with new ones.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the latest requests: time, key, model, status, tokens, duration. Never their texts."""
    from doctune.database.usage import BEGINNING, follow_predictions, latest_predictions

    engine = _engine()
    last = (
        follow_predictions(engine, lines)
        if follow
        else latest_predictions(engine, BEGINNING, lines)
    )
    for row in last:
        shown = {
            "time": row.created_at.isoformat(timespec="milliseconds"),
            "id": row.id,
            "owner": row.owner,
            "model": row.model,
            "status": row.status,
            "tokens": row.prompt_tokens + row.completion_tokens,
            "ms": round(row.total_ms),
            "cache": row.cache,
        }
        typer.echo(json.dumps(shown) if as_json else "  ".join(map(str, shown.values())))
        sys.stdout.flush()


@gateway.command()
def forget(
    user: Annotated[str, typer.Option(help="The end user, as in the requests' `user` field.")],
) -> None:
    """Erase a person's predictions, feedback and conversations."""
    from doctune.database.usage import forget_user
    from doctune.gateway.prediction_log import SPILL_FILE, erase_spilled
    from doctune.gateway.records import Recorder
    from doctune.gateway.server import gateway_options, surroundings

    around = surroundings()
    kept_as = Recorder(gateway_options().log, around.user_key).end_user(user) or user
    waiting = erase_spilled(around.state_dir / SPILL_FILE, kept_as)
    erased = forget_user(around.engine, kept_as)
    if not any((waiting, *erased)):
        typer.echo(f"Nothing is kept of {user}: name the person as requests do in `user`.")
        return
    typer.echo(
        f"Erased {erased.predictions + waiting} predictions, {erased.feedback} pieces of feedback "
        f"and {erased.conversations} conversations."
    )


@database.command()
def upgrade() -> None:
    """Upgrade the database's schema to this version of doctune."""
    from doctune.database.schema import current_revision
    from doctune.database.schema import upgrade as upgrade_schema
    from doctune.gateway.server import gateway_database

    engine = gateway_database()
    before = current_revision(engine)
    upgrade_schema(engine)
    typer.echo(f"The schema was {before or 'empty'} and is {current_revision(engine)}.")


def _needs_local_vertex(options: "GatewayOptions") -> bool:
    asks_vertex = any(
        upstream.startswith("vertex:")
        for model in options.models.values()
        for upstream in model.upstreams
    )
    return asks_vertex and _project() == LOCAL_PROJECT


def _project() -> str:
    from doctune.gateway.server import vertex_place

    return vertex_place().project


def _engine() -> "Engine":
    from doctune.gateway.server import surroundings

    return surroundings().engine
