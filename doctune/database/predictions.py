"""The log of predictions: writes rows and deletes old ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, insert, or_
from sqlalchemy.exc import IntegrityError

from doctune.database.engine import DatabaseError, refuses_a_value
from doctune.database.experiments import ENDING, PREPARING, RUNNING, list_experiments
from doctune.database.partitions import drop_partitions
from doctune.database.tables import Prediction

logger = logging.getLogger("doctune.database")


def write_predictions(engine: Engine, rows: Sequence[dict[str, Any]]) -> int:
    """Writes rows, with the columns of `Prediction`; existing rows are not changed.

    A row with a value that the database refuses is left out, so that it does not block the others
    forever.

    Returns:
        How many rows were left out.
    """
    try:
        _insert(engine, rows)
        return 0
    except IntegrityError:
        pass  # a batch that was committed although its connection broke
    except DatabaseError as error:
        if not refuses_a_value(error):
            raise
    return sum(not _insert_one(engine, row) for row in rows)


def _insert_one(engine: Engine, row: dict[str, Any]) -> bool:
    try:
        _insert(engine, [row])
    except IntegrityError:
        logger.info("A prediction was written already")
    except DatabaseError as error:
        if not refuses_a_value(error):
            raise
        logger.error("The prediction %s is lost: the database refuses a value of it", row["id"])
        return False
    return True


def _insert(engine: Engine, rows: Sequence[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(insert(Prediction), list(rows))


def delete_predictions(engine: Engine, before: datetime) -> None:
    """Deletes the predictions before a moment, except those that an experiment still needs.

    An experiment that has not ended needs its model's predictions since its start, and those of the
    period before it that CUPED uses.
    """
    needed = needs(engine)
    drop_partitions(engine, min([before, *needed.values()]))
    old = [Prediction.created_at < before]
    for model, since in needed.items():
        old.append(or_(Prediction.model != model, Prediction.created_at < since))
    with engine.begin() as connection:
        connection.execute(delete(Prediction).where(*old))


def needs(engine: Engine) -> dict[str, datetime]:
    """Returns the moment since when the predictions of each model in an experiment are needed."""
    found: dict[str, datetime] = {}
    for state in list_experiments(engine, (PREPARING, RUNNING, ENDING)):
        days = float(state.plan.get("rules", {}).get("before_days", 0.0))
        since = (state.started_at or state.created_at) - timedelta(days=days)
        found[state.model] = min(since, found.get(state.model, since))
    return found
