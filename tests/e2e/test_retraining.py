"""Feedback to a new champion, unattended: the trigger, the compiled pipeline, the trace.

A tiny model learns on the local Vertex AI from two PDFs and from reviewed corrections. While the
first run works, each of its steps is killed once, and then the whole run; so the trigger starts a
second one, which takes over what was done.
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest
import yaml
from sqlalchemy import Engine

from doctune.database.engine import open_database
from doctune.database.reviews import claim, decide
from doctune.database.schema import prepare
from tests.database.rows import write_prediction
from tests.e2e.conftest import ROOT, Workspace, copy_project
from tests.evaluation.tiny_models import write_model
from tests.feedback.corpus import correct

QUESTION = "How long is the dishwasher of Room 7 left open to dry?"
ANSWER = "It is left open for an hour."
STEPS = {
    *("plan-shards", "parse-pdfs", "join-documents", "prepare-dataset", "build-index"),
    *("export-feedback", "augment-dataset", "ground-examples", "tune-model", "find-champion"),
    *("evaluate-model", "judge-regressions", "register-model", "deploy-model"),
}
_WITH_ITS_RUN = "evaluate-model"
_WAIT_SECONDS = 560


@dataclass
class Killer:
    """Kills each step of a run when it is first seen, and one run whole."""

    folder: Path
    killed: list[str] = field(default_factory=list)
    runs_killed: int = 0

    def watch(self, until: Event) -> None:
        """Looks at the processes of this machine until it is told to end."""
        while not until.wait(0.1):
            for process in psutil.process_iter(["cmdline"]):
                self._look_at(process)

    def _look_at(self, process: psutil.Process) -> None:
        step = _step_of(process.info["cmdline"] or [])
        if not step:
            return
        try:
            worker = _worker_above(process)
            if worker is None or str(self.folder) not in " ".join(worker.cmdline()):
                return
            if step not in self.killed:
                self.killed.append(step)
                process.kill()
            elif step == _WITH_ITS_RUN and not self.runs_killed:
                self.runs_killed += 1
                worker.kill()
        except psutil.Error:
            return


def _step_of(command: list[str]) -> str:
    if "--function_to_execute" not in command or "kfp.dsl.executor_main" not in command:
        return ""
    return command[command.index("--function_to_execute") + 1].replace("_", "-")


def _worker_above(process: psutil.Process) -> psutil.Process | None:
    above = process.parents()
    return next((one for one in above if "doctune.runner.worker" in one.cmdline()), None)


@contextmanager
def killing(folder: Path) -> Iterator[Killer]:
    """Kills steps beside the block."""
    killer, ended = Killer(folder), Event()
    thread = Thread(target=killer.watch, args=(ended,), daemon=True)
    thread.start()
    try:
        yield killer
    finally:
        ended.set()
        thread.join(10)


@dataclass
class Loop:
    """A workspace in which the trigger is called by the clock."""

    space: Workspace
    engine: Engine
    decisions: list[dict[str, Any]] = field(default_factory=list)

    def doctune(self, *arguments: str, **variables: str) -> Any:
        """Runs a command; returns the JSON that it prints."""
        url = self.engine.url.render_as_string()
        done = self.space.doctune(*arguments, "--json", check=False, DATABASE_URL=url, **variables)
        assert done.stdout.strip(), done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        failed = arguments[-1] == "trigger" and found["action"] == "failed"
        assert done.returncode == int(failed), done.stderr
        return found

    def until_over(self, **variables: str) -> dict[str, Any]:
        """Calls the trigger until a retraining is over; returns its last decision."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            decision = self.doctune("retrain", "trigger", **variables)
            if decision["action"] != "running":
                self.decisions.append(decision)
            if decision["action"] == "finished":
                return decision
            assert time.monotonic() < deadline, f"no end in {_WAIT_SECONDS} s: {self.decisions}"
            time.sleep(0.5)

    def review(self, question: str, answer: str) -> None:
        """Somebody corrects an answer, and a person accepts it."""
        prediction = correct(self.engine, question, answer, user="u")
        claim(self.engine, "ana", "eva", prediction)
        decide(self.engine, "ana", "eva", prediction, state="accepted", answer=answer)

    def champion(self) -> str:
        """Returns the number of the version that has the alias."""
        found = [row for row in self.doctune("versions") if "champion" in row["aliases"]]
        return str(found[0]["version"]) if found else ""


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> Iterator[Loop]:
    folder = tmp_path_factory.mktemp("retraining")
    space = _workspace(folder, compiled, write_model(tmp_path_factory.mktemp("base"), seed=0))
    for name in ("faq.pdf", "warranty-and-returns.pdf"):
        shutil.copy(ROOT / "samples/pdfs" / name, folder / "pdfs" / name)
    engine = open_database(f"sqlite:///{folder}/gateway.db")
    prepare(engine)
    yield Loop(space, engine)
    space.doctune("local", "down", check=False)
    engine.dispose()


