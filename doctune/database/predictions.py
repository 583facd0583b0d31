"""The log of predictions: rows in, and old ones out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, insert, or_
from sqlalchemy.exc import IntegrityError

from doctune.database.experiments import ENDING, PREPARING, RUNNING, list_experiments
from doctune.database.partitions import drop_partitions
from doctune.database.tables import Prediction

logger = logging.getLogger("doctune.database")


def write_predictions(engine: Engine, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows, by the columns of `Prediction`; one that is there already is left as it is."""
    try:
        with engine.begin() as connection:
            connection.execute(insert(Prediction), list(rows))
    except IntegrityError:
        # A batch that was committed although its connection broke: row by row, none twice.
        for row in rows:
            try:
                with engine.begin() as connection:
                    connection.execute(insert(Prediction), [row])
            except IntegrityError:
                logger.info("A prediction was written already")


def delete_predictions(engine: Engine, before: datetime) -> None:
    """Deletes what was asked before a moment, but for what an experiment still needs.

    An experiment that has not ended needs its model's predictions since its start, and of the time
    before that it compares its users with.
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
