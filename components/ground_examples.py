"""Add examples that are answered from passages to a training set."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def ground_examples(
    train_set: dsl.Input[dsl.Dataset],
    index: dsl.Input[dsl.Artifact],
    grounded_set: dsl.Output[dsl.Dataset],
    base_model: str = "smollm2-135m-instruct",
    max_length: int = 512,
    advanced: dict = {},
) -> None:
    """Writes the training set with grounded examples beside its own.

    Args:
        train_set: The training set of prepare_dataset.
        index: The output of build_index, from the same documents.
        grounded_set: Both kinds of examples in one JSONL file.
        base_model: Model whose tokenizer counts, as `tune_model` takes it.
        max_length: Maximum number of tokens of an example.
        advanced: Any field of `doctune.dataset.DatasetOptions`, the same as for prepare_dataset.
    """
    from pathlib import Path

    from doctune.dataset import DatasetOptions
    from doctune.inference.base_model import resolve_tokenizer
    from doctune.training import add_grounded_examples

    summary = add_grounded_examples(
        Path(train_set.path),
        Path(index.path),
        Path(grounded_set.path),
        DatasetOptions(**advanced),
        max_length=max_length,
        tokenizer=resolve_tokenizer(base_model),
    )
    grounded_set.metadata.update(
        {**train_set.metadata, "digest": summary.digest, "examples": summary.examples},
        grounded=summary.grounded,
        without_truth=summary.without_truth,
        too_long=summary.too_long,
        not_found=summary.not_found,
    )
