"""Add reviewed feedback to the training examples and the index, and grow the regression set."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def augment_dataset(
    feedback: dsl.Input[dsl.Dataset],
    train_set: dsl.Input[dsl.Dataset],
    test_set: dsl.Input[dsl.Dataset],
    index: dsl.Input[dsl.Artifact],
    augmented_set: dsl.Output[dsl.Dataset],
    regression_set: dsl.Output[dsl.Dataset],
    preferences: dsl.Output[dsl.Dataset],
    manifest: dsl.Output[dsl.Artifact],
    taught_index: dsl.Output[dsl.Artifact],
    options: dict = {},
) -> None:
    """Writes the training set of a retraining, test cases from feedback, and preference pairs.

    Args:
        feedback: The output of export_feedback.
        train_set: The output of prepare_dataset; likewise the next one.
        index: The output of build_index, whose passages say what is true.
        augmented_set: The old examples beside the new ones.
        regression_set: Test cases that every later version must pass; they are never trained on.
        preferences: Pairs of a better and a worse answer, for preference tuning.
        taught_index: The index with the reviewed answers, which are quoted as its passages are.
        manifest: Names every feedback item that went in, its side, and what was left out and why.
        options: Any field of `doctune.configuration.retraining.AugmentOptions`.
    """
    from pathlib import Path

    from doctune.artifacts import local_file, local_folder
    from doctune.configuration.retraining import AugmentOptions
    from doctune.feedback.examples import AugmentPaths, augment_dataset
    from doctune.feedback.meaning import grouping
    from doctune.feedback.snapshot import read_snapshot
    from doctune.feedback.support import PassageSupport
    from doctune.knowledge import add_reviewed_answers

    answers = Path(f"{taught_index.path}.answers")
    folder = local_folder(index.uri)
    summary = augment_dataset(
        read_snapshot(local_file(feedback.uri)),
        local_file(train_set.uri),
        local_file(test_set.uri),
        AugmentPaths(
            train=Path(augmented_set.path),
            test=Path(f"{augmented_set.path}.test"),
            regression=Path(regression_set.path),
            preferences=Path(preferences.path),
            answers=answers,
            manifest=Path(manifest.path),
        ),
        AugmentOptions(**options),
        PassageSupport.of_index(folder),
        grouping(folder),
    )
    augmented_set.metadata.update(
        train_set.metadata,
        digest=summary.digest,
        examples=summary.train,
        feedback_digest=feedback.metadata["digest"],
    )
    regression_set.metadata.update(digest=summary.digest, examples=summary.regression)
    preferences.metadata.update(digest=summary.digest, examples=summary.preferences)
    manifest.metadata.update(digest=summary.digest, left_out=summary.left_out)
    taught = add_reviewed_answers(folder, answers, Path(taught_index.path))
    taught_index.metadata.update(
        index.metadata,
        digest=taught.digest,
        reviewed_answers=taught.answers,
        reviewed_answers_left_out=taught.left_out,
    )
