"""`doctune experiment` on a database that holds an experiment and its log."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from doctune.cli import app
from doctune.database.engine import open_database
from doctune.database.experiments import add_experiment
from doctune.database.schema import prepare
from doctune.errors import DoctuneError, UsageError
from doctune.experiments.controller import Controller
from tests.experiments.records import NOW, Log, Recording, fill
from tests.experiments.test_decision import PLAN
from tests.gateway.conftest import ROOT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a database in which `tone` has won."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("DOCTUNE_CONFIG", str(ROOT / "config"))
    engine = open_database(url)
    prepare(engine)
    plan = PLAN.model_copy(update={"guardrails": (), "drain_seconds": 0.0})
    document = plan.model_dump(mode="json")
    add_experiment(engine, plan.name, plan.model, plan.layer, document, NOW)
    now = [NOW]
    controller = Controller(engine, "tone", Recording(), "one", clock=lambda: now[0])
    controller.step()
    fill(Log(engine), 0.3, 0.9)
    now[0] += timedelta(days=8)
    controller.step()
    return tmp_path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["experiment", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_status_says_shares_users_intervals_and_what_happens_next(home: Path) -> None:
    shown = run("status", "tone")
    for expected in ("control 1 %", "treatment 150", "helpful", "sample ratio p", "Next:"):
        assert expected in shown.replace("\n", " ")
    found = json.loads(run("status", "tone", "--json"))
    assert found["users"] == {"control": 150, "treatment": 150}
    (row,) = found["findings"]
    assert row["lower"] > 0
    assert row["fixed_lower"] > row["lower"]


def test_the_list_and_the_report(home: Path) -> None:
    (row,) = json.loads(run("list", "--json"))
    assert row == {"name": "tone", "model": "handbook", "state": "ending", "verdict": "win"}
    run("report", "tone", "--out", "tone.html")
    page = (home / "tone.html").read_text()
    assert "helpful over time" in page
    assert "users: new" in page


def test_exported_exposures_are_analysed_as_the_database_is(home: Path) -> None:
    assert "Wrote 300 exposures" in run("export", "tone", "--out", "tone.parquet")
    found = json.loads(run("analyse", "tone", "--exposures", "tone.parquet", "--json"))
    assert found["users"] == {"control": 150, "treatment": 150}
    helpful = next(row for row in found["findings"] if row["metric"] == "helpful")
    (now,) = json.loads(run("status", "tone", "--json"))["findings"]
    assert helpful["effect"] == pytest.approx(now["effect"])
    assert "helpful" in run("analyse", "tone", "--exposures", "tone.parquet")


def test_a_plan_says_how_many_users_an_effect_needs(home: Path) -> None:
    Log(open_database(f"sqlite:///{home}/gateway.db"))
    found = json.loads(run("plan", "--metric", "helpful", "--effect", "0.05", "--json"))
    assert found["users_seen"] == 300
    assert found["users_needed"] > found["users_fixed_horizon"] > 1000
    assert "needs" in run("plan", "--metric", "helpful", "--effect", "0.05")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("status", "other"), "no experiment other"),
        (("plan", "--metric", "joy", "--effect", "1"), "no metric joy"),
        (("stop", "tone", "--keep", "third"), "no arm third"),
        (("create", "x", "--metric", "helpful", "--ramp", "a,b"), "list of percents"),
        (("create", "x", "--metric", "helpful", "--parameters", "["), "no JSON"),
        (("create", "x", "--metric", "helpful", "--force", "zoe"), "UNIT=ARM"),
        (
            (
                "create",
                "x",
                "--metric",
                "helpful",
                "--treatment",
                "2",
                "--treatment",
                "3",
                "--parameters",
                '{"temperature": 1}',
            ),
            "one treatment",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(home: Path, arguments, says) -> None:
    with pytest.raises(UsageError, match=says) as problem:
        run(*arguments)
    assert "\n" not in str(problem.value)
    assert isinstance(problem.value, DoctuneError)
    assert datetime.now(UTC) > NOW
