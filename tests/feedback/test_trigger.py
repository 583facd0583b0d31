"""The trigger starts a retraining when it is worth it, once, whatever is killed between."""

import json
import os
import random
import signal
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from doctune.configuration.retraining import RetrainingSettings, RolloutOptions, TriggerOptions
from doctune.database.engine import open_database
from doctune.database.leases import leased
from doctune.database.retrainings import (
    change_retraining,
    last_questions,
    opinions_since,
    retrainings,
)
from doctune.database.reviews import claim, decide
from doctune.database.tables import Feedback
from doctune.database.usage import forget_user
from doctune.feedback.reasons import Facts, reasons
from doctune.feedback.start import start_from
from doctune.feedback.trigger import Decision, World, _judged, trigger
from tests.database.rows import write_prediction
from tests.feedback.corpus import correct

OPTIONS = TriggerOptions(
    reviewed_items=2, settle_minutes=0, debounce_hours=1, monthly_budget=10, drift_share=None
)
WORLD = World("digest-a", 3.0, lambda most, since: None)
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class FileRuns:
    """Runs as files in a folder, which outlive whoever dies; it dies itself where it is told."""

    def __init__(self, folder: Path, die: str = "") -> None:
        self.folder, self.die = folder, die
        folder.mkdir(exist_ok=True)

    def _at(self, point: str) -> None:
        if self.die == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def state(self, run: str) -> str:
        path = self.folder / run
        return path.read_text() if path.exists() else "none"

    def snapshot(self, retraining_id: str) -> dict[str, str]:
        self._at("before the snapshot")
        (self.folder / f"snapshot-{retraining_id}").touch()
        self._at("after the snapshot")
        return {"snapshot": f"gs://b/{retraining_id}", "snapshot_digest": "d"}

    def submit(self, run: str, parameters: dict[str, str], start_from: str) -> None:
        self._at("before the run")
        assert set(parameters) == {"snapshot", "snapshot_digest"}
        if not (self.folder / run).exists():
            (self.folder / run).write_text("running")
            with (self.folder / "submitted").open("a") as file:
                file.write(f"{run}\n")
        self._at("after the run")

    def released(self, run: str) -> bool:
        self._at("after the end")
        return not (self.folder / "not-better").exists()

    def cancel(self, run: str) -> None:
        (self.folder / run).write_text("cancelled")

    def serve_champion(self) -> None:
        with (self.folder / "served").open("a") as file:
            file.write("champion\n")

    def roll_back(self, run: str) -> None:
        (self.folder / "rolled-back").touch()

    def end(self, state: str) -> None:
        for path in self.folder.glob("retrain-*"):
            if path.read_text() == "running":
                path.write_text(state)

    @property
    def submitted(self) -> list[str]:
        path = self.folder / "submitted"
        return path.read_text().splitlines() if path.exists() else []


def review(engine: Engine, count: int = 2) -> None:
    for number in range(count):
        prediction = correct(engine, f"Question {number}?", "Right", user="u")
        claim(engine, "ana", "eva", prediction)
        decide(engine, "ana", "eva", prediction, state="accepted", answer="Right")


def fire(engine: Engine, runs: FileRuns, world: World = WORLD, **more: Any) -> Decision:
    options = OPTIONS.model_copy(update={k: v for k, v in more.items() if k != "rollout"})
    return trigger(engine, runs, world, options, more.get("rollout", RolloutOptions()))


@pytest.fixture
def runs(tmp_path: Path) -> FileRuns:
    return FileRuns(tmp_path / "runs")


def test_enough_reviewed_feedback_starts_one_retraining_and_its_reason_is_written(
    engine: Engine, runs: FileRuns
) -> None:
    assert fire(engine, runs).action == "none"
    review(engine)
    assert fire(engine, runs).action == "started"
    assert fire(engine, runs).action == "running"
    runs.end("succeeded")
    assert fire(engine, runs).action == "finished"
    assert fire(engine, runs).why == "no reason holds"
    assert len(runs.submitted) == 1
    (row,) = [row for row in retrainings(engine) if row.id != "baseline"]
    assert (row.state, row.cost) == ("succeeded", 3.0)
    assert "2 reviewed items are new" in row.reason["why"]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(sqlite: Engine, runs: FileRuns) -> None:
    review(sqlite)
    found = trigger(sqlite, runs, WORLD, OPTIONS, RolloutOptions(), dry_run=True)
    assert (found.action, [reason.kind for reason in found.reasons]) == ("started", ["feedback"])
    assert retrainings(sqlite) == []
    assert runs.submitted == []


