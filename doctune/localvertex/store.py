"""The state store: every resource is a document in one SQLite file.

A call is one transaction: what a handler wrote is seen whole or not at all, also after `kill -9`.
The file is used by one thread only, that of the server's event loop.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from doctune.errors import LocalVertexError
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import not_found

_METADATA = sa.MetaData()
_RESOURCES = sa.Table(
    "resources",
    _METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("parent", sa.String, nullable=False),
    sa.Column("document", sa.String, nullable=False),
    sa.UniqueConstraint("kind", "name"),
    sa.Index("by_parent", "kind", "parent", "sequence"),
    sqlite_autoincrement=True,
)


class Store:
    """The database of one state folder."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.StaticPool)
        sa.event.listen(self._engine, "connect", _configure)
        sa.event.listen(self._engine, "begin", _begin)
        try:
            _METADATA.create_all(self._engine)
        except sa.exc.DatabaseError as error:
            raise LocalVertexError(f"{path} cannot be read: {error.orig}; move it away.") from error
        self.revision = 0  # grows with every committed transaction that wrote something

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Commits at the end of the block; rolls back if it raises.

        What was handed to `after_commit` runs once the transaction has been committed.
        """
        with self._engine.connect() as connection:
            transaction = Transaction(connection)
            with connection.begin():
                yield transaction
        self.revision += transaction.wrote
        for action in transaction.actions:
            action()

    def close(self) -> None:
        """Closes the database."""
        self._engine.dispose()


def _configure(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's BEGIN below is the only one
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Transaction:
    """Reads and writes of one call."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.actions: list[Callable[[], object]] = []
        self.wrote = False

    def after_commit(self, action: Callable[[], object]) -> None:
        """Runs `action` after the commit; use it to start processes."""
        self.actions.append(action)

    def find(self, kind: str, name: str) -> Document | None:
        """Returns a resource, or None."""
        row = self._connection.execute(
            sa.select(_RESOURCES.c.document).where(
                _RESOURCES.c.kind == kind, _RESOURCES.c.name == name
            )
        ).scalar()
        return None if row is None else json.loads(row)

    def get(self, kind: str, name: str) -> Document:
        """Returns a resource.

        Raises:
            ApiError: NOT_FOUND.
        """
        document = self.find(kind, name)
        if document is None:
            raise not_found(kind, name)
        return document

    def put(self, kind: str, name: str, document: Document, *, parent: str | None = None) -> None:
        """Writes a resource, new or changed.

        Args:
            parent: Under what it is listed; by default the name without its last two segments.
        """
        values = {
            "kind": kind,
            "name": name,
            "parent": parent or name.rsplit("/", 2)[0],
            "document": json.dumps(document),
        }
        self.wrote = True
        changed = self._connection.execute(
            sa.update(_RESOURCES)
            .where(_RESOURCES.c.kind == kind, _RESOURCES.c.name == name)
            .values(document=values["document"])
        )
        if changed.rowcount == 0:
            self._connection.execute(sa.insert(_RESOURCES).values(values))

    def delete(self, kind: str, name: str) -> None:
        """Removes a resource.

        Raises:
            ApiError: NOT_FOUND.
        """
        self.wrote = True
        gone = self._connection.execute(
            sa.delete(_RESOURCES).where(_RESOURCES.c.kind == kind, _RESOURCES.c.name == name)
        )
        if gone.rowcount == 0:
            raise not_found(kind, name)

    def delete_below(self, name: str) -> None:
        """Removes everything whose name starts with `name`/."""
        self.wrote = True
        self._connection.execute(
            sa.delete(_RESOURCES).where(_RESOURCES.c.name.startswith(f"{name}/", autoescape=True))
        )

    def count(self, kind: str, parent: str) -> int:
        """Returns how many resources lie under a parent."""
        query = sa.select(sa.func.count()).where(
            _RESOURCES.c.kind == kind, _RESOURCES.c.parent == parent
        )
        return int(self._connection.execute(query).scalar_one())

    def list(self, kind: str, parent: str | None = None) -> list[Document]:
        """Returns the resources under a parent, or all of a kind; newest first.

        A parent whose identifier is `-` means all parents of that collection.
        """
        query = sa.select(_RESOURCES.c.document).where(_RESOURCES.c.kind == kind)
        if parent is not None and parent.endswith("/-"):
            prefix = parent.removesuffix("-")
            query = query.where(_RESOURCES.c.parent.startswith(prefix, autoescape=True))
        elif parent is not None:
            query = query.where(_RESOURCES.c.parent == parent)
        rows = self._connection.execute(query.order_by(_RESOURCES.c.sequence.desc())).scalars()
        return [json.loads(row) for row in rows]
