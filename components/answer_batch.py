"""Answer a file of questions with a model and an index, many at a time."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def answer_batch(
    questions: dsl.Input[dsl.Dataset],
    index: dsl.Input[dsl.Artifact],
    model: dsl.Input[dsl.Model],
    answers: dsl.Output[dsl.Dataset],
    failures: dsl.Output[dsl.Dataset],
    way: str = "model",
    max_new_tokens: int = 128,
    shard_rows: int = 64,
) -> int:
    """Writes answers with their sources, and the rows that failed apart; returns how many failed.

    A step that is retried into the same output goes on with the shard that it was ended in.

    Args:
        questions: JSONL, CSV or Parquet with a column question or prompt, and perhaps id.
        index: The output of build_index.
        model: The output of tune_model.
        answers: JSONL of id, question, answer and sources.
        failures: JSONL of the rows that could not be answered, with the reason.
        way: model, quote or hybrid: the model's words from passages, quotation, or the better.
        max_new_tokens: Maximum number of tokens of an answer.
        shard_rows: Rows that a retried step may have to do again.
    """
    from doctune.artifacts import local_file, local_folder
    from doctune.batch.run import answer_step
    from doctune.batch.ways import FromDocuments, bulk_model

    model_name = f"{model.uri} in {max_new_tokens} tokens"
    done = answer_step(
        local_file(questions.uri),
        answers.path,
        failures.path,
        FromDocuments(
            local_folder(index.uri), way, bulk_model(model.uri, max_new_tokens), model_name
        ),
        shard_rows,
    )
    answers.uri = f"{answers.uri}.jsonl"
    answers.metadata.update(rows=done.rows, answered=done.answered, failed=done.failed)
    return done.failed
