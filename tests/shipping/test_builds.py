"""The commands of the builds' steps, run in their order against Vertex AI on this machine.

`docker` and `gcloud` are stood for by tests/shipping/programs; docs/unproved.md says so.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloudbuild.build_file import read_build
from doctune.localvertex import LocalVertex, LocalVertexConfig

ROOT = Path(__file__).parents[2]
SHA = "0123456789abcdef0123456789abcdef01234567"
IMAGES = ("documents", "gateway", "ops", "training", "serving")
GIVEN = {
    "PROJECT_ID": "doctune-demo",
    "LOCATION": "us-central1",
    "COMMIT_SHA": SHA,
    "SHORT_SHA": SHA[:7],
}
# What takes minutes: the whole suite and its set-up, and the pipeline with real training.
HEAVY = {"setup", "check", "test", "staging"}


@dataclass(frozen=True)
class Checkout:
    """A copy of the sources, in which builds run."""

    folder: Path
    state: Path
    environment: dict[str, str]

    def run(
        self, build: str, *options: str, steps: list[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a build's steps, or all but the heavy ones."""
        declared = [step.id for step in read_build(ROOT / build, GIVEN).steps]
        chosen = steps or [step for step in declared if step not in HEAVY]
        command = [sys.executable, "-m", "cloudbuild.run_locally", build, *options]
        command += [part for step in chosen for part in ("--step", step)]
        command += [f"--substitution={name}={value}" for name, value in GIVEN.items()]
        return subprocess.run(
            [*command, "--path", str(Path(__file__).parent / "programs")],
            cwd=self.folder,
            env={**os.environ, **self.environment, "SHIPPING_STATE": str(self.state)},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def calls(self) -> list[list[str]]:
        """Returns what docker and gcloud were asked, and forgets it."""
        path = self.state / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalVertex]:
    config = LocalVertexConfig(
        project="doctune-demo", state_dir=tmp_path_factory.mktemp("localvertex"), programs={}
    )
    with LocalVertex.attach_or_start(config) as handle:
        yield handle


@dataclass(frozen=True)
class Merged:
    """A checkout after a merge, and what a release said before it."""

    checkout: Checkout
    refused: subprocess.CompletedProcess[str]
    done: subprocess.CompletedProcess[str]
    calls: list[list[str]]


@pytest.fixture
def checkout(tmp_path: Path, local: LocalVertex) -> Checkout:
    return _checkout(tmp_path, local)


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory, local: LocalVertex) -> Merged:
    checkout = _checkout(tmp_path_factory.mktemp("merged"), local)
    refused = checkout.run("cloudbuild/release.yaml")
    checkout.calls()
    done = checkout.run("cloudbuild.yaml")
    return Merged(checkout, refused, done, checkout.calls())


def _checkout(base: Path, local: LocalVertex) -> Checkout:
    folder, state = base / "workspace", base / "state"
    state.mkdir()
    folder.mkdir()
    for name in ("cloudbuild", "components", "config", "containers", "doctune", "pipelines"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    for name in ("cloudbuild.yaml", "compile.py", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    return Checkout(folder, state, dict(local.environment))


def test_a_merge_builds_scans_publishes_and_promotes(merged: Merged) -> None:
    done, calls, checkout = merged.done, merged.calls, merged.checkout

    assert done.returncode == 0, done.stdout + done.stderr
    images = "us-central1-docker.pkg.dev/doctune-demo/doctune"
    builds = [call for call in calls if call[:2] == ["docker", "build"]]
    assert [call[-2] for call in builds if call[-2].endswith(SHA)] == [
        f"{images}/{name}:{SHA}" for name in IMAGES
    ]
    assert ["docker", "push", f"{images}/training:{SHA}"] in calls
    assert calls[-1][:5] == ["gcloud", "builds", "triggers", "run", "doctune-release"]
    assert calls[-1][-2:] == ["--sha", SHA]
    tags = json.loads((checkout.state / "registry.json").read_text())
    assert all(f"{images}/{name}:passed-{SHA}" in tags for name in IMAGES)
    spec = (checkout.folder / "dist/pipelines/train_and_deploy.yaml").read_text()
    assert f"{images}/training:{SHA}" in spec


def test_a_pull_request_builds_the_images_and_pushes_none(checkout: Checkout) -> None:
    done = checkout.run("cloudbuild/pull_request.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    calls = checkout.calls()
    images = "us-central1-docker.pkg.dev/doctune-demo/doctune"
    builds = [call[-2] for call in calls if call[:2] == ["docker", "build"]]
    assert [tag for tag in builds if tag.endswith(SHA)] == [
        f"{images}/{name}:{SHA}" for name in IMAGES
    ]
    assert not any(call[:2] == ["docker", "push"] for call in calls)
    spec = (checkout.folder / "dist/pipelines/train_and_deploy.yaml").read_text()
    assert f"{images}/training:{SHA}" in spec


def test_the_order_does_not_matter_where_nothing_waits(checkout: Checkout) -> None:
    done = checkout.run("cloudbuild.yaml", "--late")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_finding_that_blocks_ends_the_merge(checkout: Checkout) -> None:
    issue = {"affectedPackage": "openssl", "fixedVersion": {"fullName": "3.0.2"}}
    found = {
        "noteName": "projects/goog-vulnz/notes/CVE-2026-0001",
        "vulnerability": {"effectiveSeverity": "CRITICAL", "packageIssue": [issue]},
    }
    (checkout.state / "ops.found.json").write_text(json.dumps([found]))

    done = checkout.run("cloudbuild.yaml")

    assert done.returncode == 1
    assert "BLOCKS" in done.stdout
    assert "publish                      not run" in done.stdout
    assert not any("triggers" in call for call in checkout.calls())


def test_a_release_takes_only_what_has_passed_staging(merged: Merged) -> None:
    checkout = merged.checkout
    released = checkout.run("cloudbuild/release.yaml")
    again = checkout.run("cloudbuild/release.yaml")

    assert merged.refused.returncode == 1
    assert f"has no tag passed-{SHA}" in merged.refused.stderr
    for done in (merged.done, released, again):
        assert done.returncode == 0, done.stdout + done.stderr
    tags = json.loads((checkout.state / "registry.json").read_text())
    assert sum(tag.endswith(f":prod-{SHA}") for tag in tags) == len(IMAGES)
