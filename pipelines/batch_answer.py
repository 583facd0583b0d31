"""Answer a file of questions with a registered version and an index."""

from google_cloud_pipeline_components.v1.batch_predict_job import ModelBatchPredictOp
from kfp import dsl

from components.answer_batch import answer_batch
from components.collect_batch import collect_batch
from components.find_version import find_version
from components.prepare_batch import prepare_batch
from doctune.batch.prediction_job import KEY_FIELD
from doctune.configuration.settings import load_vertex_settings
from pipelines import machines

ENDPOINT = load_vertex_settings().endpoint
# Of a request to a model server, which refuses more than 32.
_INSTANCES_AT_ONCE = 16


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
    prediction_job: bool = False,
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
    # An alias may have moved since the last run.
    machines.ops(found).set_caching_options(enable_caching=False)

    with dsl.If(prediction_job == True, name="by a batch prediction job"):
        prepared = prepare_batch(
            questions=asked.output,
            index=passages.output,
            way=way,
            max_new_tokens=max_new_tokens,
        ).set_display_name("Write instances")
        machines.training(prepared)

        predicted = ModelBatchPredictOp(
            job_display_name="batch-answer",
            model=found.outputs["registered"],
            gcs_source_uris=prepared.outputs["uris"],
            gcs_destination_output_uri_prefix=f"{staging_bucket}/batch",
            instances_format="jsonl",
            predictions_format="jsonl",
            key_field=KEY_FIELD,
            model_parameters=prepared.outputs["parameters"],
            manual_batch_tuning_parameters_batch_size=_INSTANCES_AT_ONCE,
            machine_type=ENDPOINT.machine_type,
            accelerator_type=ENDPOINT.accelerator_type,
            accelerator_count=ENDPOINT.accelerator_count,
            starting_replica_count=ENDPOINT.min_replica_count,
            max_replica_count=ENDPOINT.max_replica_count,
            service_account=ENDPOINT.service_account,
            project=project,
            location=location,
        ).set_display_name("Predict")

        collected = collect_batch(
            questions=asked.output,
            index=passages.output,
            predictions=predicted.outputs["gcs_output_directory"],
            way=way,
            shard_rows=shard_rows,
        ).set_display_name("Collect answers")
        machines.training(collected)

    with dsl.Else(name="in one step"):
        answered = answer_batch(
            questions=asked.output,
            index=passages.output,
            model=found.outputs["model"],
            way=way,
            max_new_tokens=max_new_tokens,
            shard_rows=shard_rows,
        ).set_display_name("Answer questions")
        machines.training(answered)
