"""PDFs to a model tuned with the best hyperparameters that a search finds."""

from google_cloud_pipeline_components.v1.hyperparameter_tuning_job import (
    HyperparameterTuningJobRunOp,
    serialize_metrics,
)
from kfp import dsl

from components import images
from components.join_documents import join_documents
from components.parse_pdfs import parse_pdfs
from components.pick_trial import pick_trial
from components.plan_shards import plan_shards
from components.plan_trials import plan_trials
from components.prepare_dataset import prepare_dataset
from components.tune_model import tune_model
from pipelines import machines

# What `pick_trial` hands to `tune_model`.
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


@dsl.pipeline(
    name="tune-hyperparameters", description="A search, and a model tuned with its best trial."
)
def tune_hyperparameters(
    pdfs: str,
    project: str,
    location: str,
    staging_bucket: str,
    corpus_digest: str = "",
    shards: int = 1,
    base_model: str = "smollm2-135m-instruct",
    chunk_tokens: int = 256,
    search_service: str = "vertex",
    max_trials: int = 8,
    parallel_trials: int = 1,
    machine_type: str = machines.TRIAL.machine_type or "n1-standard-8",
    accelerator_type: str = machines.TRIAL.accelerator_type,
    accelerator_count: int = machines.TRIAL.accelerator_count,
    documents_advanced: dict = {},
    dataset_advanced: dict = {},
    training: dict = {},
    search: dict = {},
) -> None:
    source = dsl.importer(artifact_uri=pdfs, artifact_class=dsl.Artifact, reimport=True)
    source.set_display_name("PDFs")

    planned = plan_shards(
        pdfs=source.output, shards=shards, corpus_digest=corpus_digest
    ).set_display_name("Plan shards")

    with dsl.ParallelFor(planned.outputs["Output"], name="shards") as shard:
        parsed = parse_pdfs(
            pdfs=source.output,
            plan=planned.outputs["plan"],
            shard=shard,
            corpus_digest=corpus_digest,
            advanced=documents_advanced,
        ).set_display_name("Parse PDFs")

    joined = join_documents(
        pdfs=source.output,
        parts=dsl.Collected(parsed.outputs["documents"]),
        corpus_digest=corpus_digest,
        advanced=documents_advanced,
    ).set_display_name("Join documents")

    examples = prepare_dataset(
        documents=joined.outputs["documents"],
        base_model=base_model,
        chunk_tokens=chunk_tokens,
        advanced=dataset_advanced,
    ).set_display_name("Prepare data set")

    for task in (planned, parsed, joined, examples):
        machines.documents(task)

    def tune_with_best(tuning_job: object) -> None:
        best = pick_trial(
            train_set=examples.outputs["train_set"],
            validation_set=examples.outputs["validation_set"],
            tuning_job=tuning_job,
            project=project,
            location=location,
            staging_bucket=staging_bucket,
            max_trials=max_trials,
            training=training,
            search=search,
        ).set_display_name("Pick trial")
        tuned = tune_model(
            train_set=examples.outputs["train_set"],
            validation_set=examples.outputs["validation_set"],
            **{name: best.outputs[name] for name in _PARAMETERS},
            checkpoint_dir=f"{staging_bucket}/checkpoints",
        ).set_display_name("Tune model")
        machines.training(best)
        machines.training(tuned)

    with dsl.If(search_service == "vertex", name="by Vertex AI"):
        plan = plan_trials(
            train_set=examples.outputs["train_set"],
            validation_set=examples.outputs["validation_set"],
            image=images.TRAINING,
            machine_type=machine_type,
            accelerator_type=accelerator_type,
            accelerator_count=accelerator_count,
            training=training,
            search=search,
        ).set_display_name("Plan trials")
        machines.ops(plan)
        job = HyperparameterTuningJobRunOp(
            display_name="tune-hyperparameters",
            base_output_directory=f"{staging_bucket}/tuning/{dsl.PIPELINE_JOB_NAME_PLACEHOLDER}",
            worker_pool_specs=plan.outputs["worker_pool_specs"],
            study_spec_metrics=serialize_metrics({"validation_loss": "minimize"}),
            study_spec_parameters=plan.outputs["study_parameters"],
            study_spec_algorithm=plan.outputs["algorithm"],
            max_trial_count=max_trials,
            parallel_trial_count=parallel_trials,
            project=project,
            location=location,
        ).set_display_name("Search")
        tune_with_best(job.outputs["gcp_resources"])

    with dsl.If(search_service != "vertex", name="in this pipeline"):
        tune_with_best("")
