"""The Vertex AI quota that a run needs, compared with the project's limits.

Vertex AI has its own quotas for training and serving in each region: CPUs by machine family, and
accelerators by type. Its machines do not count against Compute Engine's quotas. A new project has
no GPU quota.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doctune.compute.plan import endpoint_machine, steps_of
from doctune.compute.prices import PriceTable, accelerator_count
from doctune.configuration.profiles import Machine
from doctune.configuration.settings import VertexSettings
from doctune.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = "aiplatform.googleapis.com"
UNLIMITED = -1

# The name of each accelerator in Vertex AI's API, and in its quota metrics.
_ACCELERATORS = {
    "NVIDIA_TESLA_K80": "nvidia_k80",
    "NVIDIA_TESLA_P4": "nvidia_p4",
    "NVIDIA_TESLA_P100": "nvidia_p100",
    "NVIDIA_TESLA_T4": "nvidia_t4",
    "NVIDIA_TESLA_V100": "nvidia_v100",
    "NVIDIA_TESLA_A100": "nvidia_a100",
    "NVIDIA_A100_80GB": "nvidia_a100_80gb",
    "NVIDIA_H100_80GB": "nvidia_h100",
    "NVIDIA_L4": "nvidia_l4",
}


# Families whose CPUs are counted by the metric without a family's name. For the other families the
# metric's name is derived; Google documents some of these names, but not the rule.
_PLAIN_FAMILIES = ("n1", "e2")


@dataclass(frozen=True)
class Need:
    """The peak use of one quota by a run."""

    metric: str  # such as aiplatform.googleapis.com/custom_model_training_cpus
    amount: int
    reason: str
    certain: bool = True  # whether the metric's name is known, not told by a rule


@dataclass(frozen=True)
class Standing:
    """A need beside the project's limit."""

    need: Need
    limit: int | None  # None: the project has no such quota; UNLIMITED: as much as it likes

    @property
    def enough(self) -> bool:
        if self.limit is None:
            return not self.need.certain
        return self.limit == UNLIMITED or self.limit >= self.need.amount


def needs_of(settings: VertexSettings, prices: PriceTable) -> list[Need]:
    """Returns the peak quota that train-and-deploy needs, by metric.

    Steps follow one another, so training needs what its largest step does; PDFs are read on
    `shards` machines at once. While a new version takes over, the one before still serves, so
    serving needs twice the most replicas.

    Raises:
        ConfigurationError: The price table lacks a machine, or an accelerator has no known quota.
    """
    replica = endpoint_machine(settings.endpoint)
    uses = [("training", step.machine, step.side_by_side, step.name) for step in steps_of(settings)]
    replicas = 2 * settings.endpoint.max_replica_count
    uses.append(("serving", replica, replicas, "two versions while one takes over"))
    peaks: dict[str, Need] = {}
    for use, machine, number, what in uses:
        for need in _needs(use, machine, number, what, prices):
            if need.metric not in peaks or need.amount > peaks[need.metric].amount:
                peaks[need.metric] = need
    return [peaks[metric] for metric in sorted(peaks)]


def compare(needs: list[Need], limits: dict[str, int | None]) -> list[Standing]:
    """Returns each need beside its limit."""
    return [Standing(need, limits.get(need.metric)) for need in needs]


def _needs(
    use: str, machine: Machine, number: int, what: str, prices: PriceTable
) -> Iterator[Need]:
    name = prices.machine_for(machine)
    reason = f"{what}: {number} x {name}"
    prefix = f"{SERVICE}/custom_model_{use}"
    family = name.split("-")[0]
    plain = family in _PLAIN_FAMILIES
    metric = f"{prefix}_cpus" if plain else f"{prefix}_{family}_cpus"
    yield Need(metric, math.ceil(prices.machines[name].cpus) * number, reason, plain)
    if machine.accelerator_type:
        kind = _quota_name(machine.accelerator_type)
        yield Need(f"{prefix}_{kind}_gpus", accelerator_count(machine) * number, reason)


def _quota_name(accelerator_type: str) -> str:
    if accelerator_type not in _ACCELERATORS:
        raise ConfigurationError(
            f"no quota is known for accelerator {accelerator_type}; "
            f"known are {', '.join(sorted(_ACCELERATORS))}."
        )
    return _ACCELERATORS[accelerator_type]