POINTS = ("before the snapshot", "after the snapshot", "before the run", "after the run")


def _fire_and_die(url: str, folder: str, die: str) -> None:
    engine = open_database(url)
    fire(engine, FileRuns(Path(folder), die))


@pytest.mark.parametrize("die", [*POINTS, "after the end"])
def test_a_trigger_that_is_killed_anywhere_leaves_one_retraining_and_one_run(
    sqlite: Engine, runs: FileRuns, die: str
) -> None:
    fire(sqlite, runs)
    review(sqlite)
    if die == "after the end":
        fire(sqlite, runs)
        runs.end("succeeded")
    url = sqlite.url.render_as_string()
    process = get_context("fork").Process(target=_fire_and_die, args=(url, str(runs.folder), die))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    with sqlite.begin() as connection:  # its lease has run out
        from sqlalchemy import update

        from doctune.database.tables import Lease

        connection.execute(update(Lease).values(until=NOW))
    for _ in range(2):
        fire(sqlite, runs)
    runs.end("succeeded")
    for _ in range(2):
        fire(sqlite, runs)
    rows = [row for row in retrainings(sqlite) if row.id != "baseline"]
    assert [row.state for row in rows] == ["succeeded"]
    assert len(runs.submitted) == 1


def test_while_one_trigger_works_another_does_nothing(engine: Engine, runs: FileRuns) -> None:
    review(engine)
    with leased(engine, "retrain", 60):
        assert fire(engine, runs).why == "another trigger is at work"
    assert fire(engine, runs).action == "started"


def test_a_failed_run_is_tried_again_with_growing_pauses_and_then_no_more(
    sqlite: Engine, runs: FileRuns
) -> None:
    review(sqlite)
    fire(sqlite, runs)
    pauses = []
    for attempt in (1, 2, 3):
        runs.end("failed")
        assert "failed; the champion stays" in fire(sqlite, runs).why
        row = retrainings(sqlite)[0]
        pauses.append(row.not_before - row.finished_at)
        if attempt < 3:
            assert "tried again at" in fire(sqlite, runs).why
            change_retraining(sqlite, row.id, not_before=NOW - timedelta(days=1))
            assert fire(sqlite, runs).action == "retried"
    assert pauses == [timedelta(minutes=minutes) for minutes in (30, 60, 120)]
    # What was given up begins again for a new reason alone, not when the debounce is over.
    assert fire(sqlite, runs, debounce_hours=0, monthly_budget=99).why == "no reason holds"
    assert [name.rsplit("-", 1)[1] for name in runs.submitted] == ["1", "2", "3"]
    review(sqlite)
    assert fire(sqlite, runs, debounce_hours=0, monthly_budget=99).action == "started"


def test_a_run_over_its_limit_is_cancelled_before_another_begins(
    sqlite: Engine, runs: FileRuns
) -> None:
    review(sqlite)
    fire(sqlite, runs)
    row = retrainings(sqlite)[0]
    change_retraining(sqlite, row.id, created_at=datetime.now(UTC) - timedelta(hours=25))

    decided = fire(sqlite, runs)

    assert decided.action == "failed"
    assert "was cancelled after 24 hours (lock_hours)" in decided.why
    assert (runs.folder / runs.submitted[0]).read_text() == "cancelled"


def test_the_budget_of_the_month_holds(sqlite: Engine, runs: FileRuns) -> None:
    review(sqlite)
    assert "monthly_budget" in fire(sqlite, runs, World("d", 11.0, lambda most, since: None)).why
    assert runs.submitted == []


def test_a_second_retraining_waits_for_the_debounce(sqlite: Engine, runs: FileRuns) -> None:
    review(sqlite)
    fire(sqlite, runs)
    runs.end("succeeded")
    fire(sqlite, runs)
    review(sqlite)
    assert "debounce_hours" in fire(sqlite, runs).why
    assert fire(sqlite, runs, debounce_hours=0).action == "started"


