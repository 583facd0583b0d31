"""Compiled specs: the same bytes each time, pinned images, and accepted by the SDK's own loader."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPONENTS = sorted(
    path.stem
    for path in (ROOT / "components").glob("*.py")
    if path.stem not in ("__init__", "images")
)
PIPELINES = sorted(
    path.stem
    for path in (ROOT / "pipelines").glob("*.py")
    if path.stem not in ("__init__", "machines")
)

# What a Google Cloud pipeline component is launched by: its package pins it to its own version.
LAUNCHER = "gcr.io/ml-pipeline/google-cloud-pipeline-components:"


def _compile(out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "compile.py", "--out", str(out), *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    done = _compile(out, "--image-prefix", "example.com/doctune", "--image-tag", "0123abc")
    assert done.returncode == 0, done.stderr
    return out


def _read(path: Path) -> dict[str, Any]:
    return next(iter(yaml.safe_load_all(path.read_text())))


def _images(path: Path) -> set[str]:
    executors = _read(path)["deploymentSpec"]["executors"].values()
    return {executor["container"]["image"] for executor in executors if "container" in executor}


def test_every_pipeline_and_component_is_compiled(dist: Path) -> None:
    assert sorted(path.stem for path in (dist / "pipelines").iterdir()) == PIPELINES
    assert sorted(path.stem for path in (dist / "components").iterdir()) == COMPONENTS


def test_compiling_twice_gives_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    _compile(tmp_path, "--image-prefix", "example.com/doctune", "--image-tag", "0123abc")

    for path in sorted(dist.rglob("*.yaml")):
        assert path.read_bytes() == (tmp_path / path.relative_to(dist)).read_bytes(), path.name


@pytest.mark.parametrize("name", PIPELINES)
def test_flags_pin_every_image(dist: Path, name: str) -> None:
    ours, launchers = [], []
    for image in _images(dist / "pipelines" / f"{name}.yaml"):
        (launchers if image.startswith(LAUNCHER) else ours).append(image)

    assert ours
    for image in ours:
        assert image.startswith("example.com/doctune/")
        assert image.endswith(":0123abc")
    for image in launchers:
        assert re.fullmatch(r"\d+\.\d+\.\d+", image.removeprefix(LAUNCHER))


@pytest.mark.parametrize("path", [f"pipelines/{n}" for n in PIPELINES])
def test_the_sdks_loader_accepts_the_pipeline(dist: Path, path: str) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.aiplatform import PipelineJob

    declared = _read(dist / f"{path}.yaml")["root"].get("inputDefinitions", {})
    required = {
        name: _example(parameter["parameterType"])
        for name, parameter in declared.get("parameters", {}).items()
        if not parameter.get("isOptional")
    }
    job = PipelineJob(
        display_name="check",
        template_path=str(dist / f"{path}.yaml"),
        parameter_values=required,
        pipeline_root="gs://bucket/root",
        project="my-project",
        location="us-central1",
        credentials=AnonymousCredentials(),
    )

    assert set(job.to_dict()["runtimeConfig"]["parameterValues"]) >= set(required)


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_sdks_loader_accepts_the_component(dist: Path, name: str) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.aiplatform import PipelineJob

    inputs = _read(dist / "components" / f"{name}.yaml")["root"].get("inputDefinitions", {})
    job = PipelineJob(
        display_name="check",
        template_path=str(dist / "components" / f"{name}.yaml"),
        parameter_values={
            parameter: _example(definition["parameterType"])
            for parameter, definition in inputs.get("parameters", {}).items()
            if not definition.get("isOptional")
        },
        input_artifacts=dict.fromkeys(inputs.get("artifacts", {}), "1"),
        pipeline_root="gs://bucket/root",
        project="my-project",
        location="us-central1",
        credentials=AnonymousCredentials(),
    )

    assert job.to_dict()["pipelineSpec"]


@pytest.mark.parametrize("name", PIPELINES)
def test_no_step_installs_anything_at_its_start(dist: Path, name: str) -> None:
    assert "pip install" not in (dist / "pipelines" / f"{name}.yaml").read_text()


def test_accelerators_come_from_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTUNE_VERTEX_MACHINES__TRAINING__ACCELERATOR_TYPE", "NVIDIA_L4")
    monkeypatch.setenv("DOCTUNE_VERTEX_MACHINES__TRAINING__ACCELERATOR_COUNT", "2")

    assert _compile(tmp_path).returncode == 0

    executors = _read(tmp_path / "pipelines/train_and_deploy.yaml")["deploymentSpec"]["executors"]
    accelerator = executors["exec-tune-model"]["container"]["resources"]["accelerator"]
    assert accelerator["resourceType"] == "NVIDIA_L4"
    assert str(accelerator["resourceCount"]) == "2"


def test_the_tag_latest_is_refused_with_exit_code_2(tmp_path: Path) -> None:
    done = _compile(tmp_path, "--image-tag", "latest")

    assert done.returncode == 2
    assert "git SHA" in done.stderr
    assert not any(tmp_path.rglob("*.yaml"))


def test_the_model_and_endpoint_steps_are_never_cached(dist: Path) -> None:
    spec = _read(dist / "pipelines/train_and_deploy.yaml")
    tasks = dict(spec["root"]["dag"]["tasks"])
    for component in spec["components"].values():
        tasks |= component.get("dag", {}).get("tasks", {})

    for name in ("find-champion", "register-model", "deploy-model"):
        assert not tasks[name]["cachingOptions"].get("enableCache"), name
    for name in (
        "plan-shards",
        "parse-pdfs",
        "join-documents",
        "prepare-dataset",
        "tune-model",
        "evaluate-model",
    ):
        assert tasks[name]["cachingOptions"]["enableCache"], name


def _example(parameter_type: str) -> Any:
    examples = {"STRING": "text", "NUMBER_INTEGER": 1, "NUMBER_DOUBLE": 1.0, "BOOLEAN": True}
    return examples.get(parameter_type, [] if parameter_type == "LIST" else {})


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_of_ours_is_tried_again(dist: Path, name: str) -> None:
    spec = _read(dist / "pipelines" / f"{name}.yaml")
    # A launcher that starts a job would start another one.
    ours = {
        label
        for label, executor in spec["deploymentSpec"]["executors"].items()
        if executor.get("container", {}).get("image", "").startswith("example.com/doctune/")
    }
    components = {
        label for label, part in spec["components"].items() if part.get("executorLabel") in ours
    }
    tasks = [
        (label, task)
        for dag in (spec["root"], *spec["components"].values())
        for label, task in dag.get("dag", {}).get("tasks", {}).items()
        if task["componentRef"]["name"] in components
    ]

    assert tasks
    for label, task in tasks:
        assert int(task.get("retryPolicy", {}).get("maxRetryCount", 0)) >= 1, label
