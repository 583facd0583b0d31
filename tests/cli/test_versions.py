"""`doctune evaluate`, `versions` and `compare`: three models from evaluation to the registry."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doctune.evaluation import EvaluationOptions, evaluate_model
from tests.cli.conftest import Project
from tests.evaluation.tiny_models import make_row, write_model, write_rows, write_tuned

_REGISTER = """
import json, sys
from pathlib import Path
from doctune.cli.session import vertex_session
from doctune.vertex import register_model
with vertex_session(True):
    for folder in map(Path, sys.argv[1:]):
        card = json.loads((folder / "scores.json").read_text())
        register_model(
            folder / "model-dir",
            model_name="greeter",
            serving_image="example.com/doctune/serving:1",
            scores={
                **card["scores"],
                "outcome": card["outcome"],
                "test_digest": card["test_digest"],
                "predictions": str(folder / "predictions.jsonl"),
            },
            scores_path=folder / "scores.json",
        )
"""


LIGHT = {
    "DOCTUNE_EVALUATION__BOOTSTRAP_RESAMPLES": "200",
    "DOCTUNE_EVALUATION__GENERAL_PROMPTS": "false",
    "DOCTUNE_EVALUATION__SEMANTIC_SIMILARITY": "false",
    "DOCTUNE_EVALUATION__MAX_NEW_TOKENS": "8",
}


@pytest.fixture(scope="module", autouse=True)
def _light_settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LIGHT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def evaluated(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders 1, 2 and 3, a registered version each; the third on a test set of its own."""
    folder = tmp_path_factory.mktemp("evaluated")
    base = write_model(folder / "base", seed=0)
    test = write_rows(folder / "test.jsonl", [make_row(number) for number in range(12)])
    own = write_rows(folder / "own.jsonl", [make_row(number) for number in range(20, 30)])
    options = EvaluationOptions(
        primary_metric="perplexity",
        bootstrap_resamples=200,
        general_prompts=False,
        semantic_similarity=False,
        max_new_tokens=8,
    )
    for number, path in ((1, test), (2, test), (3, own)):
        write_tuned(folder / f"{number}/model-dir", base, seed=number)
        out = folder / str(number)
        evaluate_model(
            out / "model-dir",
            path,
            scores_path=out / "scores.json",
            predictions_path=out / "predictions.jsonl",
            report_path=out / "report.html",
            options=options,
        )
    registered = subprocess.run(
        [sys.executable, "-c", _REGISTER, *(str(folder / str(number)) for number in (1, 2, 3))],
        cwd=project.folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert registered.returncode == 0, registered.stderr
    return folder


def scores_of(evaluated: Path, version: int) -> dict[str, float]:
    return json.loads((evaluated / str(version) / "scores.json").read_text())["scores"]


def test_evaluate_says_the_verdict_and_leaves_four_files(
    project: Project, evaluated: Path, tmp_path: Path
) -> None:
    rival = evaluated / "2/model-dir"
    done = project(
        *("evaluate", "--model", f"{evaluated}/1/model-dir", "--out", str(tmp_path)),
        *("--test", f"{evaluated}/test.jsonl", "--train", f"{evaluated}/own.jsonl"),
        *("--models", f"rival={rival}"),
    )
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "scores.json").read_text())
    assert f"{card['outcome']}: {card['reason']}" in done.stdout
    assert card["models"] == ["base", "tuned", "rival"]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("scores.json", "predictions.jsonl", "report.html", "summary.md")
    }


def test_evaluate_refuses_a_leak_with_the_example_shown(
    project: Project, evaluated: Path, tmp_path: Path
) -> None:
    done = project(
        *("evaluate", "--model", f"{evaluated}/1/model-dir", "--out", str(tmp_path / "out")),
        *("--test", f"{evaluated}/test.jsonl", "--train", f"{evaluated}/test.jsonl"),
    )
    assert done.returncode == 1
    assert make_row(0)["messages"][0]["content"] in done.stderr
    assert not (tmp_path / "out").exists()


def test_versions_lists_the_primary_metric_of_each(project: Project, evaluated: Path) -> None:
    for row in project.json("versions", "--json"):
        assert row["value"] == scores_of(evaluated, int(row["version"]))["answer_accuracy_tuned"]


def test_versions_lists_another_metric_with_its_interval(project: Project, evaluated: Path) -> None:
    rows = project.json("versions", "--metric", "perplexity", "--json")
    assert [row["version"] for row in rows] == ["1", "2", "3"]
    for row in rows:
        scores = scores_of(evaluated, int(row["version"]))
        assert row["value"] == pytest.approx(scores["perplexity_tuned"])
        assert row["low"] < row["value"] < row["high"]
    # The latest evaluation was on another test set than those of versions 1 and 2.
    assert [row["comparable"] for row in rows] == [False, False, True]
    shown = project("versions", "--metric", "chrf", "--markdown").stdout
    assert "| version | made |" in shown
    assert f"{scores_of(evaluated, 3)['chrf_tuned']:.1f}" in shown


def test_versions_writes_a_page_and_shows_a_table(project: Project, tmp_path: Path) -> None:
    page = tmp_path / "versions.html"
    done = project("versions", "--html", str(page))
    assert done.returncode == 0, done.stderr
    assert "candidate" in done.stdout
    assert page.read_text().count("<circle") == 3


def test_compare_takes_versions_and_files(project: Project, evaluated: Path) -> None:
    by_version = project.json("compare", "1", "2", "--json")
    assert by_version["names"] == ["1", "2"]
    for name, version in (("base", 1), ("tuned", 2)):
        stored = scores_of(evaluated, version)
        for metric in ("perplexity", "chrf"):
            value = by_version["scores"][f"{metric}_{name}"]
            assert value == pytest.approx(stored[f"{metric}_tuned"])
    losses = [example["loss"] for example in by_version["worse"]]
    assert losses == sorted(losses, reverse=True)
    files = [str(evaluated / number / "predictions.jsonl") for number in "12"]
    text = project("compare", *files).stdout
    assert text.startswith(f"## {files[1]} against {files[0]}, on 12 examples")
    gain = by_version["gains"]["base"]["chrf"]
    assert f"| {gain['value']:.1f} | {gain['low']:.1f} to {gain['high']:.1f} |" in text
    assert "### What got worse by Perplexity, the worst first" in text


@pytest.mark.usefixtures("evaluated")
def test_versions_on_different_test_sets_are_not_compared(project: Project) -> None:
    assert "were not evaluated on the same test set" in project("compare", "1", "3").stderr
