"""Turn the predictions of a batch prediction job into answers with sources."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def collect_batch(
    questions: dsl.Input[dsl.Dataset],
    index: dsl.Input[dsl.Artifact],
    predictions: dsl.Input[dsl.Artifact],
    answers: dsl.Output[dsl.Dataset],
    failures: dsl.Output[dsl.Dataset],
    way: str = "model",
    shard_rows: int = 64,
) -> int:
    """Writes answers with their sources, and the rows that failed apart; returns how many failed.

    Args:
        questions: As in prepare_batch.
        index: As in prepare_batch.
        predictions: The output directory of the batch prediction job.
        answers: JSONL of id, question, answer and sources.
        failures: JSONL of the rows that could not be answered, with the reason.
        way: As in prepare_batch.
        shard_rows: Rows that a retried step may have to do again.
    """
    from doctune.artifacts import local_file, local_folder
    from doctune.batch.prediction_job import predicted
    from doctune.batch.run import answer_step
    from doctune.batch.ways import FromDocuments

    done = answer_step(
        local_file(questions.uri),
        answers.path,
        failures.path,
        FromDocuments(
            local_folder(index.uri),
            way,
            predicted(local_folder(predictions.uri)),
            predictions.uri,
        ),
        shard_rows,
    )
    answers.uri = f"{answers.uri}.jsonl"
    answers.metadata.update(rows=done.rows, answered=done.answered, failed=done.failed)
    return done.failed