def _workspace(folder: Path, compiled: Path, base: Path) -> Workspace:
    evaluation = {
        "primary_metric": "perplexity",  # a few steps are enough for it
        "max_examples": 6,
        "bootstrap_resamples": 200,
        "general_prompts": False,
        "semantic_similarity": False,
        "bounds": {"least_right": 0.0, "most_unsupported": 1.0, "most_refused_wrong": 1.0},
    }
    space = copy_project(
        folder, compiled, base, "pdfs", dataset={"max_examples": 40}, evaluation=evaluation
    )
    (folder / "pdfs").mkdir()
    trigger: dict[str, float | None] = {
        "reviewed_items": 2,
        "debounce_hours": 0,
        "settle_minutes": 0,
        "drift_share": None,
        "retry_minutes": 0.001,
        "monthly_budget": 1000,
    }
    rules = {"trigger": trigger, "augment": {"regression_share": 0.0}}
    (folder / "config/retraining.yaml").write_text(yaml.safe_dump(rules))
    return space


@pytest.fixture(scope="module")
def first(loop: Loop) -> tuple[dict[str, Any], Killer]:
    """The first retraining, with everything killed once."""
    assert loop.doctune("retrain", "trigger")["action"] == "none"
    for question in (QUESTION, f"Please tell me: {QUESTION}"):
        loop.review(question, ANSWER)
    with killing(loop.space.folder) as killer:
        return loop.until_over(), killer


def test_the_trigger_retrains_once_although_every_step_and_the_run_are_killed(
    loop: Loop, first: tuple[dict[str, Any], Killer]
) -> None:
    decision, killer = first

    assert set(killer.killed) == STEPS
    assert killer.runs_killed == 1
    assert decision["why"] == "the new version is champion"
    assert [one["action"] for one in loop.decisions] == [
        *("started", "failed", "retried", "finished")
    ]
    (row,) = [loop.doctune("retrain", "list")]
    assert (row["state"], row["attempts"]) == ("succeeded", 2)
    assert [version["version"] for version in loop.doctune("versions")] == ["1"]
    assert loop.champion() == "1"


def test_an_answer_leads_back_to_the_feedback_and_the_retraining(
    loop: Loop, first: tuple[dict[str, Any], Killer]
) -> None:
    prediction = write_prediction(loop.engine, QUESTION, ANSWER, model_version="projects/p@1")

    found = loop.doctune("trace", prediction)

    assert found["unknown"] == []
    assert found["retraining"]["reason"]["kinds"] == ["feedback"]
    taught = [lesson for lesson in found["lessons"] if lesson["feedback"]]
    assert {lesson["question"] for lesson in taught} >= {QUESTION}
    assert all(lesson["says_it"] for lesson in taught)


def test_a_version_that_does_not_pass_the_gate_leaves_the_champion(
    loop: Loop, first: tuple[dict[str, Any], Killer]
) -> None:
    for question in ("How wide is the hatch of Room 7?", "How heavy is the hatch of Room 7?"):
        loop.review(question, "It is 7.")

    decision = loop.until_over(DOCTUNE_EVALUATION__MIN_GAIN="0.99")

    assert decision["why"] == "the new version was not better: the champion stays"
    assert loop.champion() == "1"
    assert [version["version"] for version in loop.doctune("versions")] == ["1"]
