"""Make chat examples from parsed documents, clean them, and split them by document."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def prepare_dataset(
    documents: dsl.Input[dsl.Dataset],
    train_set: dsl.Output[dsl.Dataset],
    validation_set: dsl.Output[dsl.Dataset],
    test_set: dsl.Output[dsl.Dataset],
    manifest: dsl.Output[dsl.Artifact],
    card: dsl.Output[dsl.Markdown],
    base_model: str = "smollm2-135m-instruct",
    chunk_tokens: int = 256,
    cache_uri: str = "",
    advanced: dict = {},
) -> None:
    """Writes three JSONL files of chat examples, the manifest of the split and a data set card.

    Args:
        documents: The output of join_documents.
        manifest: The split of each document, with digests and settings.
        card: The data set card: contents, samples, sources.
        base_model: The model whose tokenizer counts, as for `tune_model`.
        chunk_tokens: Maximum number of tokens of a chunk, by the base model's tokenizer.
        cache_uri: gs:// folder that caches the teacher's answers, which cost money, for later runs;
            where it is not mounted, the cache of this machine is used.
        advanced: Any other field of `doctune.dataset.DatasetOptions`.
    """
    from pathlib import Path

    from doctune.dataset import DatasetOptions, prepare_dataset
    from doctune.inference.base_model import resolve_tokenizer
    from doctune.persistent_cache import persistent_cache_folder

    summary = prepare_dataset(
        Path(documents.path),
        train_path=Path(train_set.path),
        validation_path=Path(validation_set.path),
        test_path=Path(test_set.path),
        manifest_path=Path(manifest.path),
        card_path=Path(card.path),
        options=DatasetOptions(chunk_tokens=chunk_tokens, **advanced),
        tokenizer=resolve_tokenizer(base_model),
        teacher_cache=persistent_cache_folder(cache_uri, "teacher"),
    )
    made_from = {"documents_digest": documents.metadata["digest"], "digest": summary.digest}
    train_set.metadata.update(
        made_from,
        examples=summary.train,
        caps=list(summary.caps),
        documents_kept_out=summary.kept_out,
    )
    validation_set.metadata.update(made_from, examples=summary.validation)
    test_set.metadata.update(made_from, examples=summary.test)
    manifest.metadata.update(made_from, examples=summary.examples, kinds=summary.kinds)
