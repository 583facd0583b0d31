"""Hyperparameter search by Vertex AI's tuning jobs: builds the job's study, reads its trials."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from doctune.errors import PipelineError, UsageError
from doctune.training.options import TrainingOptions
from doctune.training.search_options import Range, SearchOptions, SearchSpace
from doctune.training.trial_record import TrialRecord
from doctune.vertex.errors import google_errors

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Trial as TrialMessage

_ALGORITHMS = {"tpe": "ALGORITHM_UNSPECIFIED", "random": "RANDOM_SEARCH"}
_STATES = {"SUCCEEDED": "complete", "STOPPING": "pruned"}
_PROGRAM = ("python", "-m", "doctune.training.trial")


class TrialPlan(NamedTuple):
    """The arguments of `HyperparameterTuningJobRunOp`."""

    worker_pool_specs: list[dict[str, Any]]
    study_parameters: list[dict[str, Any]]
    algorithm: str


def plan_trials(
    train_uri: str,
    validation_uri: str,
    *,
    training: Mapping[str, Any],
    search: Mapping[str, Any],
    image: str,
    machine_type: str,
    accelerator_type: str = "",
    accelerator_count: int = 0,
) -> TrialPlan:
    """Returns the study, and the worker pools of its trials.

    Args:
        training: Fields of `TrainingOptions` that all trials share.
        search: Fields of `SearchOptions`.
        image: The training image, with its tag.

    Raises:
        UsageError: The search space is empty, or the machine has more GPUs than a trial uses.
    """
    if accelerator_count > 1:
        raise UsageError(
            f"a trial trains on one GPU, and {machine_type} would be paid for {accelerator_count}: "
            "choose a machine with one for the search (machines.training, or the parameters "
            "machine_type and accelerator_count), and raise parallel_trials to use more."
        )
    options = SearchOptions.model_validate(search)
    common = TrainingOptions.model_validate(training)
    parameters = study_parameters(options.space)
    if not parameters:
        raise UsageError("the search space is empty: give search.space a range or choices.")
    machine: dict[str, Any] = {"machine_type": machine_type}
    if accelerator_type:
        machine |= {
            "accelerator_type": accelerator_type,
            "accelerator_count": accelerator_count or 1,
        }
    arguments = [
        *("--train", train_uri, "--validation", validation_uri),
        *("--options", common.model_dump_json(exclude_defaults=True)),
    ]
    pool = {
        "machine_spec": machine,
        "replica_count": 1,
        "container_spec": {"image_uri": image, "command": list(_PROGRAM), "args": arguments},
    }
    return TrialPlan([pool], parameters, _ALGORITHMS[options.algorithm])


def study_parameters(space: SearchSpace) -> list[dict[str, Any]]:
    """Returns a search space as `StudySpec.parameters`: double, discrete and categorical."""
    parameters = []
    for name in SearchSpace.model_fields:
        values = getattr(space, name)
        if isinstance(values, Range):
            scale = "UNIT_LOG_SCALE" if values.log else "UNIT_LINEAR_SCALE"
            spec = {"double_value_spec": {"min_value": values.low, "max_value": values.high}}
            parameters.append({"parameter_id": name, **spec, "scale_type": scale})
        elif values is not None and any(isinstance(value, str) for value in values):
            spec_of_words = {"values": [str(value) for value in values]}
            parameters.append({"parameter_id": name, "categorical_value_spec": spec_of_words})
        elif values is not None:
            spec_of_numbers = {"values": sorted(float(value) for value in values)}
            parameters.append(
                {
                    "parameter_id": name,
                    "discrete_value_spec": spec_of_numbers,
                    "scale_type": "UNIT_LINEAR_SCALE",
                }
            )
    return parameters


def read_trials(tuning_job: str) -> list[TrialRecord] | None:
    """Returns the trials of a tuning job, oldest first.

    Args:
        tuning_job: `gcp_resources` of GCPC's launcher, or the job's resource name; "" for none.

    Returns:
        The trials; None where no job is named.

    Raises:
        PipelineError: There is no such job, or it cannot be read.
    """
    if not tuning_job:
        return None
    from google.cloud import aiplatform

    name = resource_name(tuning_job)
    with google_errors(f"read the tuning job {name}", PipelineError):
        job: Any = aiplatform.HyperparameterTuningJob.get(name)
        return trial_records(job.trials)


def trial_records(trials: Iterable[TrialMessage]) -> list[TrialRecord]:
    """Converts Vertex AI's trials to the records that a local search writes, oldest first."""
    oldest_first = sorted(trials, key=lambda trial: int(trial.id))
    return [_record(number, trial) for number, trial in enumerate(oldest_first)]


def resource_name(tuning_job: str) -> str:
    """Returns the resource name of a tuning job, taken out of `gcp_resources` where it is that.

    Raises:
        PipelineError: It is neither.
    """
    if tuning_job.startswith("projects/"):
        return tuning_job
    try:
        uri = str(json.loads(tuning_job)["resources"][0]["resourceUri"])
        return uri[uri.index("projects/") :]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise PipelineError(f"{tuning_job!r} does not name a tuning job.") from error


def _record(number: int, trial: TrialMessage) -> TrialRecord:
    state = _STATES.get(trial.state.name, "failed")
    metrics: Sequence[Any] = trial.final_measurement.metrics if trial.final_measurement else ()
    loss = float(metrics[0].value) if metrics and state != "failed" else None
    seconds = (trial.end_time - trial.start_time).total_seconds() if trial.end_time else 0.0
    return TrialRecord(
        number=number,
        parameters={item.parameter_id: _plain(item.value) for item in trial.parameters},
        state=state if loss is not None else "failed",
        loss=loss,
        seconds=round(seconds, 2),
        reason=trial.infeasible_reason,
    )


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
