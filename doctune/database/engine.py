"""Opens the database: by default SQLite in a file, or Postgres by its URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, SQLAlchemyError

from doctune.errors import ConfigurationError

# Raised by the functions of this package if the database does not answer or refuses.
DatabaseError = SQLAlchemyError

# Seconds until a lost connection or a locked file is an error.
CONNECT_SECONDS = 5
BUSY_SECONDS = 10

_DATA_EXCEPTION = "22"  # the class of SQLSTATE


def open_database(url: str, connect: Callable[[], Any] | None = None) -> Engine:
    """Returns an engine; nothing is connected yet.

    Args:
        url: `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`.
        connect: Opens pg8000 connections to a Postgres instead of the URL.

    Raises:
        ConfigurationError: The URL is malformed, or of another kind of database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "the database's URL cannot be read: use sqlite:///PATH or postgresql://USER@HOST/NAME."
        ) from error
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "before_cursor_execute", _leave_out_what_is_no_text, retval=True)
        return engine
    if kind == "postgresql" and connect is not None:
        engine = create_engine(
            parsed.set(drivername="postgresql+pg8000"),
            creator=connect,
            pool_pre_ping=True,
            pool_timeout=CONNECT_SECONDS,
        )
    elif kind == "postgresql":
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": CONNECT_SECONDS},
            pool_pre_ping=True,
            pool_timeout=CONNECT_SECONDS,
        )
    else:
        raise ConfigurationError(
            f"{kind} is not supported as the database: use sqlite or postgresql."
        )
    event.listen(engine, "before_cursor_execute", _leave_out_what_is_no_text, retval=True)
    return engine


def refuses_a_value(error: DatabaseError) -> bool:
    """Returns whether the database refused a value, so that a retry would fail too."""
    if isinstance(error, DataError):
        return True
    # pg8000 has no class of its own for that, but the server's code.
    said = getattr(error, "orig", None)
    fields = said.args[0] if said is not None and said.args else None
    return isinstance(fields, dict) and str(fields.get("C", "")).startswith(_DATA_EXCEPTION)


def ping(engine: Engine) -> None:
    """Checks that the database answers.

    Raises:
        DatabaseError: It does not answer.
    """
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    # Readers and the writer do not wait for each other, and a commit survives the process' end.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _leave_out_what_is_no_text(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any
) -> tuple[str, Any]:
    """Leaves out what no database keeps in a text, and a client or an upstream may send anywhere.

    These are zero characters, and halves of surrogate pairs, such as of an emoji that was cut in
    two; where both halves are there, they are joined.
    """
    return statement, _keepable(parameters)


def _keepable(value: Any) -> Any:
    if isinstance(value, str):
        text = value.replace("\0", "") if "\0" in value else value
        if text.isascii():
            return text
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {name: _keepable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_keepable, value))
    return value
