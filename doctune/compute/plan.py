"""The machine of each step of train-and-deploy, and how many run in parallel."""

from dataclasses import dataclass

from doctune.configuration.profiles import Machine
from doctune.configuration.settings import VertexSettings
from doctune.configuration.vertex_sections import EndpointSettings

# The machine of each step of pipelines/train_and_deploy.py, by the settings' names.
STEP_MACHINES = {
    "plan-shards": "documents",
    "parse-pdfs": "documents",
    "join-documents": "documents",
    "prepare-dataset": "documents",
    "build-index": "training",
    "ground-examples": "training",
    "tune-model": "training",
    "find-champion": "ops",
    "evaluate-model": "training",
    "register-model": "ops",
    "deploy-model": "ops",
}
# Runs only where `endpoint.rollout` is experiment, for weeks: no part of a run's price.
EXPERIMENT_MACHINES = {"run-experiment": "ops"}
_SHARDED = "parse-pdfs"
_DISTRIBUTED = "tune-model"


@dataclass(frozen=True)
class Step:
    """A step of the pipeline on its machine."""

    name: str
    group: str  # documents, training or ops
    machine: Machine
    side_by_side: int  # machines at the same time


def steps_of(settings: VertexSettings) -> list[Step]:
    """Returns the steps in their order."""
    return [
        Step(
            name=name,
            group=group,
            machine=getattr(settings.machines, group),
            side_by_side=_machines(settings, name),
        )
        for name, group in STEP_MACHINES.items()
    ]


def _machines(settings: VertexSettings, step: str) -> int:
    if step == _SHARDED:
        return settings.shards
    return settings.machines.training.replica_count if step == _DISTRIBUTED else 1


def endpoint_machine(endpoint: EndpointSettings) -> Machine:
    """Returns the machine of one replica."""
    return Machine(
        machine_type=endpoint.machine_type,
        accelerator_type=endpoint.accelerator_type,
        accelerator_count=endpoint.accelerator_count,
    )
