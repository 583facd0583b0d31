"""What Cloud Quotas says a project may use."""

from collections.abc import Callable
from typing import Any

import pytest
from google.cloud.cloudquotas_v1 import CloudQuotasClient

from doctune.errors import ConfigurationError
from doctune.vertex.quotas import limits_of
from tests.compute.conftest import quota_service

__all__ = ["quota_service"]

TRAINING_CPUS = "aiplatform.googleapis.com/custom_model_training_cpus"
TRAINING_L4 = "aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus"


def _info(metric: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"metric": metric, "service": "aiplatform.googleapis.com", "dimensionsInfos": entries}


def _entry(value: int, region: str = "", locations: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "dimensions": {"region": region} if region else {},
        "details": {"value": str(value)},
        "applicableLocations": list(locations),
    }


def test_the_regions_own_limit_wins_over_that_of_all(
    quota_service: Callable[..., CloudQuotasClient],
) -> None:
    client = quota_service(
        [
            _info("aiplatform.googleapis.com/another", _entry(1)),
            _info(
                TRAINING_CPUS,
                _entry(42, locations=("us-central1", "europe-west4")),
                _entry(7, region="europe-west4"),
            ),
            _info(TRAINING_L4, _entry(0, locations=("us-central1",))),
        ]
    )

    here = limits_of("my-project", "us-central1", [TRAINING_CPUS, TRAINING_L4], client)
    there = limits_of("my-project", "europe-west4", [TRAINING_CPUS, TRAINING_L4], client)

    assert here == {TRAINING_CPUS: 42, TRAINING_L4: 0}
    assert there == {TRAINING_CPUS: 7, TRAINING_L4: None}
    assert client.paths[0].startswith(
        "/v1/projects/my-project/locations/global/services/aiplatform.googleapis.com/quotaInfos"
    )


def test_a_refusal_is_one_line(quota_service: Callable[..., CloudQuotasClient]) -> None:
    client = quota_service([], status=403)

    with pytest.raises(
        ConfigurationError, match=r"could not read the quotas of project p: .*denied"
    ):
        limits_of("p", "us-central1", [TRAINING_CPUS], client)
