"""Answer a file of questions with a registered version and an index."""

from kfp import dsl

from components.answer_batch import answer_batch
from components.find_version import find_version
from pipelines import machines


@dsl.pipeline(name="batch-answer", description="A file of questions, answered with sources.")
def batch_answer(
    questions: str,
    index: str,
    project: str,
    location: str,
    staging_bucket: str,
    model_name: str,
    version: str = "champion",
    train_set: str = "",
    way: str = "model",
    max_new_tokens: int = 128,
    shard_rows: int = 64,
) -> None:
    asked = dsl.importer(artifact_uri=questions, artifact_class=dsl.Dataset, reimport=True)
    asked.set_display_name("Questions")

    passages = dsl.importer(artifact_uri=index, artifact_class=dsl.Artifact, reimport=True)
    passages.set_display_name("Index")

    found = find_version(
        model_name=model_name,
        version=version,
        train_uri=train_set,
        project=project,
        location=location,
        staging_bucket=staging_bucket,
    ).set_display_name("Find version")

    answered = answer_batch(
        questions=asked.output,
        index=passages.output,
        model=found.outputs["model"],
        way=way,
        max_new_tokens=max_new_tokens,
        shard_rows=shard_rows,
    ).set_display_name("Answer questions")

    machines.training(answered)
    # An alias may have moved since the last run.
    machines.ops(found).set_caching_options(enable_caching=False)
