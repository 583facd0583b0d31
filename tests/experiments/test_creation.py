"""Experiments that are created at once share a layer's users without meeting."""

import multiprocessing
import threading
from typing import Any

import pytest
from sqlalchemy import Engine

from doctune.database.engine import open_database
from doctune.database.experiments import list_experiments
from doctune.database.leases import HeldError, leased
from doctune.errors import UsageError
from doctune.experiments import creation
from doctune.experiments.creation import add_to_layer
from tests.experiments.test_decision import PLAN

FORK = multiprocessing.get_context("fork")
SECONDS = 60


def add(engine: Engine, name: str, share: float) -> None:
    changes = {"name": name, "layer": "handbook"}
    add_to_layer(
        engine, "handbook", share, lambda slot: PLAN.model_copy(update=changes | {"slot": slot})
    )


def _create(url: str, name: str, share: float, start: Any, said: Any) -> None:
    engine = open_database(url)
    list_experiments(engine)  # connected before the start
    start.wait(SECONDS)
    try:
        add(engine, name, share)
        said.put((name, ""))
    except UsageError as error:
        said.put((name, str(error)))


def create_at_once(engine: Engine, share: float, count: int) -> dict[str, str]:
    """Creates experiments in as many processes; returns what each was told."""
    url = engine.url.render_as_string(hide_password=False)
    engine.dispose()
    start, said = FORK.Barrier(count), FORK.Queue()
    names = [f"e{number}" for number in range(count)]
    processes = [
        FORK.Process(target=_create, args=(url, name, share, start, said)) for name in names
    ]
    for process in processes:
        process.start()
    told = dict(said.get(timeout=SECONDS) for _ in names)
    for process in processes:
        process.join(SECONDS)
        assert process.exitcode == 0
    return told


def test_of_processes_that_each_want_most_of_a_layer_one_gets_it(engine) -> None:
    told = create_at_once(engine, 60, 4)
    (winner,) = [name for name, error in told.items() if not error]
    for error in filter(None, told.values()):
        assert f"has no room for 60 % of the users beside {winner}: end one of them" in error
    assert [state.name for state in list_experiments(engine)] == [winner]


def test_processes_for_which_there_is_room_get_slots_of_their_own(engine) -> None:
    told = create_at_once(engine, 25, 4)
    assert set(told.values()) == {""}
    slots = sorted(tuple(state.plan["slot"]) for state in list_experiments(engine))
    assert slots == [(0, 2500), (2500, 5000), (5000, 7500), (7500, 10_000)]


def test_one_that_waits_too_long_is_told_so(engine, monkeypatch) -> None:
    taken, over = threading.Event(), threading.Event()

    def hold(*_: object) -> tuple[int, int]:
        taken.set()
        over.wait(SECONDS)
        return (0, 10_000)

    with monkeypatch.context() as patch:
        patch.setattr(creation, "_slot", hold)
        slow = threading.Thread(target=add, args=(engine, "slow", 100))
        slow.start()
        assert taken.wait(SECONDS)
        patch.setattr(creation, "_LAYER_SECONDS", 0.2)
        with pytest.raises(UsageError, match="another experiment is being added to the layer"):
            add(engine, "second", 100)
        over.set()
        slow.join(SECONDS)
    assert [state.name for state in list_experiments(engine)] == ["slow"]


def test_a_lease_of_one_that_was_killed_ends_by_its_time(engine) -> None:
    with leased(engine, "work", seconds=0.3):
        with pytest.raises(HeldError), leased(engine, "work", seconds=1):
            pass
        with leased(engine, "work", seconds=1, wait_seconds=5):
            pass


def test_a_layer_whose_name_the_database_cannot_keep_is_refused(engine) -> None:
    layer = "x" * 65
    with pytest.raises(UsageError, match="64 characters at most"):
        add_to_layer(
            engine, layer, 50, lambda slot: PLAN.model_copy(update={"layer": layer, "slot": slot})
        )
