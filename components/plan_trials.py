"""Build the study of a hyperparameter search for Vertex AI's tuning job."""

from typing import NamedTuple

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def plan_trials(
    train_set: dsl.Input[dsl.Dataset],
    validation_set: dsl.Input[dsl.Dataset],
    image: str,
    machine_type: str,
    accelerator_type: str = "",
    accelerator_count: int = 0,
    training: dict = {},
    search: dict = {},
) -> NamedTuple(  # type: ignore[valid-type] # KFP reads it where it stands
    "Plan", [("worker_pool_specs", list), ("study_parameters", list), ("algorithm", str)]
):
    """Returns the arguments of `HyperparameterTuningJobRunOp`.

    Args:
        image: The training image: each trial runs `doctune.training.trial` in it.
        machine_type: Machine of a trial, such as n1-standard-8.
        accelerator_type: Such as NVIDIA_L4; "" for none.
        training: Fields of `TrainingOptions` that all trials share.
        search: Fields of `SearchOptions`.
    """
    from doctune.vertex.tuning import plan_trials

    return plan_trials(
        train_set.uri,
        validation_set.uri,
        training=training,
        search=search,
        image=image,
        machine_type=machine_type,
        accelerator_type=accelerator_type,
        accelerator_count=accelerator_count,
    )
