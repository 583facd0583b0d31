"""From a measurement and a load to a profile that is compiled and deployed."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from doctune.capacity.measure import Measurement, Percentiles, Stage
from doctune.capacity.sizing import size
from doctune.cli import app, capacity
from doctune.compute.prices import load_prices
from doctune.configuration.profiles import Machine
from doctune.configuration.settings import config_folder, load_vertex_settings
from doctune.vertex.variants import ServingMachine, _resources

SLO = "ttft_p95=1s,e2e_p95=8s"
CPU = Machine(machine_type="n1-standard-4")
LARGE = Machine(machine_type="n1-standard-16")
L4 = Machine(machine_type="g2-standard-8", accelerator_type="NVIDIA_L4", accelerator_count=1)


def stage(rate: float, *, good: bool = True) -> Stage:
    times = Percentiles(0.1, 0.2, 0.3)
    return Stage(
        rate=rate,
        requests=100,
        offered_rate=rate,
        answered_rate=rate,
        tokens_rate=50 * rate,
        goodput=rate,
        meets_slo=good,
        ttft=times,
        per_token=times,
        e2e=times,
        prompt_tokens=60,
        completion_tokens=50,
    )


def measurement(*stages: Stage, machine: str = "here", parameters: int = 135_000_000):
    return Measurement(
        target="handbook",
        date="2026-11-30",
        machine=machine,
        cpus=2,
        engine="native",
        precision="float32",
        model="handbook",
        parameters=parameters,
        prompts="test.jsonl",
        max_tokens=64,
        slo=SLO,
        alone=stage(1),
        stages=stages,
    )


MEASURED = measurement(stage(1), stage(2), stage(4, good=False), stage(3))


def test_the_capacity_is_the_highest_rate_below_the_first_that_broke_the_objectives() -> None:
    assert MEASURED.capacity == 3
    assert measurement(stage(1, good=False), stage(2)).capacity == 0


def test_a_machine_that_was_measured_carries_what_was_measured() -> None:
    (one,) = size(
        measurement(stage(2), machine="n1-standard-4"), {"cpu": CPU}, load_prices(), load=5
    )
    assert (one.measured, one.error, one.rate) == (True, 0, 2)
    assert one.replicas == 4  # 5 of 2 x 0.7
    assert (one.scale_on, one.scale_at, one.max_replicas) == ("CPU utilization", 70, 8)
    price = load_prices().hour(CPU)
    assert one.month == pytest.approx(4 * price * 730)
    assert one.per_thousand_answers == pytest.approx(1000 * 4 * price / (5 * 3600))
    assert one.per_million_tokens == pytest.approx(one.per_thousand_answers * 1000 / 50)


def test_what_was_not_measured_says_so_with_source_and_date() -> None:
    sizes = size(MEASURED, {"cpu": CPU, "large": LARGE, "l4": L4}, load_prices(), load=5)
    of = {one.profile: one for one in sizes}
    assert not any(one.measured for one in sizes)
    assert of["cpu"].rate == 3  # four vCPUs are two cores
    assert of["large"].rate == pytest.approx(3 * 1.73**2)
    assert "published" in of["l4"].source
    assert "2026-11-27" in of["l4"].source
    assert of["l4"].error == 1.0
    assert of["l4"].engine == "vllm"
    assert [one.month for one in sizes] == sorted(one.month for one in sizes)


def test_what_does_not_fit_says_why_and_comes_last() -> None:
    sizes = size(measurement(stage(1), parameters=30_000_000_000), {"l4": L4}, load_prices(), 5)
    assert not sizes[0].fits
    assert "GPU memory" in sizes[0].reason
    broken = size(measurement(stage(1, good=False)), {"cpu": CPU}, load_prices(), 5)
    assert "do not hold" in broken[0].reason


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configuration with a measurement beside it."""
    for name in ("config.yaml", "vertex_config.yaml", "prices.yaml"):
        (tmp_path / name).write_bytes((config_folder() / name).read_bytes())
    monkeypatch.setenv("DOCTUNE_CONFIG", str(tmp_path))
    monkeypatch.setattr(capacity, "ROOT", tmp_path)
    path = tmp_path / ".doctune" / "bench.json"
    path.parent.mkdir()
    path.write_text(json.dumps(MEASURED.document()))
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(app, ["size", "--slo", SLO, "--load", "20rps", *arguments])


def test_the_command_writes_a_profile_that_the_pipeline_takes(folder: Path, monkeypatch) -> None:
    ran = run("--profile", "small-l4", "--write", "sized", "--json")
    assert ran.exit_code == 0, ran.output
    chosen = json.loads(ran.stdout)["chosen"]
    loaded = load_vertex_settings(folder, "sized")
    assert loaded.serving_plan.engine == chosen["engine"] == "vllm"
    settings = loaded.endpoint
    assert settings.machine_type == chosen["machine_type"] == "g2-standard-4"
    assert settings.accelerator_type == "NVIDIA_L4"
    assert settings.min_replica_count == chosen["replicas"]
    assert settings.autoscaling_target == 70
    resources = _resources(
        ServingMachine(
            machine_type=settings.machine_type,
            min_replica_count=settings.min_replica_count,
            max_replica_count=settings.max_replica_count,
            accelerator_type=settings.accelerator_type,
            accelerator_count=settings.accelerator_count,
            autoscaling_target=settings.autoscaling_target,
        )
    )
    (spec,) = resources.autoscaling_metric_specs
    assert spec.metric_name.endswith("accelerator/duty_cycle")
    assert spec.target == 70
    written = folder / "environments" / "sized" / "vertex_config.yaml"
    assert "published" in written.read_text().splitlines()[0]
    assert set(yaml.safe_load(written.read_text())) == {"endpoint", "serving"}
    again = run("--write", "sized")
    assert again.exit_code != 0
    assert "there already" in str(again.exception)


def test_the_table_marks_estimates(folder: Path) -> None:
    ran = run()
    assert ran.exit_code == 0, ran.output
    assert "ESTIMATE" in ran.stdout
    assert "published: vLLM" in ran.stdout
    only = run("--only-measured", "--json")
    assert {one["engine"] for one in json.loads(only.stdout)["sizes"]} == {"native"}


def test_a_measurement_of_other_objectives_is_refused(folder: Path) -> None:
    ran = CliRunner().invoke(app, ["size", "--slo", "ttft_p95=2s", "--load", "1rps"])
    assert "measure again" in str(ran.exception)
    (folder / ".doctune" / "bench.json").unlink()
    assert "is missing" in str(run().exception)
