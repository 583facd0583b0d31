"""Machine profiles: what they fill in, what wins over them, what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from doctune.configuration.settings import load_vertex_settings
from doctune.errors import ConfigurationError
from tests.compute.conftest import CONFIG, compiled_resources

__all__ = ["compiled_resources"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIG, tmp_path / "config"))


def _change(folder: Path, **sections: object) -> None:
    path = folder / "vertex_config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | sections))


def test_there_are_three_sizes_of_each_kind() -> None:
    profiles = load_vertex_settings(CONFIG).profiles

    wanted = {
        f"{size}-{kind}"
        for size in ("small", "standard", "large")
        for kind in ("cpu", "l4", "a100", "h100")
    }
    assert wanted <= set(profiles)
    for name in wanted:
        assert bool(profiles[name].accelerator_count) == (not name.endswith("cpu"))


def test_the_steps_take_their_profiles_machines() -> None:
    machines = load_vertex_settings(CONFIG).machines

    assert (machines.documents.cpu_limit, machines.documents.memory_limit) == ("4", "16G")
    assert (machines.training.cpu_limit, machines.training.memory_limit) == ("8", "32G")
    assert (machines.ops.cpu_limit, machines.ops.memory_limit) == ("2", "8G")


def test_an_environment_variable_chooses_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTUNE_VERTEX_MACHINES__TRAINING__PROFILE", "standard-l4")
    monkeypatch.setenv("DOCTUNE_VERTEX_ENDPOINT__PROFILE", "small-l4")

    settings = load_vertex_settings(folder)

    training, endpoint = settings.machines.training, settings.endpoint
    assert (training.accelerator_type, training.accelerator_count) == ("NVIDIA_L4", 1)
    assert (endpoint.machine_type, endpoint.accelerator_type) == ("g2-standard-4", "NVIDIA_L4")


def test_what_a_step_says_itself_wins(folder: Path) -> None:
    _change(folder, machines={"training": {"profile": "large-l4", "accelerator_count": 1}})

    training = load_vertex_settings(folder).machines.training

    assert (training.cpu_limit, training.accelerator_count) == ("24", 1)


def test_settings_without_profiles_still_hold(folder: Path) -> None:
    _change(folder, profiles={}, machines={"ops": {"cpu_limit": "1"}}, endpoint={"name": "e"})

    settings = load_vertex_settings(folder)

    assert settings.machines.ops.cpu_limit == "1"
    assert settings.endpoint.machine_type == "n1-standard-4"


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"machines": {"training": {"profile": "huge"}}},
            r"machines\.training\.profile: there is no profile 'huge'; there are large-a100,",
        ),
        ({"endpoint": {"name": "e", "profile": "x"}}, r"endpoint\.profile: there is no profile"),
        (
            {"profiles": {"mine": {"cpus": 4}}, "machines": {}, "endpoint": {"name": "e"}},
            r"unknown key profiles\.mine\.cpus; allowed here: machine_type, cpu_limit",
        ),
        (
            {"machines": {"training": {"accelerator_count": 2}}},
            r"machines\.training: accelerator_count needs accelerator_type",
        ),
    ],
)
def test_wrong_profiles_are_errors_in_plain_words(
    folder: Path, sections: dict[str, object], message: str
) -> None:
    _change(folder, **sections)

    with pytest.raises(ConfigurationError, match=message):
        load_vertex_settings(folder)


def test_accelerators_and_the_serving_engine_are_in_the_compiled_spec(
    compiled_resources: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    # kubeflow/pipelines issue 11374: a limit without its type is dropped and nothing is said.
    resources = compiled_resources(
        DOCTUNE_VERTEX_MACHINES__TRAINING__PROFILE="large-l4",
        DOCTUNE_VERTEX_ENDPOINT__PROFILE="small-l4",
    )

    tuning = resources["tune-model"]
    assert tuning["accelerator"]["resourceType"] == "NVIDIA_L4"
    assert str(tuning["accelerator"]["resourceCount"]) == "2"
    assert (tuning["resourceCpuLimit"], tuning["resourceMemoryLimit"]) == ("24", "96G")
    assert "accelerator" not in resources["parse-pdfs"]
    path = tmp_path / "pipelines/train_and_deploy.yaml"
    spec = next(yaml.safe_load_all(path.read_text()))
    tasks = spec["components"]["comp-release-model"]["dag"]["tasks"]
    given = {
        name: value["runtimeValue"]["constant"]
        for name, value in tasks["register-model"]["inputs"]["parameters"].items()
        if "runtimeValue" in value
    }
    assert "/serving-vllm:" in given["serving_image"]
    assert given["serving_engine"] == "vllm"
    assert given["serving_args"] == ["--engine", "vllm", "--max-batch-size", "256"]
    assert (given["shared_memory_mb"], given["deployment_seconds"]) == (16384, 1800)
