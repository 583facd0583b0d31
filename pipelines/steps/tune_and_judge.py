"""From a training set to a model that answers from passages, and to the verdict on it."""

from typing import NamedTuple

from kfp import dsl

from components.ground_examples import ground_examples
from components.tune_model import tune_model
from pipelines import machines
from pipelines.steps.judge_model import judge_model


class Judged(NamedTuple):
    """The outputs; `champion` is the URI of the model that it was compared with."""

    model: dsl.Model
    passed: bool
    scores: dsl.Metrics
    champion: str


@dsl.pipeline(name="tune-and-judge", description="A tuned model and the verdict on it.")
def tune_and_judge(
    train_set: dsl.Input[dsl.Dataset],
    validation_set: dsl.Input[dsl.Dataset],
    test_set: dsl.Input[dsl.Dataset],
    index: dsl.Input[dsl.Artifact],
    model_name: str,
    project: str,
    location: str,
    staging_bucket: str,
    base_model: str,
    learning_rate: float,
    num_train_epochs: float,
    per_device_train_batch_size: int,
    max_length: int,
    lora_r: int,
    lora_alpha: int,
    primary_metric: str,
    min_gain: float,
    max_new_tokens: int,
    dataset_advanced: dict,
    training_advanced: dict,
    evaluation_advanced: dict,
) -> Judged:
    """Trains on examples with and without passages, and judges together with the index."""
    grounded = ground_examples(
        train_set=train_set,
        index=index,
        base_model=base_model,
        max_length=max_length,
        advanced=dataset_advanced,
    ).set_display_name("Ground examples")
    machines.training(grounded)

    tuned = machines.on_workers(tune_model)(
        train_set=grounded.outputs["grounded_set"],
        validation_set=validation_set,
        base_model=base_model,
        learning_rate=learning_rate,
        num_train_epochs=num_train_epochs,
        per_device_train_batch_size=per_device_train_batch_size,
        max_length=max_length,
        lora_r=lora_r,
        lora_alpha=lora_alpha,
        checkpoint_dir=f"{staging_bucket}/checkpoints",
        advanced=training_advanced,
    ).set_display_name("Tune model")
    machines.tuning(tuned)

    verdict = judge_model(
        model=tuned.outputs["model"],
        test_set=test_set,
        train_set=grounded.outputs["grounded_set"],
        index=index,
        model_name=model_name,
        project=project,
        location=location,
        staging_bucket=staging_bucket,
        primary_metric=primary_metric,
        min_gain=min_gain,
        max_new_tokens=max_new_tokens,
        evaluation_advanced=evaluation_advanced,
    ).set_display_name("Judge model")
    return Judged(
        model=tuned.outputs["model"],
        passed=verdict.outputs["passed"],
        scores=verdict.outputs["scores"],
        champion=verdict.outputs["champion"],
    )
