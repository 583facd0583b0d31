"""Monthly partitions of the predictions on Postgres, so that old months are dropped at once."""

from datetime import UTC, date, datetime

from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

_TABLE = "predictions"


def make_partitions(engine: Engine, today: date, months_ahead: int = 2) -> None:
    """Creates the partitions of this month and the next ones; does nothing on SQLite."""
    if engine.dialect.name != "postgresql":
        return
    for ahead in range(months_ahead + 1):
        start, end = _month(today, ahead), _month(today, ahead + 1)
        statement = (
            f"CREATE TABLE IF NOT EXISTS {partition_name(start)} PARTITION OF {_TABLE} "
            f"FOR VALUES FROM ('{start}') TO ('{end}')"
        )
        try:
            with engine.begin() as connection:
                connection.execute(text("SET LOCAL lock_timeout = '5s'"))
                connection.execute(text(statement))
        except ProgrammingError as error:
            # Another process was faster, or rows of that month are in the default partition.
            if "already exists" not in str(error) and "would be violated" not in str(error):
                raise


def drop_partitions(engine: Engine, before: datetime) -> list[str]:
    """Drops the partitions of months that ended before a moment; returns their names."""
    if engine.dialect.name != "postgresql":
        return []
    moment = before.astimezone(UTC).date()
    with engine.begin() as connection:
        names = connection.execute(
            text(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                "WHERE i.inhparent = 'predictions'::regclass"
            )
        ).scalars()
        old = [
            name
            for name in names
            if (start := _start_of(name)) is not None and _month(start, 1) <= moment
        ]
        for name in old:
            connection.execute(text(f"DROP TABLE {name}"))
    return old


def partition_name(start: date) -> str:
    """Returns the name of a month's partition."""
    return f"{_TABLE}_{start:%Y_%m}"


def _start_of(name: str) -> date | None:
    try:
        return datetime.strptime(name, f"{_TABLE}_%Y_%m").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _month(day: date, ahead: int) -> date:
    """Returns the first day of the month that is a number of months after a day."""
    months = day.year * 12 + day.month - 1 + ahead
    return date(months // 12, months % 12 + 1, 1)
