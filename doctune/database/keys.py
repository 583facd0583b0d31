"""API keys, stored as salted digests, never as secrets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from doctune.database.tables import ApiKey
from doctune.errors import UsageError


def add_key(engine: Engine, **columns: Any) -> None:
    """Stores a key; `columns` are those of `ApiKey`.

    Raises:
        UsageError: The name is taken, perhaps by a revoked key.
    """
    try:
        with Session(engine) as session, session.begin():
            session.add(ApiKey(created_at=datetime.now(UTC), **columns))
    except IntegrityError as error:
        raise UsageError(
            f"there is or was a key {columns['name']} already, and the log goes by names: "
            "choose another."
        ) from error


def revoke_key(engine: Engine, name: str) -> None:
    """Revokes a key.

    Raises:
        UsageError: There is no valid key of that name.
    """
    statement = (
        update(ApiKey)
        .where(ApiKey.name == name, ApiKey.revoked_at.is_(None))
        .values(revoked_at=datetime.now(UTC))
    )
    with Session(engine) as session, session.begin():
        revoked = session.execute(statement.returning(ApiKey.id)).all()
    if not revoked:
        raise UsageError(f"there is no valid key {name}: doctune gateway keys list.")


def list_keys(engine: Engine) -> list[ApiKey]:
    """Returns all keys, newest first."""
    with Session(engine) as session:
        keys = list(session.scalars(select(ApiKey).order_by(ApiKey.created_at.desc())))
        session.expunge_all()
    return keys


def keys_not_revoked(engine: Engine) -> list[ApiKey]:
    """Returns the keys that may be valid; some may have expired."""
    with Session(engine) as session:
        keys = list(session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None))))
        session.expunge_all()
    return keys


def has_valid_keys(engine: Engine) -> bool:
    """Returns whether there is a valid key."""
    now = datetime.now(UTC)
    statement = select(func.count()).where(
        ApiKey.revoked_at.is_(None), (ApiKey.expires_at.is_(None)) | (ApiKey.expires_at > now)
    )
    with engine.connect() as connection:
        return bool(connection.execute(statement).scalar_one())