def test_changed_pdfs_are_a_reason_once(sqlite: Engine, runs: FileRuns) -> None:
    fire(sqlite, runs)
    other = World("digest-b", 1.0, lambda most, since: None)
    assert "the PDFs changed" in fire(sqlite, runs, other).why
    runs.end("succeeded")
    fire(sqlite, runs, other)
    assert fire(sqlite, runs, other, debounce_hours=0).why == "no reason holds"


def test_drift_starts_no_second_retraining_from_the_same(sqlite: Engine, runs: FileRuns) -> None:
    asked: list[datetime | None] = []

    def unknown(most: int, since: datetime | None) -> tuple[int, int]:
        asked.append(since)
        return 40, most

    world = replace(WORLD, unknown_questions=unknown)
    again: dict[str, Any] = {"drift_share": 0.3, "debounce_hours": 0}
    assert "like nothing that is known" in fire(sqlite, runs, world, **again).why
    runs.end("succeeded")
    fire(sqlite, runs, world, **again)
    assert fire(sqlite, runs, world, **again).why == "no reason holds"
    review(sqlite, 1)
    # Now there is something to learn; what was asked before the retraining no longer counts.
    assert fire(sqlite, runs, world, **again).action == "started"
    assert asked == [None, retrainings(sqlite)[1].created_at]


def test_questions_before_a_moment_are_no_last_questions(sqlite: Engine) -> None:
    write_prediction(sqlite, "Old?", created_at=NOW)
    write_prediction(sqlite, "New?", created_at=NOW + timedelta(minutes=2))
    assert last_questions(sqlite, 9) == ["New?", "Old?"]
    assert last_questions(sqlite, 9, NOW + timedelta(minutes=1)) == ["New?"]


