"""Databases with the schema, on SQLite and on a real Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from doctune.database.engine import open_database
from doctune.database.schema import prepare
from doctune.database.tables import Base
from tests.database.servers import postgres


@pytest.fixture(scope="module")
def prepared_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        engine = open_database(url)
        prepare(engine)
        yield engine
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """An empty database with the schema, of each kind."""
    if request.param == "sqlite":
        sqlite: Engine = request.getfixturevalue("sqlite")
        return sqlite
    prepared: Engine = request.getfixturevalue("prepared_postgres")
    with prepared.begin() as connection:
        tables = ", ".join(Base.metadata.tables)
        connection.execute(text(f"TRUNCATE {tables}"))
    return prepared


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    engine = open_database(f"sqlite:///{path}")
    prepare(engine)
    engine.dispose()
    return path.read_bytes()


@pytest.fixture
def sqlite(tmp_path: Path, sqlite_template: bytes) -> Iterator[Engine]:
    """A database with the schema on SQLite, where the kind makes no difference."""
    path = tmp_path / "feedback.db"
    path.write_bytes(sqlite_template)
    engine = open_database(f"sqlite:///{path}")
    yield engine
    engine.dispose()
