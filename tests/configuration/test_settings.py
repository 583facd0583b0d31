"""Configuration: files, environment over files, and errors that name file, key and remedy."""

import shutil
from pathlib import Path

import pytest

from doctune.configuration.settings import load_settings, load_vertex_settings
from doctune.errors import ConfigurationError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "config", tmp_path / "config"))


def _set(folder: Path, text: str) -> None:
    (folder / "config.yaml").write_text(f"question: Why?\nmodel_name: m\n{text}\n")


def test_the_projects_own_files_are_valid() -> None:
    assert load_settings(ROOT / "config").training.base_model == "smollm2-135m-instruct"
    assert load_vertex_settings(ROOT / "config").project == "doctune-local"


def test_the_environment_wins_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(folder, "training:\n  learning_rate: 0.1\n  lora_r: 4")
    monkeypatch.setenv("DOCTUNE_TRAINING__LEARNING_RATE", "0.2")
    monkeypatch.setenv("DOCTUNE_VERTEX_PROJECT", "another-project")

    training = load_settings(folder).training

    assert (training.learning_rate, training.lora_r) == (0.2, 4)
    assert load_vertex_settings(folder).project == "another-project"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  lerning_rate: 1", r"config\.yaml: unknown key training\.lerning_rate"),
        ("training:\n  lerning_rate: 1", r"allowed here: .*learning_rate"),
        ("trainin: {}", r"unknown key trainin; allowed here: .*training"),
        (
            "training:\n  learning_rate: -1",
            r"config\.yaml: training\.learning_rate: .*greater than 0 \(it is -1\)",
        ),
        ("training: [", r"config\.yaml is not YAML"),
    ],
)
def test_a_bad_file_is_an_error_that_names_file_key_and_what_is_allowed(
    folder: Path, text: str, message: str
) -> None:
    _set(folder, text)

    with pytest.raises(ConfigurationError, match=message):
        load_settings(folder)


def test_a_bad_variable_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_TRAINING__LORA_R", "many")

    with pytest.raises(ConfigurationError, match="environment variable DOCTUNE_TRAINING__LORA_R"):
        load_settings(folder)


def test_an_unknown_variable_is_refused_with_the_nearest_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTUNE_TRAINNG__LORA_R", "8")

    with pytest.raises(ConfigurationError, match="did you mean DOCTUNE_TRAINING"):
        load_settings(folder)


def test_the_tag_latest_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_VERTEX_IMAGES__TAG", "latest")

    with pytest.raises(ConfigurationError, match="git SHA"):
        load_vertex_settings(folder)


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="DOCTUNE_CONFIG"):
        load_settings(tmp_path)


def test_a_file_may_name_a_secret_but_not_hold_it(folder: Path) -> None:
    reference = "projects/my-project/secrets/pdf-password/versions/3"
    _set(folder, f"documents:\n  password_secret: {reference}")
    assert load_settings(folder).documents.password_secret == reference

    _set(folder, "documents:\n  password: sesame")
    with pytest.raises(ConfigurationError, match=r"documents\.password_secret") as raised:
        load_settings(folder)
    assert "sesame" not in str(raised.value)
