"""The log's file: what a database that is away did not take, for the next start."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from doctune.database.engine import open_database
from doctune.database.schema import prepare
from doctune.database.tables import Prediction
from doctune.gateway.prediction_log import PredictionLog, erase_spilled, spill_files
from doctune.localvertex.ports import free_port
from tests.database.rows import prediction_row

FLUSH_SECONDS = 10.0


@pytest.fixture
def away() -> Iterator[Engine]:
    """A database that refuses every connection."""
    engine = open_database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    yield engine
    engine.dispose()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/gateway.db")
    prepare(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def spill(tmp_path: Path) -> Path:
    return tmp_path / "state" / "predictions.jsonl"


def end_without_database(away: Engine, spill: Path, *rows: dict[str, Any]) -> None:
    log = PredictionLog(away, spill)
    for row in rows:
        log.add(row)
    log.close(FLUSH_SECONDS)


def spilled(spill: Path) -> list[str]:
    lines = [line for path in spill_files(spill) for line in path.read_text().splitlines()]
    return [json.loads(line)["id"] for line in lines]


def written(engine: Engine, spill: Path) -> list[str]:
    """Starts a log where the database answers, and returns what it holds then."""
    log = PredictionLog(engine, spill)
    assert log.flush(FLUSH_SECONDS), f"the log was not written within {FLUSH_SECONDS} s"
    log.close(FLUSH_SECONDS)
    with Session(engine) as session:
        return list(session.scalars(select(Prediction.id).order_by(Prediction.id)))


def test_what_waits_at_the_end_is_written_by_the_next_start_and_the_file_is_gone(
    away: Engine, here: Engine, spill: Path
) -> None:
    rows = [prediction_row() for _ in range(3)]
    end_without_database(away, spill, *rows)
    assert spilled(spill) == [row["id"] for row in rows]
    assert spill.stat().st_mode & 0o077 == 0
    assert written(here, spill) == [row["id"] for row in rows]
    assert not spill_files(spill)


def test_a_start_that_finds_no_database_either_keeps_the_file_and_doubles_nothing(
    away: Engine, here: Engine, spill: Path
) -> None:
    old, new = prediction_row(), prediction_row()
    end_without_database(away, spill, old)
    end_without_database(away, spill, new)
    assert sorted(spilled(spill)) == sorted([old["id"], new["id"]])
    assert written(here, spill) == [old["id"], new["id"]]


def test_a_person_who_is_forgotten_does_not_come_back_from_the_file(
    away: Engine, here: Engine, spill: Path
) -> None:
    rows = [prediction_row(end_user=name) for name in ("ana", "bob", "ana")]
    end_without_database(away, spill, *rows)
    assert erase_spilled(spill, "ana") == 2
    assert spill.stat().st_mode & 0o077 == 0
    assert written(here, spill) == [rows[1]["id"]]
    assert erase_spilled(spill, "ana") == 0


def test_a_line_that_was_cut_off_keeps_no_gateway_from_starting(
    away: Engine, here: Engine, spill: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = prediction_row()
    end_without_database(away, spill, row)
    whole = spill.read_text()
    spill.write_text(whole + whole[:50])
    assert written(here, spill) == [row["id"]]
    assert "line 2 is cut off" in caplog.text


def test_half_a_character_of_an_upstream_does_not_end_the_log(here: Engine, spill: Path) -> None:
    log = PredictionLog(here, spill)
    for answer in ("an emoji: \ud83d\ude00", "half of one: \ud83d", "whole"):
        log.add(prediction_row(answer=answer))
    assert log.flush(FLUSH_SECONDS), f"the log was not written within {FLUSH_SECONDS} s"
    log.close(FLUSH_SECONDS)
    with Session(here) as session:
        kept = set(session.scalars(select(Prediction.answer)))
    assert kept == {"an emoji: \U0001f600", "half of one: \ufffd", "whole"}


def test_a_batch_that_the_database_holds_up_at_the_end_is_in_the_file(
    here: Engine, spill: Path, tmp_path: Path
) -> None:
    row = prediction_row()
    log = PredictionLog(here, spill)
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # whoever writes now waits
    log.add(row)
    until = time.monotonic() + FLUSH_SECONDS
    while not log._batch:
        assert time.monotonic() < until, f"no batch was begun within {FLUSH_SECONDS} s"
        time.sleep(0.01)
    log.close(0.1)
    other.execute("ROLLBACK")
    other.close()

    assert spilled(spill) == [row["id"]]
    log._thread.join(FLUSH_SECONDS)
    assert written(here, spill) == [row["id"]]
    assert not spill_files(spill)


def test_what_another_gateway_leaves_while_this_one_writes_is_kept(
    away: Engine, here: Engine, spill: Path
) -> None:
    old, late = prediction_row(), prediction_row()
    end_without_database(away, spill, old)
    first = PredictionLog(away, spill)  # holds what the file had
    end_without_database(away, spill, late)
    first._engine = here
    assert first.flush(FLUSH_SECONDS), f"the log was not written within {FLUSH_SECONDS} s"
    first.close(FLUSH_SECONDS)
    assert set(written(here, spill)) == {old["id"], late["id"]}


def test_a_fault_in_writing_does_not_end_the_log(
    here: Engine, spill: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from doctune.gateway import prediction_log

    monkeypatch.setattr(prediction_log, "_RETRY_SECONDS", 0.01)
    plain, calls = prediction_log.write_predictions, []

    def once_broken(engine: Engine, rows: list[dict[str, Any]]) -> int:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a fault of the driver")
        return plain(engine, rows)

    monkeypatch.setattr(prediction_log, "write_predictions", once_broken)
    row = prediction_row()
    log = PredictionLog(here, spill)
    log.add(row)
    assert log.flush(FLUSH_SECONDS), f"the log was not written within {FLUSH_SECONDS} s"
    log.close(FLUSH_SECONDS)
    assert len(calls) == 2
