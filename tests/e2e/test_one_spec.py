"""One compiled spec, three ways to run it, one outcome.

Each way has a Vertex AI of its own, so that nothing comes from the others' registry, and caching is
off, so that each really trains. What is not equal by nature: URIs and names of runs, the id of the
deployment, and whatever the clock said. The reports show such times, and only their being there is
compared.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from doctune.publishing import MANIFEST_FILE
from doctune.runner.events import EventReader
from tests.e2e.conftest import ROOT, Workspace, copy_project
from tests.evaluation.tiny_models import write_model

BUCKET = "doctune-local"
SUBMIT = Path(__file__).parent / "programs/submit.py"
REPORTS = {"report", "summary", "curves"}
# What the clock said, and the ids that Vertex AI hands out. How Holm's method corrects a p-value
# depends on the rank of latency's among them.
UNLIKE = re.compile(r"seconds|latency|tokens_per_second|created|deployed_model_id|p_corrected")
RUN_FOLDER = re.compile(r"\S*/train-and-deploy-[-\d]+(?:/([a-z-]+)_-?\d+)?")

Tasks = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"), seed=0)


@pytest.fixture(scope="module")
def pdfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pdfs")
    for name in ("faq.pdf", "glossary.pdf", "warranty-and-returns.pdf", "yield-log-damaged.pdf"):
        shutil.copy(ROOT / "samples/pdfs" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory, compiled: Path, base: Path, pdfs: Path
) -> Iterator[dict[str, Any]]:
    """The tasks of each way and what its endpoint answers; the schedule waits beside the others."""
    spaces = {}
    for way in ("run", "now", "scheduled"):
        spaces[way] = _workspace(tmp_path_factory.mktemp(way), compiled, base, pdfs)
    arguments = tmp_path_factory.mktemp("arguments") / "arguments.json"
    _write_arguments(arguments, spaces["run"])
    spec = compiled / "pipelines/train_and_deploy.yaml"

    def submit(way: str) -> dict[str, Any]:
        command = [sys.executable, str(SUBMIT), str(spec), str(arguments), BUCKET, way]
        done = spaces[way].doctune("local", "exec", "--", *command, **_cache(spaces[way]))
        outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        storage = spaces[way].folder / ".doctune/localvertex/storage"
        return {**outcome, "tasks": _submitted(outcome["tasks"], storage)}

    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(submit, "scheduled")
        spaces["run"].doctune("run", "--no-cache", **_cache(spaces["run"]))
        now = submit("now")
        yield {"run": _ran(spaces["run"]), "now": now, "scheduled": waiting.result(timeout=580)}


def test_each_way_runs_every_step_and_ends_with_an_answering_endpoint(
    outcomes: dict[str, Any],
) -> None:
    for way, outcome in outcomes.items():
        assert outcome["tasks"]["deploy-model"]["artifacts"]["endpoint"], way
        assert outcome["answer"], way
    for way in ("now", "scheduled"):
        states = {name: task["state"] for name, task in outcomes[way]["tasks"].items()}
        assert states["for-loop-1"] == states["condition-1"] == "SUCCEEDED"
        # Released directly, not by an experiment.
        assert states.pop("deploy-version/condition-1") == "NOT_TRIGGERED"
        assert states.pop("run-experiment", "NOT_TRIGGERED") == "NOT_TRIGGERED"
        assert set(states.values()) == {"SUCCEEDED"}


@pytest.mark.parametrize("way", ["now", "scheduled"])
def test_its_outputs_are_those_of_doctune_run(outcomes: dict[str, Any], way: str) -> None:
    wanted, found = outcomes["run"]["tasks"], outcomes[way]["tasks"]

    assert set(wanted) < set(found)
    for name, task in wanted.items():
        assert found[name]["values"] == task["values"], name
        assert found[name]["artifacts"] == task["artifacts"], name
    assert outcomes[way]["answer"] == outcomes["run"]["answer"]


def test_the_weights_are_among_what_was_compared(outcomes: dict[str, Any]) -> None:
    files = outcomes["run"]["tasks"]["tune-model"]["artifacts"]["model"][0]["files"]

    assert {"adapter/adapter_model.safetensors", "model/model.safetensors"} < set(files)


def _workspace(folder: Path, compiled: Path, base: Path, pdfs: Path) -> Workspace:
    return copy_project(
        folder,
        compiled,
        base,
        str(pdfs),
        documents={"max_failure_share": 0.9},
        dataset={"max_examples": 60},
        evaluation={
            "max_examples": 8,
            # Of eight examples, one that is wrongly refused is 12 %, over the default bound.
            "bounds": {"least_right": 0.3, "most_unsupported": 0.5, "most_refused_wrong": 0.5},
        },
    )


def _cache(space: Workspace) -> dict[str, str]:
    """A cache of its own, so that no way takes answers over from another and says so."""
    return {"DOCTUNE_CACHE": str(space.folder / "cache")}


def _write_arguments(path: Path, space: Workspace) -> None:
    """Writes the parameters that `doctune run` would give."""
    script = (
        "import json, sys; from pathlib import Path; from doctune.documents import corpus_digest;"
        "from doctune.runner.arguments import *; from doctune.configuration.settings import *;"
        "from doctune.vertex.specs import read_signature;"
        "settings, vertex = load_settings(), load_vertex_settings();"
        "spec = read_signature('dist/pipelines/train_and_deploy.yaml').parameters;"
        "print(json.dumps(pipeline_arguments(settings, vertex, spec, pdfs=settings.pdfs,"
        "corpus_digest=corpus_digest(Path(settings.pdfs)), question=settings.question)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=space.folder,
        env=dict(os.environ),
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    path.write_text(done.stdout)


def _ran(space: Workspace) -> dict[str, Any]:
    """What `doctune run` left, in the form of `_submitted`."""
    (folder,) = (space.folder / ".doctune/runs").iterdir()
    tasks: Tasks = {}
    for event in EventReader(folder / "events.jsonl").new_events():
        if event.kind == "task_succeeded":
            task = tasks[event.task] = {"values": {}, "artifacts": {}}
            for name, value in event.outputs.items():
                if isinstance(value, dict) and "uri" in value:
                    artifact = _artifact(name, value["uri"], value["metadata"], Path("/"))
                    task["artifacts"][name] = [artifact]
                else:
                    task["values"][f"output:{name}"] = value
    return {"tasks": tasks, "answer": space.last_run["answer_tuned"]}


def _submitted(tasks: Tasks, storage: Path) -> Tasks:
    return {
        name: {
            **task,
            "values": {key: value for key, value in task["values"].items() if key[:6] != "input:"},
            "artifacts": {
                output: [_artifact(output, uri, metadata, storage) for uri, metadata in artifacts]
                for output, artifacts in task["artifacts"].items()
            },
        }
        for name, task in tasks.items()
    }


def _artifact(name: str, uri: str, metadata: dict[str, Any], storage: Path) -> dict[str, Any]:
    """An artifact without where it is and what the clock said."""
    found = {"metadata": _timeless(metadata)}
    if uri.startswith("https://"):
        return {**found, "resource": uri}
    path = storage / uri.removeprefix("gs://").removeprefix("/" if storage == Path("/") else "")
    assert path.exists(), uri
    if path.is_file():
        return {**found, "content": "" if name in REPORTS else _content(path)}
    files = {
        file.relative_to(path).as_posix(): _content(file)
        for file in sorted(path.rglob("*"))
        # It digests files byte by byte, clock times included; the files themselves are compared.
        if file.is_file() and file.name != MANIFEST_FILE
    }
    return {**found, "files": files}


def _content(path: Path) -> Any:
    """The content of a file, without what the clock said."""
    if path.suffix == ".parquet":
        return [_timeless(row) for row in pq.read_table(path).to_pylist()]
    content = path.read_bytes()
    try:
        return [_timeless(json.loads(line)) for line in content.splitlines()]
    except ValueError:
        pass
    try:
        return _timeless(json.loads(content))
    except ValueError:
        return hashlib.sha256(content).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if not UNLIKE.search(key)}
    if isinstance(value, list):
        items = [_timeless(item) for item in value]
        # peft writes the names of the modules that it adapts in the order of a set.
        return sorted(items) if all(isinstance(item, str) for item in items) else items
    return RUN_FOLDER.sub(r"RUN/\1", value) if isinstance(value, str) else value
