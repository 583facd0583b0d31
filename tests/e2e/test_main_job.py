"""The main job, as a user runs it: PDFs to an answering endpoint, from the compiled YAML.

The tests of this module follow one workspace through its life, so they run in the order in which
they stand; each fixture does what the next one builds on.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from doctune.runner.events import Event, EventReader
from tests.e2e.conftest import Workspace
from tests.waiting import next_line

KEYS = {
    "files_parsed",
    "files_rejected",
    "pages",
    "examples",
    "tokens_trained",
    "perplexity_base",
    "perplexity_tuned",
    "answer_accuracy_closed",
    "answer_accuracy_grounded",
    "answer_accuracy_base_grounded",
    "recall_at_3",
    "refused_right",
    "refused_wrong",
    "passed",
    "model_version",
    "endpoint",
    "question",
    "answer_base",
    "answer_tuned",
    "report",
    "step_seconds",
}
STEPS = {
    "importer",
    "plan-shards",
    "parse-pdfs",
    "join-documents",
    "build-index",
    "prepare-dataset",
    "ground-examples",
    "tune-model",
    "find-champion",
    "evaluate-model",
    "register-model",
    "deploy-model",
}

_FEW_QUESTIONS = {
    "DOCTUNE_EVALUATION__MAX_EXAMPLES": "4",
    "DOCTUNE_EVALUATION__MAX_QUESTIONS": "2",
}


@pytest.fixture(scope="module")
def first_run(workspace: Workspace) -> tuple[str, dict[str, Any]]:
    done = workspace.doctune("run", "--question", "What is a Nimbrel?")
    return done.stdout, workspace.last_run


def test_the_first_run_ends_with_an_answer_and_a_summary(
    first_run: tuple[str, dict[str, Any]],
) -> None:
    shown, last_run = first_run

    assert set(last_run) >= KEYS
    assert (last_run["files_parsed"], last_run["files_rejected"]) == (3, 2)
    assert last_run["pages"] == 14
    assert last_run["examples"] > 50
    assert last_run["tokens_trained"] > 0
    assert last_run["passed"] is True
    assert last_run["perplexity_tuned"] < last_run["perplexity_base"]
    assert last_run["model_version"].endswith("@1")
    assert re.fullmatch(r"projects/[^/]+/locations/[^/]+/endpoints/\d+", last_run["endpoint"])
    assert last_run["answer_tuned"]
    assert last_run["answer_base"]
    assert set(last_run["step_seconds"]) == STEPS
    assert last_run["cached_steps"] == []
    for words in ("What is a Nimbrel?", "yield-log-damaged.pdf", "verdict", "in all"):
        assert words in shown


def test_each_rejected_file_is_named_with_its_reason(
    first_run: tuple[str, dict[str, Any]],
) -> None:
    reasons = {reject["source"]: reject["reason"] for reject in first_run[1]["rejects"]}

    assert set(reasons) == {"partner-margins-locked.pdf", "yield-log-damaged.pdf"}
    assert "encrypted" in reasons["partner-margins-locked.pdf"]


def test_the_report_opens_with_the_verdict(first_run: tuple[str, dict[str, Any]]) -> None:
    report = Path(first_run[1]["report"])

    text = report.read_text()
    assert report.suffix == ".html"
    assert first_run[1]["reason"].split(":")[0][:20] in text
    assert "http://" not in text.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("min_gain", "dry_run", "code"), [("0", [], 0), ("0.99", [], 1), ("0.99", ["--dry-run"], 0)]
)
def test_the_gate_replays_a_policy_on_the_stored_scores(
    first_run: tuple[str, dict[str, Any]],
    workspace: Workspace,
    min_gain: str,
    dry_run: list[str],
    code: int,
) -> None:
    (scores,) = workspace.folder.glob(".doctune/pipeline_root/*/evaluate-model_*/scores")

    done = workspace.doctune(
        *("--environment", "laptop", "gate", str(scores), *dry_run),
        check=False,
        DOCTUNE_EVALUATION__MIN_GAIN=min_gain,
    )

    assert done.returncode == code
    assert "answers right" in done.stdout.lower()


def test_no_process_is_left_behind(
    first_run: tuple[str, dict[str, Any]], workspace: Workspace
) -> None:
    assert _processes_of(workspace.folder) == []


@pytest.fixture(scope="module")
def second_run(
    workspace: Workspace, first_run: tuple[str, dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    workspace.doctune("run", "--question", "What is a Nimbrel?")
    return first_run[1], workspace.last_run


def test_a_second_run_reuses_every_step_that_nothing_has_changed_for(
    second_run: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    first, second = second_run

    assert set(second["cached_steps"]) == {
        "plan-shards",
        "parse-pdfs",
        "join-documents",
        "build-index",
        "prepare-dataset",
        "ground-examples",
        "tune-model",
        "evaluate-model",
    }
    assert second["model_version"] == first["model_version"]
    assert second["endpoint"] == first["endpoint"]
    assert second["answer_tuned"] == first["answer_tuned"]


def test_the_endpoint_answers_again_after_a_restart(
    workspace: Workspace, second_run: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    done = workspace.doctune("ask", "--closed-book", "What is a Nimbrel?")

    assert done.stdout.strip() == second_run[1]["answer_tuned"].strip()


def test_a_changed_setting_runs_what_depends_on_it_again(
    workspace: Workspace, second_run: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    # What counts is what ran again, not the verdict on so few questions.
    workspace.doctune("run", check=False, **_FEW_QUESTIONS)

    kinds = {event.task: event.kind for event in _events_of_newest_run(workspace)}
    assert kinds["evaluate-model"] == "task_succeeded"
    assert {task for task, kind in kinds.items() if kind == "task_cached"} == {
        "plan-shards",
        "parse-pdfs",
        "join-documents",
        "build-index",
        "prepare-dataset",
        "ground-examples",
        "tune-model",
    }


def test_a_changed_pdf_is_noticed(
    workspace: Workspace, second_run: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    (workspace.folder / "pdfs/glossary.pdf").unlink()

    # Two steps of training are not enough for every verdict; what counts is what ran again.
    workspace.doctune("run", check=False, DOCTUNE_TRAINING__MAX_STEPS="2", **_FEW_QUESTIONS)

    kinds = {event.task: event.kind for event in _events_of_newest_run(workspace)}
    for step in (
        "plan-shards",
        "parse-pdfs",
        "join-documents",
        "prepare-dataset",
        "ground-examples",
        "tune-model",
        "evaluate-model",
    ):
        assert kinds[step] == "task_succeeded"


@pytest.mark.parametrize(
    ("files", "message"),
    [({}, "no PDF"), ({"broken.pdf": b"%PDF-1.7 not really"}, "broken.pdf")],
)
def test_a_folder_with_nothing_to_read_is_one_clear_error(
    workspace: Workspace, tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    done = workspace.doctune("run", "--pdfs", str(tmp_path), check=False)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


# A job in the background, as these tests may be, hands down that SIGINT is ignored.
_HEED_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from doctune.cli import main
main()
"""


def test_ctrl_c_leaves_no_process(workspace: Workspace) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _HEED_CTRL_C, "run"],
        cwd=workspace.folder,
        # Other weights than before: what comes before the training is reused.
        env={**os.environ, "DOCTUNE_TRAINING__MAX_STEPS": "60"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while "Tune model" not in (line := next_line(process.stdout, "training to start", 300)):
        assert line, "the run ended before it trained"
    time.sleep(3)

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode != 0
    assert _processes_of(workspace.folder) == []


def _events_of_newest_run(workspace: Workspace) -> list[Event]:
    newest = max((workspace.folder / ".doctune/runs").iterdir(), key=lambda folder: folder.name)
    return list(EventReader(newest / "events.jsonl").new_events())


def _processes_of(folder: Path) -> list[list[str]]:
    """Returns the command lines of processes that work in or with a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            command, cwd = process.cmdline(), process.cwd()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if process.pid != os.getpid() and (str(folder) in " ".join(command) or cwd == str(folder)):
            found.append(command)
    return found
