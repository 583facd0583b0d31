"""API keys: shown once when created, stored as salted digests, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from doctune.database.engine import DatabaseError, Engine
from doctune.database.keys import add_key, keys_not_revoked
from doctune.database.tables import ApiKey
from doctune.errors import UsageError
from doctune.gateway.options import LimitOptions

PREFIX = "dtk"
SCOPES = ("chat", "feedback", "review", "admin")
REFRESH_SECONDS = 2.0  # a revocation takes effect within this time

logger = logging.getLogger("doctune.gateway")


@dataclass(frozen=True)
class Principal:
    """The authenticated caller. `owner` is the tenant; tenants never see each other's data."""

    id: str
    name: str
    owner: str
    scopes: frozenset[str]
    models: frozenset[str] = frozenset()  # empty: all
    limits: LimitOptions = field(default_factory=LimitOptions)
    groups: frozenset[str] = frozenset()  # whose documents it may find, beside everybody's

    def may_ask(self, model: str) -> bool:
        """Returns whether a model is among those allowed."""
        return not self.models or model in self.models


@dataclass(frozen=True)
class _Known:
    principal: Principal
    salt: str
    digest: str
    expires_at: datetime | None


def create_key(
    engine: Engine,
    name: str,
    *,
    owner: str = "",
    scopes: Sequence[str] = ("chat", "feedback"),
    models: Sequence[str] = (),
    groups: Sequence[str] = (),
    limits: LimitOptions | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Creates a key and returns it; it cannot be shown again.

    Args:
        owner: The tenant; the name where none is given.
        groups: The access groups whose documents it may find, beside everybody's.

    Raises:
        UsageError: The name is empty or taken, or a scope is unknown.
    """
    if not name.strip():
        raise UsageError("a key needs a name: it is listed, logged and revoked by it.")
    if unknown := set(scopes) - set(SCOPES):
        raise UsageError(f"there is no scope {min(unknown)}: use {', '.join(SCOPES)}.")
    key_id, secret, salt = secrets.token_hex(8), secrets.token_urlsafe(32), secrets.token_hex(16)
    add_key(
        engine,
        id=key_id,
        name=name,
        owner=owner or name,
        salt=salt,
        digest=_digest(salt, secret),
        scopes=list(scopes),
        models=list(models),
        groups=list(groups),
        expires_at=expires_at,
        **(limits or LimitOptions()).model_dump(),
    )
    return f"{PREFIX}_{key_id}_{secret}"


class KeyStore:
    """All valid keys, in memory, reloaded every two seconds.

    While the database is unavailable, the last known keys remain valid.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, _Known] = {}
        self._read_at = float("-inf")
        self._failing = False
        self._reading = threading.Lock()

    def find(self, token: str) -> Principal | None:
        """Returns the caller that a key belongs to, or None if it is not valid. Does not block."""
        prefix, _, rest = token.partition("_")
        key_id, _, secret = rest.partition("_")
        known = self._known.get(key_id) if prefix == PREFIX else None
        # An unknown key takes as long as a wrong secret.
        salt, digest = (known.salt, known.digest) if known else ("", "0" * 64)
        matches = hmac.compare_digest(_digest(salt, secret), digest)
        if known is None or not matches:
            return None
        if known.expires_at is not None and known.expires_at <= datetime.now(UTC):
            return None
        return known.principal

    @property
    def stale(self) -> bool:
        """Whether the keys should be reloaded."""
        return time.monotonic() - self._read_at >= REFRESH_SECONDS

    @property
    def failing(self) -> bool:
        """Whether the last attempt to load the keys failed."""
        return self._failing

    def refresh(self) -> None:
        """Reloads the keys; blocks. A failure of the database is logged once."""
        with self._reading:
            self._read_at = time.monotonic()
            try:
                self._known = {row.id: _known(row) for row in keys_not_revoked(self._engine)}
                self._failing = False
            except DatabaseError as error:
                if not self._failing:
                    logger.warning("The keys cannot be reloaded: %s", type(error).__name__)
                self._failing = True


def _known(row: ApiKey) -> _Known:
    limits = {name: getattr(row, name) for name in LimitOptions.model_fields}
    principal = Principal(
        id=row.id,
        name=row.name,
        owner=row.owner,
        scopes=frozenset(row.scopes),
        models=frozenset(row.models),
        limits=LimitOptions(**limits),
        groups=frozenset(row.groups),
    )
    return _Known(principal, row.salt, row.digest, row.expires_at)


def _digest(salt: str, secret: str) -> str:
    # The secrets are 256 random bits: a slow hash would protect nothing and cost every request.
    return hashlib.sha256(f"{salt}{secret}".encode()).hexdigest()
