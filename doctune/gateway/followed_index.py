"""The index of an agent, followed: a file names it, and may name a later one at any time.

`doctune run` and a retraining that is released write that file; the gateway reads it every few
seconds, so that users get the new index without a restart.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from doctune.errors import ConfigurationError, DoctuneError

if TYPE_CHECKING:
    from doctune.agent.core import Agent
    from doctune.knowledge import Answerer

LOOK_SECONDS = 2.0

logger = logging.getLogger("doctune.gateway")


@dataclass(frozen=True)
class IndexPlace:
    """The folder of an index, and the model version that it was released with, if any."""

    folder: Path
    version: str = ""


class Follower(Protocol):
    """A model that answers from an index: `index` is as the settings have it."""

    name: str
    index: str
    place_of_index: IndexPlace
    agent: Agent


def read_place(index: str) -> IndexPlace:
    """Returns where an index is: a folder, or what a JSON file names as `index` and `version`.

    Raises:
        ConfigurationError: The file names none.
    """
    path = Path(index)
    if path.suffix != ".json":
        return IndexPlace(path)
    try:
        named = json.loads(path.read_text(encoding="utf-8"))
        return IndexPlace(Path(str(named["index"])), str(named.get("version") or ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{path} names no index: run `doctune run`, or name a folder in gateway.yaml."
        ) from error


async def open_index(place: IndexPlace) -> Answerer:
    """Opens an index and loads what its first question needs."""
    from doctune.knowledge import Answerer

    return await asyncio.to_thread(Answerer.open, place.folder)


async def follow(models: Iterable[Follower]) -> None:
    """Gives agents the indexes that their files name, until it is cancelled."""
    models = list(models)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for model in models:
            try:
                await _look(model)
            except (DoctuneError, OSError) as error:
                logger.warning("The index of %s stays as it is: %s", model.name, error)


async def _look(model: Follower) -> None:
    place = read_place(model.index)
    if place == model.place_of_index:
        return
    if place.folder != model.place_of_index.folder:
        answerer = await open_index(place)
        await asyncio.to_thread(answerer.index.warm_up)
        model.agent.answerer = answerer
    model.place_of_index = place
    logger.info("%s answers from %s now", model.name, place.folder)
