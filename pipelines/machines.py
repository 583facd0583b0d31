"""The machine of each step, from vertex_config.yaml at compile time.

Machine settings of a compiled spec cannot be run-time parameters on every version of Vertex AI
Pipelines (kubeflow/pipelines issue 6681), so they are part of the spec.
"""

from collections.abc import Callable

from google_cloud_pipeline_components.v1.custom_job import create_custom_training_job_from_component
from kfp import dsl

from doctune.configuration.settings import load_vertex_settings
from doctune.configuration.vertex_sections import MachineSettings

_MACHINES = load_vertex_settings().machines

# All steps are safe to retry: the same inputs give the same outputs, registration and deployment
# are idempotent, and training resumes from its checkpoints. Retries are for transient failures: a
# machine that is preempted, a service that does not answer. A long step that fails for another
# reason would fail again at the same price, so it is retried less often.
_TRIES_AGAIN, _LONG_TRIES_AGAIN = 3, 1
_BACKOFF = {"backoff_duration": "30s", "backoff_factor": 2.0, "backoff_max_duration": "600s"}

# Each trial of a search is its own job, whose machine may be set at run time.
TRIAL = _MACHINES.training


def documents(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Places a step on the machine for reading PDFs and preparing data."""
    return _place(task, _MACHINES.documents)


def training(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Places a step on the machine for training and evaluation."""
    return _place(task, _MACHINES.training, _LONG_TRIES_AGAIN)


def on_workers(component: Callable[..., dsl.PipelineTask]) -> Callable[..., dsl.PipelineTask]:
    """Returns the component, wrapped as a custom job if training has several workers."""
    machine = _MACHINES.training
    if machine.replica_count == 1:
        return component
    job: Callable[..., dsl.PipelineTask] = create_custom_training_job_from_component(
        component,
        machine_type=machine.machine_type,
        replica_count=machine.replica_count,
        accelerator_type=machine.accelerator_type,
        accelerator_count=machine.accelerator_count or 1,
        # A restarted worker cannot rejoin the others: all restart from a checkpoint.
        restart_job_on_worker_restart=True,
    )
    return job


def tuning(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Places the step of `on_workers`; the machines of a custom job are set already."""
    if _MACHINES.training.replica_count == 1:
        return training(task)
    return task.set_retry(num_retries=_LONG_TRIES_AGAIN, **_BACKOFF)


def ops(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Places a step on the small machine that talks to Vertex AI."""
    return _place(task, _MACHINES.ops)


def _place(
    task: dsl.PipelineTask, machine: MachineSettings, tries_again: int = _TRIES_AGAIN
) -> dsl.PipelineTask:
    task.set_retry(num_retries=tries_again, **_BACKOFF)
    task.set_cpu_limit(machine.cpu_limit).set_memory_limit(machine.memory_limit)
    if machine.accelerator_type:
        task.set_accelerator_type(machine.accelerator_type)
        task.set_accelerator_limit(machine.accelerator_count or 1)
    return task
