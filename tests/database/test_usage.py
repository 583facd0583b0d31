"""The log of predictions on both databases: awkward values, days, and following it."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from doctune.database.predictions import write_predictions
from doctune.database.schema import prepare
from doctune.database.tables import Prediction
from doctune.database.usage import follow_predictions, usage_by_day
from tests.database.rows import prediction_row


@pytest.fixture
def engine(engine: Engine) -> Engine:
    prepare(engine)
    return engine


def ids(engine: Engine) -> set[str]:
    with Session(engine) as session:
        return set(session.scalars(select(Prediction.id)))


def test_zero_characters_that_a_client_sends_keep_no_row_out(engine: Engine) -> None:
    row = prediction_row(
        "a\0b",
        "c\0d",
        end_user="e\0f",
        conversation_id="g\0h",
        parameters={"stop": ["\0"], "metadata": {"\0": "\0"}},
    )
    assert write_predictions(engine, [row]) == 0
    with Session(engine) as session:
        kept = session.scalars(select(Prediction)).one()
    if engine.dialect.name == "postgresql":
        assert (kept.answer, kept.end_user, kept.conversation_id) == ("cd", "ef", "gh")


def test_a_value_that_the_database_refuses_costs_its_own_row_alone(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [prediction_row(), prediction_row(owner="x" * 500), prediction_row()]
    lost = write_predictions(engine, rows)
    if engine.dialect.name == "postgresql":  # SQLite bounds no text
        assert lost == 1
        assert ids(engine) == {rows[0]["id"], rows[2]["id"]}
        assert rows[1]["id"] in caplog.text
        assert "xxx" not in caplog.text
    # What is written again is not written twice.
    assert write_predictions(engine, rows) == lost
    assert len(ids(engine)) == 3 - lost


def test_a_day_of_use_is_a_day_in_utc(engine: Engine) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.exec_driver_sql("ALTER DATABASE postgres SET timezone TO 'Asia/Tokyo'")
            connection.commit()
        engine.dispose()
    late = midnight - timedelta(minutes=1)
    write_predictions(engine, [prediction_row(at=late), prediction_row(at=midnight)])
    days = [row.day for row in usage_by_day(engine, 3)]
    assert days == [f"{midnight:%Y-%m-%d}", f"{late:%Y-%m-%d}"]
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.exec_driver_sql("ALTER DATABASE postgres RESET timezone")
            connection.commit()


def test_following_shows_each_row_once_also_one_that_took_longer(engine: Engine) -> None:
    now = datetime.now(UTC)
    old, first = (prediction_row(at=now - timedelta(seconds=s)) for s in (90, 30))
    write_predictions(engine, [old, first])
    following = follow_predictions(engine, 1, poll_seconds=0.01)
    assert next(following).id == first["id"]
    slow = prediction_row(at=now - timedelta(seconds=60))
    new = prediction_row(at=now)
    write_predictions(engine, [slow])
    assert next(following).id == slow["id"]
    write_predictions(engine, [new])
    assert [row.id for row in islice(following, 1)] == [new["id"]]
