"""`doctune quota` and `doctune cost` from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.cloudquotas_v1 import CloudQuotasClient
from typer.testing import CliRunner

from doctune.cli import app
from doctune.errors import ConfigurationError, UsageError
from doctune.vertex import quotas
from tests.compute.conftest import CONFIG, quota_service

__all__ = ["quota_service"]
RUNNER = CliRunner()


def _run(*arguments: str) -> Any:
    return RUNNER.invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_CONFIG", str(CONFIG))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)


def _serve(
    quota_service: Any, monkeypatch: pytest.MonkeyPatch, training: int, serving: int
) -> None:
    monkeypatch.setenv("DOCTUNE_VERTEX_PROJECT", "my-project")
    client: CloudQuotasClient = quota_service(
        [
            {
                "metric": f"aiplatform.googleapis.com/custom_model_{use}_cpus",
                "dimensionsInfos": [{"details": {"value": str(value)}}],
            }
            for use, value in (("training", training), ("serving", serving))
        ]
    )
    monkeypatch.setattr(quotas, "_client", lambda: client)


def test_offline_says_what_is_needed() -> None:
    done = _run("quota", "--offline", "--json")

    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["location"] == "us-central1"
    assert {row["metric"]: row["need"] for row in document["quotas"]} == {
        "aiplatform.googleapis.com/custom_model_serving_cpus": 16,
        "aiplatform.googleapis.com/custom_model_training_cpus": 8,
    }
    table = _run("quota", "--offline").stdout
    assert "custom_model_training_cpus" in table
    assert "build-index: 1 x e2-standard-8" in table


def test_a_project_with_enough_is_fine(quota_service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(quota_service, monkeypatch, training=42, serving=-1)

    done = _run("quota")

    assert done.exit_code == 0, done.output
    assert "TOO LITTLE" not in done.stdout
    assert "unlimited" in done.stdout


def test_a_project_with_too_little_is_exit_code_1(
    quota_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _serve(quota_service, monkeypatch, training=42, serving=8)

    done = _run("quota")
    as_json = _run("quota", "--json")

    assert done.exit_code == as_json.exit_code == 1
    assert "TOO LITTLE" in done.stdout
    assert "iam-admin/quotas?project=my-project" in done.stdout
    rows = {row["metric"].rpartition("/")[2]: row for row in json.loads(as_json.stdout)["quotas"]}
    assert rows["custom_model_serving_cpus"]["enough"] is False
    assert rows["custom_model_training_cpus"] == {
        "metric": "aiplatform.googleapis.com/custom_model_training_cpus",
        "need": 8,
        "limit": 42,
        "enough": True,
        "reason": "build-index: 1 x e2-standard-8",
    }


def test_this_machines_project_has_no_quotas() -> None:
    done = _run("quota")

    assert isinstance(done.exception, ConfigurationError)
    assert "--offline" in str(done.exception)


def test_no_credentials_is_one_line_that_says_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTUNE_VERTEX_PROJECT", "my-project")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))

    done = _run("quota")

    assert isinstance(done.exception, ConfigurationError)
    assert "could not read the quotas of project my-project" in str(done.exception)


def test_cost_takes_the_hours_of_the_last_run_and_of_the_user(tmp_path: Path) -> None:
    (tmp_path / ".doctune").mkdir()
    (tmp_path / ".doctune/last_run.json").write_text(
        json.dumps({"step_seconds": {"tune-model": 3600, "parse-pdfs": 3600}})
    )

    done = _run("cost", "--hours", "tune-model=2", "--json")

    document = json.loads(done.stdout)
    hours = {row["step"]: row["hours"] for row in document["steps"] if row["hours"]}
    assert hours == {"parse-pdfs": 1, "tune-model": 2}
    assert document["total"] == pytest.approx((0.134 + 2 * 0.2681) * 1.15 + 0.03, abs=1e-3)
    assert (document["currency"], document["prices_of"]) == ("USD", "2026-10-07")


def test_cost_names_the_tables_date_and_the_endpoint() -> None:
    done = _run("cost", "--hours", "tune-model=1")

    assert "Prices of 2026-10-07 in us-central1" in done.stdout
    assert "159.50 USD a month" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "last_run.json is missing"),
        (("--hours", "tune-model"), "is not STEP=HOURS"),
        (("--hours", "tune-model=-1"), "0 or more"),
        (("--hours", "tune-model=nan"), "0 or more"),
        (("--hours", "x=1"), "there is no step x"),
    ],
)
def test_wrong_hours_are_usage_errors(arguments: tuple[str, ...], message: str) -> None:
    done = _run("cost", *arguments)

    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_old_prices_and_another_region_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    for path in CONFIG.glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    table = yaml.safe_load((folder / "prices.yaml").read_text())
    table["date"] = "2020-01-01"
    (folder / "prices.yaml").write_text(yaml.safe_dump(table))
    monkeypatch.setenv("DOCTUNE_CONFIG", str(folder))
    monkeypatch.setenv("DOCTUNE_VERTEX_LOCATION", "europe-west4")

    done = _run("cost", "--hours", "tune-model=1")

    assert "days old; look them up" in done.stderr
    assert "those of us-central1, the run is in europe-west4" in done.stderr
