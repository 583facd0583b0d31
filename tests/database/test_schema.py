"""The schema's history, on SQLite and Postgres, with rows in the tables."""

from datetime import UTC, date, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, insert, inspect, select, text
from sqlalchemy.orm import Session

from doctune.database.engine import open_database
from doctune.database.partitions import drop_partitions, make_partitions
from doctune.database.schema import current_revision, downgrade, head_revision, prepare, upgrade
from doctune.database.tables import ApiKey, Base, Feedback, Prediction
from doctune.errors import ConfigurationError

NOW = datetime(2026, 11, 30, 12, 30, 1, 250_000, tzinfo=UTC)


def prediction(number: int = 0, at: datetime = NOW) -> Prediction:
    return Prediction(
        created_at=at,
        id=f"chatcmpl-{number}",
        key_id="k",
        owner="ana",
        model="handbook",
        messages=[{"role": "user", "content": "Wie groß?"}],
        parameters={"temperature": 0},
        answer="2 m",
        prompt_tokens=3,
        completion_tokens=2,
        total_ms=12.5,
        status=200,
        cache="miss",
    )


def fill(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.add(prediction())
        session.add(
            ApiKey(
                id="k",
                name="first",
                owner="ana",
                salt="s",
                digest="d",
                scopes=["chat"],
                models=[],
                created_at=NOW,
            )
        )
        session.add(
            Feedback(
                id="f",
                prediction_id="chatcmpl-0",
                created_at=NOW,
                key_id="k",
                owner="ana",
                kind="rating",
                value={"rating": "up"},
                source="end_user",
                version=1,
            )
        )


def _is_no_partition(name: str | None, kind: str, _: object) -> bool:
    return kind != "table" or not str(name).startswith("predictions_")


def test_migrations_make_what_the_models_say(engine: Engine) -> None:
    prepare(engine)
    with engine.connect() as connection:
        options = {"compare_type": True, "include_name": _is_no_partition}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_rows_come_back_as_they_were(engine: Engine) -> None:
    prepare(engine)
    fill(engine)
    with Session(engine) as session:
        (row,) = session.scalars(select(Prediction))
        assert row.created_at == NOW
        assert row.messages == [{"role": "user", "content": "Wie groß?"}]
        assert session.scalars(select(Feedback)).one().value == {"rating": "up"}


def test_migrations_go_up_and_down_with_rows_in_the_tables(engine: Engine) -> None:
    upgrade(engine)
    fill(engine)
    downgrade(engine, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    assert current_revision(engine) is None
    upgrade(engine)
    fill(engine)


def test_an_empty_database_is_prepared_and_a_prepared_one_kept(engine: Engine) -> None:
    prepare(engine)
    fill(engine)
    prepare(engine)
    with Session(engine) as session:
        assert session.scalars(select(ApiKey)).one().name == "first"


@pytest.mark.parametrize(
    ("revision", "says"),
    [("9999", "newer than this doctune"), (None, "older than this doctune")],
)
def test_another_schema_is_refused_with_what_helps(
    engine: Engine, revision: str | None, says: str
) -> None:
    prepare(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        if revision:
            statement = text("INSERT INTO alembic_version VALUES (:revision)")
            connection.execute(statement, {"revision": revision})
    with pytest.raises(ConfigurationError, match=says):
        prepare(engine)


def test_two_that_prepare_at_once_make_one_schema(engine: Engine) -> None:
    prepare(engine)
    other = open_database(engine.url.render_as_string(hide_password=False))
    prepare(other)
    other.dispose()
    assert current_revision(engine) == head_revision()


@pytest.mark.parametrize("url", ["nonsense", "mysql://a@b/c"])
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="postgresql"):
        open_database(url)


def test_postgres_keeps_months_apart_and_drops_old_ones(engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        assert drop_partitions(engine, NOW) == []
        return
    prepare(engine)
    make_partitions(engine, date(2026, 11, 30))
    make_partitions(engine, date(2026, 11, 30))
    months = {"predictions_2026_11", "predictions_2026_12", "predictions_2027_01"}
    assert months <= set(inspect(engine).get_table_names())
    with Session(engine) as session, session.begin():
        session.add(prediction(1))
        session.add(prediction(2, NOW + timedelta(days=10)))
        session.add(prediction(3, NOW - timedelta(days=900)))
    assert drop_partitions(engine, datetime(2026, 12, 2, tzinfo=UTC)) == ["predictions_2026_11"]
    with Session(engine) as session:
        left = set(session.scalars(select(Prediction.id)))
    assert left == {"chatcmpl-2", "chatcmpl-3"}


def test_a_moment_without_a_time_zone_is_refused(engine: Engine) -> None:
    prepare(engine)
    naive = {"created_at": datetime(2026, 1, 1)}
    row = {c.name: getattr(prediction(), c.name) for c in Prediction.__table__.columns}
    with (
        pytest.raises(Exception, match="time zone"),
        engine.begin() as connection,
    ):
        connection.execute(insert(Prediction), [{**row, **naive}])
