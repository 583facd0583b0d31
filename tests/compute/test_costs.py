"""The price table, the machine that fits, and what a run costs."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doctune.compute.costs import estimate, hours_of_last_run
from doctune.compute.plan import EXPERIMENT_MACHINES, STEP_MACHINES
from doctune.compute.prices import PriceTable, cpus, load_prices, memory_gb
from doctune.configuration.profiles import Machine
from doctune.configuration.settings import load_vertex_settings
from doctune.errors import ConfigurationError, UsageError
from tests.compute.conftest import CONFIG


def test_a_run_costs_hours_times_prices_with_the_fee(prices: PriceTable) -> None:
    run = estimate(load_vertex_settings(CONFIG), prices, {"tune-model": 2, "parse-pdfs": 0.5})

    by_name = {step.name: step for step in run.steps}
    assert by_name["tune-model"].cost == pytest.approx(2 * 0.2681 * 1.15)
    assert by_name["parse-pdfs"].cost == pytest.approx(0.5 * 0.1340 * 1.15)
    assert run.total == pytest.approx(2 * 0.2681 * 1.15 + 0.5 * 0.1340 * 1.15 + 0.03)
    assert run.endpoint.cost == pytest.approx(730 * 0.19 * 1.15)


def test_training_on_n1_is_what_vertex_ai_lists(prices: PriceTable) -> None:
    # Vertex AI's price list of the table's date: 0.21849885.
    assert prices.hour(Machine(machine_type="n1-standard-4")) == pytest.approx(0.2185, abs=1e-4)


@pytest.mark.parametrize("name", sorted(load_vertex_settings(CONFIG).profiles))
def test_every_profile_has_a_price_and_fits_its_machine(prices: PriceTable, name: str) -> None:
    profile = load_vertex_settings(CONFIG).profiles[name]
    machine = prices.machines[prices.machine_for(profile)]

    assert prices.hour(profile) > 0
    assert cpus(profile) <= machine.cpus
    assert memory_gb(profile) <= machine.memory_gb
    assert (profile.accelerator_type, profile.accelerator_count) == (
        machine.accelerator,
        machine.accelerators,
    )
    # What a step of Vertex AI Pipelines may ask for.
    assert cpus(profile) <= 96
    assert memory_gb(profile) <= 624


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        (Machine(cpu_limit="2", memory_limit="8G"), "e2-standard-2"),
        (Machine(cpu_limit="500m", memory_limit="9G"), "n1-standard-4"),
        (Machine(cpu_limit="5", memory_limit="1Gi"), "e2-standard-8"),
        (Machine(cpu_limit="8", memory_limit="16G", accelerator_type="NVIDIA_L4"), "g2-standard-8"),
        (
            Machine(accelerator_type="NVIDIA_L4", accelerator_count=2),
            "g2-standard-24",
        ),
    ],
)
def test_the_cheapest_machine_that_fits_is_taken(
    prices: PriceTable, machine: Machine, name: str
) -> None:
    fitting = prices.machine_for(machine)

    assert prices.machines[fitting].hour <= prices.machines[name].hour
    assert prices.machines[fitting].cpus >= cpus(machine)
    assert prices.machines[fitting].memory_gb >= memory_gb(machine)


def test_attached_accelerators_cost_beside_their_machine(prices: PriceTable) -> None:
    with_two = Machine(
        machine_type="n1-standard-8", accelerator_type="NVIDIA_TESLA_T4", accelerator_count=2
    )

    assert prices.hour(with_two) == pytest.approx((0.38 + 2 * 0.35) * 1.15)


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (Machine(machine_type="x9"), "prices.yaml has no machine x9: add its cpus"),
        (
            Machine(cpu_limit="900"),
            "no machine of prices.yaml has 900 CPUs, 16G and no accelerator",
        ),
        (
            Machine(machine_type="n1-standard-4", accelerator_type="NVIDIA_L4"),
            "no price of NVIDIA_L4 beside n1-standard-4",
        ),
    ],
)
def test_what_the_table_lacks_is_said(prices: PriceTable, machine: Machine, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        prices.hour(machine)


def test_the_tables_age(prices: PriceTable) -> None:
    assert prices.age_days(prices.date + datetime.timedelta(days=9)) == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date: [", "is not YAML"),
        ("date: yesterday\ncurrency: USD", "date: "),
        ("machines: {a: {cpus: 1, memory_gb: 1, hour: 1, accelerator: X}}", "belong together"),
    ],
)
def test_a_wrong_table_is_an_error_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "prices.yaml").write_text(text)

    with pytest.raises(ConfigurationError, match=f"prices.yaml.*{message}"):
        load_prices(tmp_path)


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"prices.yaml is missing"):
        load_prices(tmp_path)


def test_the_last_run_tells_the_hours(tmp_path: Path) -> None:
    summary = tmp_path / "last_run.json"
    summary.write_text(json.dumps({"step_seconds": {"tune-model": 1800, "importer": 1}}))

    assert hours_of_last_run(summary) == {"tune-model": 0.5}


@pytest.mark.parametrize("text", ["[]", "{}", "not JSON", '{"step_seconds": {"a": "b"}}'])
def test_another_file_is_no_last_run(tmp_path: Path, text: str) -> None:
    (tmp_path / "last_run.json").write_text(text)

    with pytest.raises(UsageError, match="is not the summary of a run"):
        hours_of_last_run(tmp_path / "last_run.json")


def test_an_unknown_step_is_refused(prices: PriceTable) -> None:
    with pytest.raises(UsageError, match="there is no step tune; there are plan-shards"):
        estimate(load_vertex_settings(CONFIG), prices, {"tune": 1})


def test_the_steps_are_those_of_the_pipeline(
    compiled_resources: Callable[..., dict[str, Any]],
) -> None:
    machines = load_vertex_settings(CONFIG).machines

    placed = {step: asked["resourceCpuLimit"] for step, asked in compiled_resources().items()}

    assert placed == {
        step: getattr(machines, group).cpu_limit
        for step, group in (STEP_MACHINES | EXPERIMENT_MACHINES).items()
    }
