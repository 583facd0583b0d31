"""The machine of each step, from vertex_config.yaml at compile time.

Machine settings of a compiled spec cannot be run-time parameters on every version of Vertex AI
Pipelines (kubeflow/pipelines issue 6681), so they are part of the spec.
"""

from kfp import dsl

from doctune.settings import MachineSettings, load_vertex_settings

_MACHINES = load_vertex_settings().machines


def documents(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Places a step on the machine for reading PDFs and preparing data."""
    return _place(task, _MACHINES.documents)


def training(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Places a step on the machine for training and evaluation."""
    return _place(task, _MACHINES.training)


def ops(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Places a step on the small machine that talks to Vertex AI."""
    return _place(task, _MACHINES.ops)


def _place(task: dsl.PipelineTask, machine: MachineSettings) -> dsl.PipelineTask:
    task.set_cpu_limit(machine.cpu_limit).set_memory_limit(machine.memory_limit)
    if machine.accelerator_type:
        task.set_accelerator_type(machine.accelerator_type)
        task.set_accelerator_limit(machine.accelerator_count or 1)
    return task
