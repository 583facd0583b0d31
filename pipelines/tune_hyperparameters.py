"""From PDFs to a model that is tuned with the best hyperparameters of a search."""

from google_cloud_pipeline_components.v1.hyperparameter_tuning_job import (
    HyperparameterTuningJobRunOp,
    serialize_metrics,
)
from kfp import dsl

from components import images
from components.plan_trials import plan_trials
from doctune.dataset.options import DatasetOptions
from doctune.training.options import TrainingOptions
from doctune.training.search_options import SearchOptions
from pipelines import machines
from pipelines.steps.prepare_examples import prepare_examples
from pipelines.steps.tune_with_best import tune_with_best

DATASET, TRAINING, SEARCH = DatasetOptions(), TrainingOptions(), SearchOptions()


@dsl.pipeline(
    name="tune-hyperparameters",
    description="A hyperparameter search, and a model tuned with its best trial.",
)
def tune_hyperparameters(
    pdfs: str,
    project: str,
    location: str,
    staging_bucket: str,
    corpus_digest: str = "",
    shards: int = 1,
    base_model: str = TRAINING.base_model,
    chunk_tokens: int = DATASET.chunk_tokens,
    search_service: str = "vertex",
    max_trials: int = SEARCH.max_trials,
    parallel_trials: int = 1,
    machine_type: str = machines.TRIAL.machine_type or "n1-standard-8",
    accelerator_type: str = machines.TRIAL.accelerator_type,
    accelerator_count: int = machines.TRIAL.accelerator_count,
    documents_advanced: dict = {},
    dataset_advanced: dict = {},
    training: dict = {},
    search: dict = {},
) -> None:
    examples = prepare_examples(
        pdfs=pdfs,
        corpus_digest=corpus_digest,
        shards=shards,
        base_model=base_model,
        chunk_tokens=chunk_tokens,
        cache_uri=f"{staging_bucket}/cache",
        documents_advanced=documents_advanced,
        dataset_advanced=dataset_advanced,
    ).set_display_name("Prepare examples")
    sets = {name: examples.outputs[name] for name in ("train_set", "validation_set")}
    tuning = {
        **sets,
        "project": project,
        "location": location,
        "staging_bucket": staging_bucket,
        "max_trials": max_trials,
        "training": training,
        "search": search,
    }

    with dsl.If(search_service == "vertex", name="by Vertex AI"):
        plan = plan_trials(
            image=images.TRAINING,
            machine_type=machine_type,
            accelerator_type=accelerator_type,
            accelerator_count=accelerator_count,
            training=training,
            search=search,
            **sets,
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
        tune_with_best(tuning_job=job.outputs["gcp_resources"], **tuning)

    with dsl.If(search_service != "vertex", name="in this pipeline"):
        tune_with_best(tuning_job="", **tuning)
