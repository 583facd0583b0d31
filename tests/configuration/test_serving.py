"""Which engine answers, and how its container is started."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from doctune.configuration.serving import ServingPlan
from doctune.configuration.settings import load_vertex_settings
from doctune.errors import ConfigurationError
from tests.compute.conftest import CONFIG


def plan(folder: Path, profile: str = "serving-cpu", **serving: Any) -> ServingPlan:
    values = yaml.safe_load((CONFIG / "vertex_config.yaml").read_text())
    values["endpoint"]["profile"] = profile
    values["serving"] = serving
    (folder / "vertex_config.yaml").write_text(yaml.safe_dump(values))
    return load_vertex_settings(folder, "").serving_plan


def test_on_a_cpu_the_evaluation_finds_out_the_fastest_engine_that_reads_the_model(
    tmp_path: Path,
) -> None:
    chosen = plan(tmp_path, max_batch_size=32)
    assert (chosen.engine, chosen.arguments) == ("auto", ("--max-batch-size", "32"))


def test_the_native_engine_has_the_images_own_arguments(tmp_path: Path) -> None:
    # Versions that were registered before there was a choice are found again.
    chosen = plan(tmp_path, engine="native")
    assert (chosen.engine, chosen.arguments, chosen.image) == ("native", (), "")
    assert (chosen.shared_memory_mb, chosen.deployment_seconds) == (0, 0)


def test_an_accelerator_is_served_by_vllm(tmp_path: Path) -> None:
    chosen = plan(tmp_path, "small-l4", quantization="fp8", max_model_tokens=4096)
    assert chosen.engine == "vllm"
    assert " ".join(chosen.arguments) == (
        "--engine vllm --max-batch-size 256 --max-model-tokens 4096 --quantization fp8"
    )
    assert (chosen.shared_memory_mb, chosen.deployment_seconds) == (16384, 1800)


def test_the_setting_wins(tmp_path: Path) -> None:
    assert plan(tmp_path, "small-l4", engine="native").arguments == ()
    chosen = plan(tmp_path, engine="openvino", max_batch_size=32, image="example.com/mine:1")
    assert chosen.arguments == ("--engine", "openvino", "--max-batch-size", "32")
    assert chosen.image == "example.com/mine:1"


def test_an_environment_variable_chooses_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTUNE_VERTEX_SERVING__ENGINE", "openvino")
    assert plan(tmp_path).engine == "openvino"


@pytest.mark.parametrize(
    ("profile", "serving", "reason"),
    [
        ("small-l4", {"engine": "openvino"}, "openvino runs on CPUs, but the endpoint has NVIDIA"),
        ("serving-cpu", {"engine": "vllm"}, "vllm needs an accelerator, but the endpoint has none"),
        ("serving-cpu", {"engine": "tgi"}, "serving.engine"),
        ("serving-cpu", {"quantization": "fp8"}, "quantization is for the engine vllm"),
    ],
)
def test_an_engine_that_cannot_run_there_is_refused(
    tmp_path: Path, profile: str, serving: dict[str, str], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        plan(tmp_path, profile, **serving)
