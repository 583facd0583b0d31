"""The log of predictions: rows in, and old ones out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, delete, insert
from sqlalchemy.exc import IntegrityError

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
    """Deletes what was asked before a moment."""
    drop_partitions(engine, before)
    with engine.begin() as connection:
        connection.execute(delete(Prediction).where(Prediction.created_at < before))
