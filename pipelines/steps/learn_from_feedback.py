"""Reviewed feedback beside the examples of the documents: what a retraining learns."""

from typing import NamedTuple

from kfp import dsl

from components.augment_dataset import augment_dataset
from components.export_feedback import export_feedback
from pipelines import machines


class Lessons(NamedTuple):
    """What the part hands on."""

    train_set: dsl.Dataset
    regression_set: dsl.Dataset
    index: dsl.Artifact


@dsl.pipeline(name="learn-from-feedback", description="Feedback to examples and test cases.")
def learn_from_feedback(
    train_set: dsl.Input[dsl.Dataset],
    test_set: dsl.Input[dsl.Dataset],
    index: dsl.Input[dsl.Artifact],
    snapshot: str,
    snapshot_digest: str,
    augment: dict,
) -> Lessons:
    """Adds feedback to a training set and to the index."""
    exported = export_feedback(snapshot=snapshot, digest=snapshot_digest).set_display_name(
        "Export feedback"
    )
    augmented = augment_dataset(
        feedback=exported.outputs["feedback"],
        train_set=train_set,
        test_set=test_set,
        index=index,
        options=augment,
    ).set_display_name("Augment data set")
    for task in (exported, augmented):
        machines.training(task)
    return Lessons(
        train_set=augmented.outputs["augmented_set"],
        regression_set=augmented.outputs["regression_set"],
        index=augmented.outputs["taught_index"],
    )
