"""Chooses the weights that a retraining starts from: the base's or the champion's."""

from __future__ import annotations

from typing import Literal

from doctune.configuration.retraining import RetrainingSettings
from doctune.database.engine import Engine
from doctune.database.retrainings import last_erasure, retrainings

StartFrom = Literal["base", "champion"]


def start_from(engine: Engine, settings: RetrainingSettings) -> StartFrom:
    """Returns where the next retraining begins.

    A model that goes on from the champion keeps what that one learnt, also of a person who was
    erased since. So it begins from the base until a version that did so has been released.
    """
    if settings.start_from == "base":
        return "base"
    erased = last_erasure(engine)
    if erased is None:
        return "champion"
    for row in retrainings(engine, since=erased):
        if row.details.get("released") and row.details.get("start_from") == "base":
            return "champion"
    return settings.after_erasure
