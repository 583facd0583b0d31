"""What a run needs of each quota."""

import pytest

from doctune.compute.prices import PriceTable
from doctune.compute.quotas import UNLIMITED, Need, Standing, compare, needs_of
from doctune.configuration.settings import load_vertex_settings
from doctune.errors import ConfigurationError
from tests.compute.conftest import CONFIG

TRAINING_CPUS = "aiplatform.googleapis.com/custom_model_training_cpus"


def _amounts(prices: PriceTable) -> dict[str, int]:
    needs = needs_of(load_vertex_settings(CONFIG), prices)
    return {need.metric.removeprefix("aiplatform.googleapis.com/"): need.amount for need in needs}


def test_a_run_on_cpus_needs_its_largest_step_and_two_versions(prices: PriceTable) -> None:
    assert _amounts(prices) == {
        "custom_model_training_cpus": 8,
        "custom_model_serving_cpus": 16,
    }


def test_shards_read_side_by_side(prices: PriceTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_VERTEX_SHARDS", "5")

    assert _amounts(prices)["custom_model_training_cpus"] == 20


def test_workers_train_side_by_side(prices: PriceTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_VERTEX_MACHINES__TRAINING__REPLICA_COUNT", "3")

    assert _amounts(prices)["custom_model_training_cpus"] == 24


@pytest.mark.parametrize(
    ("profile", "cpus", "gpus"),
    [
        ("large-l4", ("custom_model_training_g2_cpus", 24), ("nvidia_l4", 2)),
        ("small-a100", ("custom_model_training_a2_cpus", 12), ("nvidia_a100", 1)),
        ("large-a100", ("custom_model_training_a2_cpus", 24), ("nvidia_a100_80gb", 2)),
        ("large-h100", ("custom_model_training_a3_cpus", 104), ("nvidia_h100", 4)),
    ],
)
def test_accelerators_have_quotas_of_their_own(
    prices: PriceTable,
    monkeypatch: pytest.MonkeyPatch,
    profile: str,
    cpus: tuple[str, int],
    gpus: tuple[str, int],
) -> None:
    monkeypatch.setenv("DOCTUNE_VERTEX_MACHINES__TRAINING__PROFILE", profile)

    amounts = _amounts(prices)

    assert amounts[cpus[0]] == cpus[1]
    assert amounts[f"custom_model_training_{gpus[0]}_gpus"] == gpus[1]


@pytest.mark.parametrize(
    ("limit", "certain", "enough"),
    [
        (8, True, True),
        (7, True, False),
        (UNLIMITED, True, True),
        (None, True, False),
        (None, False, True),
        (7, False, False),
    ],
)
def test_what_is_enough(limit: int | None, certain: bool, enough: bool) -> None:
    need = Need(TRAINING_CPUS, 8, "tune-model", certain)

    assert compare([need], {TRAINING_CPUS: limit}) == [Standing(need, limit)]
    assert Standing(need, limit).enough is enough


def test_an_accelerator_without_a_known_quota_is_refused(
    prices: PriceTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTUNE_VERTEX_MACHINES__TRAINING__ACCELERATOR_TYPE", "NVIDIA_B200")

    with pytest.raises(ConfigurationError, match="no quota is known for accelerator NVIDIA_B200"):
        needs_of(load_vertex_settings(CONFIG), prices)