def test_many_opinions_are_judged_without_holding_them(engine: Engine, runs: FileRuns) -> None:
    """The correction that outweighs a later rating, one after the other, and 6 MB of texts."""
    prediction = write_prediction(engine)
    values = {"rating": {"rating": "up"}, "correction": {"correction": "x" * 6_000}}
    rows = [
        {
            **{"id": f"{number:05d}", "prediction_id": prediction, "created_at": NOW},
            **{"key_id": "k", "owner": "ana", "end_user": f"u{number % 1_000}", "kind": kind},
            **{"value": values[kind], "source": "end_user", "version": 1},
        }
        for number, kind in enumerate(["correction"] * 1_000 + ["rating"] * 4)
    ]
    with engine.begin() as connection:
        connection.execute(insert(Feedback), rows)
    del rows
    fire(engine, runs)
    tracemalloc.start()
    judged = _judged(opinions_since(engine, None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(judged), sum(judged)) == (1_000, 996)
    assert peak < 5 << 20


def test_a_new_version_that_people_blame_is_rolled_back(sqlite: Engine, runs: FileRuns) -> None:
    rollout = RolloutOptions(watch_minutes=60, most_bad_rate=0.5)
    review(sqlite)
    fire(sqlite, runs)
    runs.end("succeeded")
    fire(sqlite, runs, rollout=rollout)
    assert fire(sqlite, runs, rollout=rollout).action == "watching"
    row = retrainings(sqlite)[0]
    change_retraining(sqlite, row.id, finished_at=NOW - timedelta(days=1))
    for number in range(6):
        correct(sqlite, f"Question {number}?", "Right", user=f"u{number}")
    assert fire(sqlite, runs, rollout=rollout).action == "rolled back"
    assert (runs.folder / "rolled-back").exists()
    # The same feedback would give the same version.
    assert fire(sqlite, runs, debounce_hours=0).why == "no reason holds"


def test_users_get_the_new_champions_index_and_after_a_roll_back_the_old_ones(
    sqlite: Engine, runs: FileRuns
) -> None:
    served = runs.folder / "served"
    review(sqlite)
    fire(sqlite, runs)
    (runs.folder / "not-better").touch()
    runs.end("succeeded")
    assert fire(sqlite, runs).why == "the new version was not better: the champion stays"
    assert not served.exists()
    (runs.folder / "not-better").unlink()
    rollout = RolloutOptions(watch_minutes=60, most_bad_rate=0.5)
    fire(sqlite, runs, World("digest-b", 1.0, lambda most: None), debounce_hours=0)
    runs.end("succeeded")
    fire(sqlite, runs, rollout=rollout)
    assert served.read_text().splitlines() == ["champion"]
    change_retraining(sqlite, retrainings(sqlite)[0].id, finished_at=NOW - timedelta(days=1))
    for number in range(6):
        correct(sqlite, f"Question {number}?", "Right", user=f"u{number}")
    assert fire(sqlite, runs, rollout=rollout).action == "rolled back"
    assert served.read_text().splitlines() == ["champion", "champion"]


CHAMPION = RetrainingSettings(start_from="champion")


def test_after_an_erasure_a_retraining_begins_from_the_base_until_one_is_released(
    sqlite: Engine, runs: FileRuns
) -> None:
    assert start_from(sqlite, RetrainingSettings()) == "base"
    assert forget_user(sqlite, "nobody") == (0, 0, 0)
    assert start_from(sqlite, CHAMPION) == "champion"
    write_prediction(sqlite, end_user="u")
    assert forget_user(sqlite, "u") == (1, 0, 0)
    assert start_from(sqlite, CHAMPION) == "base"
    told = RetrainingSettings(start_from="champion", after_erasure="champion")
    assert start_from(sqlite, told) == "champion"
    review(sqlite)
    fire(sqlite, runs, replace(WORLD, start_from=start_from(sqlite, CHAMPION)))
    assert start_from(sqlite, CHAMPION) == "base"
    runs.end("succeeded")
    fire(sqlite, runs)
    assert start_from(sqlite, CHAMPION) == "champion"


def test_another_attempt_after_an_erasure_learns_from_what_is_left(
    sqlite: Engine, runs: FileRuns
) -> None:
    review(sqlite)
    fire(sqlite, runs, replace(WORLD, start_from="champion"))
    runs.end("failed")
    fire(sqlite, runs)
    forget_user(sqlite, "u")
    (snapshot,) = runs.folder.glob("snapshot-*")
    snapshot.unlink()
    change_retraining(sqlite, retrainings(sqlite)[0].id, not_before=NOW - timedelta(days=1))
    assert fire(sqlite, runs).action == "retried"
    assert snapshot.exists()
    assert retrainings(sqlite)[0].details["start_from"] == "base"


def facts(**changed: Any) -> Facts:
    values = {
        "now": NOW,
        "reviewed": 0,
        "bad": [],
        "baseline": [],
        "corpus_digest": "a",
        "trained_digest": "a",
        "last_started": NOW - timedelta(hours=5),
        "unknown_questions": None,
    }
    return Facts(**{**values, **changed})


def test_the_test_on_bad_answers_sees_a_rise_and_raises_few_false_alarms() -> None:
    options = TriggerOptions(bad_answers_alpha=0.05, bad_answers_margin=1.5)
    chance = random.Random(13)  # noqa: S311 - no secret

    def alarms(rate: float) -> float:
        found = 0
        for _ in range(300):
            baseline = [chance.random() < 0.1 for _ in range(100)]
            bad = [chance.random() < rate for _ in range(300)]
            found += bool(reasons(facts(bad=bad, baseline=baseline), options))
        return found / 300

    assert alarms(0.1) <= 0.05
    assert alarms(0.4) >= 0.9


@pytest.mark.parametrize(
    ("changed", "options", "kind"),
    [
        ({"unknown_questions": (40, 100)}, {}, "drift"),
        ({}, {"schedule": "0 * * * *"}, "schedule"),
        ({"corpus_digest": "b"}, {}, "documents"),
        ({"reviewed": 20}, {}, "feedback"),
    ],
)
def test_each_reason_holds_by_itself(changed: dict, options: dict, kind: str) -> None:
    assert [one.kind for one in reasons(facts(**changed), TriggerOptions(**options))] == [kind]
    assert reasons(facts(), TriggerOptions()) == []


def test_a_decision_is_json() -> None:
    from doctune.feedback.trigger import as_json

    assert json.loads(json.dumps(as_json(Decision("none", "no reason holds"))))["action"] == "none"
