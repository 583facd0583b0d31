"""Environments laid over the configuration, and configurations carried and compared."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from doctune.cli import app
from doctune.compute.costs import estimate
from doctune.compute.prices import load_prices
from doctune.configuration.environments import choose_laptop
from doctune.configuration.settings import load_settings, load_vertex_settings
from doctune.errors import ConfigurationError, UsageError
from doctune.evaluation.options import AnswerBounds

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's configuration, which is the one in force."""
    copied = Path(shutil.copytree(ROOT / "config", tmp_path / "config"))
    monkeypatch.setenv("DOCTUNE_CONFIG", str(copied))
    # Set and taken away again by the fixture, since the command sets it for its process.
    monkeypatch.setenv("DOCTUNE_ENVIRONMENT", "")
    return copied


def _doctune(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def _lay(folder: Path, environment: str, file: str, text: str) -> None:
    path = folder / "environments" / environment / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_projects_own_environments_are_valid(environment: str) -> None:
    load_settings(ROOT / "config", environment)

    vertex = load_vertex_settings(ROOT / "config", environment)

    assert vertex.project.endswith(environment)
    assert vertex.images.tag == "dev"


def test_a_base_of_eight_billion_parameters_is_tuned_and_served_on_one_l4_each() -> None:
    settings = load_settings(ROOT / "config", "l4-8b")
    vertex = load_vertex_settings(ROOT / "config", "l4-8b")

    assert settings.training.load_in_4bit
    assert settings.training.gradient_checkpointing
    for machine in (vertex.machines.training, vertex.endpoint):
        assert (machine.accelerator_type, machine.accelerator_count) == ("NVIDIA_L4", 1)
    run = estimate(vertex, load_prices(ROOT / "config"), {"tune-model": 1, "evaluate-model": 1})
    assert run.total == pytest.approx(1.99, abs=0.01)


# What makes a run short, or lets more pass: fit for a laptop alone.
CAPS: dict[str, dict[str, Any]] = {
    "documents": {"max_failure_share": 0.1},
    "dataset": {"max_examples": None},
    "training": {"max_steps": -1, "early_stopping_patience": 2},
    "evaluation": {
        "max_examples": None,
        "first_release": "proven",
        "slice_regressions": "fail",
        "min_examples": 8,
        "required_slices": (),
        "bounds": AnswerBounds(),
    },
}


@pytest.mark.parametrize("environment", ["", "dev", "staging", "prod"])
def test_no_cap_of_the_laptop_reaches_what_runs_on_google_cloud(environment: str) -> None:
    settings = load_settings(ROOT / "config", environment)

    for section, values in CAPS.items():
        for name, value in values.items():
            assert getattr(getattr(settings, section), name) == value, f"{section}.{name}"


def test_a_run_on_this_machine_is_short_unless_told_otherwise(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_laptop(folder)
    assert load_settings().dataset.max_examples == 300

    monkeypatch.setenv("DOCTUNE_ENVIRONMENT", "prod")
    choose_laptop(folder)
    assert load_settings().dataset.max_examples is None

    monkeypatch.setenv("DOCTUNE_ENVIRONMENT", "")
    shutil.rmtree(folder / "environments" / "laptop")
    choose_laptop(folder)
    assert load_settings().dataset.max_examples is None


@pytest.mark.parametrize("verb", [["submit"], ["runs"]])
def test_the_laptop_is_refused_on_google_cloud(folder: Path, verb: list[str]) -> None:
    _lay(folder, "laptop", "vertex_config.yaml", "project: my-company\n")

    done = _doctune("--environment", "laptop", *verb, "--cloud")

    assert isinstance(done.exception, ConfigurationError)
    assert "environment laptop" in str(done.exception)


def test_an_environment_is_laid_over_the_files_key_by_key(folder: Path) -> None:
    _lay(folder, "test", "config.yaml", "training:\n  lora_r: 3\n")

    base, training = load_settings().training, load_settings(environment="test").training

    assert training == base.model_copy(update={"lora_r": 3})
    assert load_vertex_settings(environment="test") == load_vertex_settings()


def test_a_variable_wins_over_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lay(folder, "test", "config.yaml", "training:\n  lora_r: 3\n")
    monkeypatch.setenv("DOCTUNE_ENVIRONMENT", "test")
    assert load_settings().training.lora_r == 3

    monkeypatch.setenv("DOCTUNE_TRAINING__LORA_R", "5")

    assert load_settings().training.lora_r == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [("prd", "did you mean prod?"), ("../../etc", "there are: dev, l4-8b, laptop, prod")],
)
def test_an_unknown_environment_is_refused(folder: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_settings(environment=name)


def test_an_error_names_the_file_that_holds_the_bad_value(folder: Path) -> None:
    _lay(folder, "test", "config.yaml", "training:\n  lora_r: 0\n")

    with pytest.raises(ConfigurationError, match=r"environments/test/config\.yaml: training\.lor"):
        load_settings(environment="test")


def test_every_environment_is_validated(folder: Path) -> None:
    assert "dev, l4-8b, laptop, prod, staging" in _doctune("config", "validate").output
    _lay(folder, "test", "vertex_config.yaml", "colour: blue\n")

    done = _doctune("config", "validate")

    assert isinstance(done.exception, ConfigurationError)
    assert "unknown key colour" in str(done.exception)


def test_what_is_exported_in_one_project_is_imported_in_another(
    folder: Path, tmp_path: Path
) -> None:
    exported = tmp_path / "prod.yaml"
    _doctune("--environment", "prod", "config", "export", str(exported))
    shutil.rmtree(folder / "environments" / "prod")

    done = _doctune("--environment", "prod", "config", "import", str(exported))

    assert done.exit_code == 0
    vertex = yaml.safe_load((folder / "environments/prod/vertex_config.yaml").read_text())
    assert vertex["project"] == "my-company-prod"
    assert "location" not in vertex  # the same in the base
    assert _doctune("config", "diff", "prod", str(exported), "--exit-code").exit_code == 0


def test_an_import_replaces_nothing_unasked(folder: Path, tmp_path: Path) -> None:
    exported = tmp_path / "all.yaml"
    _doctune("config", "export", str(exported))
    before = (folder / "config.yaml").read_text()

    refused = _doctune("config", "import", str(exported))
    assert isinstance(refused.exception, UsageError)
    assert (folder / "config.yaml").read_text() == before

    expected = load_settings()
    assert _doctune("config", "import", str(exported), "--overwrite").exit_code == 0
    assert load_settings() == expected
    assert (folder / "config.yaml").read_text() != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config: {}", "is not an exported configuration"),
        ("[", "cannot be read"),
        ("config: {model_name: m}\nvertex_config: {}", "question is missing"),
    ],
)
def test_a_file_that_is_no_configuration_is_not_imported(
    folder: Path, tmp_path: Path, text: str, message: str
) -> None:
    exported = tmp_path / "bad.yaml"
    exported.write_text(text)

    done = _doctune("config", "import", str(exported), "--overwrite")

    assert isinstance(done.exception, ConfigurationError)
    assert message in str(done.exception)


def test_diff_names_each_key_with_both_values(folder: Path) -> None:
    done = _doctune("config", "diff", "base", "prod", "--exit-code")

    assert done.exit_code == 1
    assert 'vertex_config.project: "doctune-local" -> "my-company-prod"' in done.output
    shown = _doctune("config", "diff", "base", "laptop").output
    assert 'config.evaluation.first_release: "proven" -> "better"' in shown
    assert "location" not in done.output


def test_a_secret_is_neither_shown_nor_exported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTUNE_DOCUMENTS__PASSWORD", "open sesame")

    for verb in ("show", "export"):
        assert "sesame" not in _doctune("config", verb).output
