"""Leases: locks with an expiry, for work that only one process may do at a time.

A lease is two columns of a row: its holder and its expiry. It is taken by one conditional update,
so only one of several concurrent processes gets it, on SQLite and on Postgres.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, insert, or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from doctune.database.tables import Lease

_PAUSE_SECONDS = 0.1


class HeldError(Exception):
    """Another process holds the lease."""


def take(
    connection: Connection,
    row: ColumnElement[bool],
    columns: tuple[InstrumentedAttribute, InstrumentedAttribute],
    holder: str,
    until: datetime,
    now: datetime,
) -> bool:
    """Takes or renews the lease of a row; returns whether this holder has it.

    Args:
        row: The condition that selects the row.
        columns: The columns of the holder and of the expiry.
        now: A lease that expired before this moment is free.
    """
    held_by, held_until = columns
    free = or_(held_by.is_(None), held_by == holder, held_until < now)
    statement = update(held_by.class_).where(row, free).values({held_by: holder, held_until: until})
    return connection.execute(statement).rowcount == 1


@contextmanager
def leased(
    engine: Engine, name: str, seconds: float, *, wait_seconds: float = 0.0
) -> Iterator[None]:
    """Runs the block in one process at a time; the lease of a killed process expires.

    Args:
        name: Name of the lease; 64 characters at most.
        seconds: Maximum duration of the block.
        wait_seconds: How long to wait for another process.

    Raises:
        HeldError: Another process still holds the lease.
    """
    holder, deadline = secrets.token_hex(16), time.monotonic() + wait_seconds
    while not _take_named(engine, name, holder, seconds):
        if time.monotonic() >= deadline:
            raise HeldError
        time.sleep(_PAUSE_SECONDS)
    try:
        yield
    finally:
        with engine.begin() as connection:
            mine = (Lease.name == name, Lease.holder == holder)
            connection.execute(update(Lease).where(*mine).values(until=datetime.now(UTC)))


def _take_named(engine: Engine, name: str, holder: str, seconds: float) -> bool:
    now = datetime.now(UTC)
    until, columns = now + timedelta(seconds=seconds), (Lease.holder, Lease.until)
    with engine.begin() as connection:
        if take(connection, Lease.name == name, columns, holder, until, now):
            return True
    try:
        with engine.begin() as connection:
            connection.execute(insert(Lease).values(name=name, holder=holder, until=until))
    except IntegrityError:
        return False
    return True
