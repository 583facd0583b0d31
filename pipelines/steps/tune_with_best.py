"""Tune a model with the best trial of a hyperparameter search."""

from kfp import dsl

from components.pick_trial import pick_trial
from components.tune_model import tune_model
from pipelines import machines

# The outputs of `pick_trial` that are inputs of `tune_model`.
_PARAMETERS = (
    "base_model",
    "learning_rate",
    "num_train_epochs",
    "per_device_train_batch_size",
    "max_length",
    "lora_r",
    "lora_alpha",
    "advanced",
)


@dsl.pipeline(name="tune-with-best", description="A model tuned with the best trial of a search.")
def tune_with_best(
    train_set: dsl.Input[dsl.Dataset],
    validation_set: dsl.Input[dsl.Dataset],
    tuning_job: str,
    project: str,
    location: str,
    staging_bucket: str,
    max_trials: int,
    training: dict,
    search: dict,
) -> None:
    best = pick_trial(
        train_set=train_set,
        validation_set=validation_set,
        tuning_job=tuning_job,
        project=project,
        location=location,
        staging_bucket=staging_bucket,
        max_trials=max_trials,
        training=training,
        search=search,
    ).set_display_name("Pick trial")

    tuned = tune_model(
        train_set=train_set,
        validation_set=validation_set,
        **{name: best.outputs[name] for name in _PARAMETERS},
        checkpoint_dir=f"{staging_bucket}/checkpoints",
    ).set_display_name("Tune model")

    machines.training(best)
    machines.training(tuned)
