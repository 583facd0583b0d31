"""`doctune export`, `search` and `prefer`, on a tiny random model."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from doctune.cli import app
from doctune.errors import TrainingError
from doctune.training import TrainingOptions, tune_model
from tests.training.conftest import save_tiny_llama, write_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples and a tuned tiny model."""
    folder = tmp_path_factory.mktemp("training")
    pairs = [(f"what is {number}", f"it is {number}") for number in range(20)]
    write_rows(folder / "train.jsonl", pairs[:16])
    write_rows(folder / "validation.jsonl", pairs[16:])
    base = str(save_tiny_llama(folder / "base"))
    options = TrainingOptions(base_model=base, max_steps=2, lora_r=4, dtype="float32")
    data = (folder / "train.jsonl", folder / "validation.jsonl")
    tune_model(*data, folder / "tuned", options)
    return folder


def test_export_writes_the_form_asked_for_and_says_what_it_cost(folder: Path) -> None:
    arguments = ["export", "--model", folder / "tuned", "--out", folder / "int8"]
    arguments += ["--format", "int8", "--examples", folder / "validation.jsonl"]
    done = CliRunner().invoke(app, [str(part) for part in arguments])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == json.loads((folder / "int8/export.json").read_text())
    assert told["after"]["bytes"] < told["before"]["bytes"]


def test_export_refuses_too_great_a_loss(folder: Path) -> None:
    arguments = ["export", "--model", folder / "tuned", "--out", folder / "nf4", "--format", "nf4"]
    arguments += ["--examples", folder / "validation.jsonl", "--max-perplexity-increase", "-0.5"]
    done = CliRunner().invoke(app, [str(part) for part in arguments])
    assert done.exit_code == 1
    assert isinstance(done.exception, TrainingError)
    assert not (folder / "nf4").exists()


def test_search_tries_what_the_settings_say_and_names_the_best(folder: Path) -> None:
    arguments = ["search-settings", "--train", folder / "train.jsonl", "--out", folder / "search"]
    arguments += ["--validation", folder / "validation.jsonl"]
    settings = {
        "DOCTUNE_TRAINING__BASE_MODEL": str(folder / "base"),
        "DOCTUNE_TRAINING__MAX_STEPS": "2",
        "DOCTUNE_SEARCH__MAX_TRIALS": "3",
    }
    done = CliRunner().invoke(app, [str(part) for part in arguments], env=settings)
    assert done.exit_code == 0, done.output
    found = json.loads((folder / "search/search.json").read_text())
    assert len(found["trials"]) == 3
    assert f"Best validation loss {found['best_loss']:.4f}" in done.stdout
    assert f"learning_rate: {found['best_options']['learning_rate']}" in done.stdout
    assert "<svg" in (folder / "search/search.html").read_text()


def test_prefer_tunes_the_model_further(folder: Path) -> None:
    rows = [{"prompt": f"what is {n}", "completion": "yes", "label": n % 2 > 0} for n in range(8)]
    pairs = folder / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["prefer", "--pairs", pairs, "--model", folder / "tuned", "--method", "kto"]
    arguments += ["--out", folder / "preferred"]
    done = CliRunner().invoke(app, [str(part) for part in arguments])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 2
    assert (folder / "preferred/model/config.json").is_file()
