"""Pick the best trial of a hyperparameter search."""

from typing import NamedTuple

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def pick_trial(
    train_set: dsl.Input[dsl.Dataset],
    validation_set: dsl.Input[dsl.Dataset],
    trials: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    project: str,
    location: str,
    staging_bucket: str,
    tuning_job: str = "",
    max_trials: int = 8,
    training: dict = {},
    search: dict = {},
) -> NamedTuple(  # type: ignore[valid-type] # KFP reads it where it stands
    "Best",
    [
        ("base_model", str),
        ("learning_rate", float),
        ("num_train_epochs", float),
        ("per_device_train_batch_size", int),
        ("max_length", int),
        ("lora_r", int),
        ("lora_alpha", int),
        ("advanced", dict),
    ],
):
    """Returns the best trial's hyperparameters, as inputs of `tune_model`.

    Args:
        trials: JSON: every trial with its parameters, state and loss.
        report: History, parallel coordinates, importance, a table of trials.
        tuning_job: `gcp_resources` of the tuning job. Without one the search runs in this step,
            with Optuna.
        max_trials: Maximum number of trials.
        training: Fields of `TrainingOptions` that all trials share.
        search: Any other field of `SearchOptions`.
    """
    from pathlib import Path

    from doctune.training.search import pick_trial
    from doctune.vertex import init_session
    from doctune.vertex.tuning import read_trials

    init_session(project, location, staging_bucket)
    best = pick_trial(
        read_trials(tuning_job),
        Path(train_set.path),
        Path(validation_set.path),
        training=training,
        search={**search, "max_trials": max_trials},
        result_path=Path(trials.path),
        report_path=Path(report.path),
    )
    trials.metadata.update(best_loss=best.loss, trials=best.trials)
    return best.parameters
