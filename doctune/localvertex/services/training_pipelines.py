"""PipelineService: training pipelines of the custom kind, which the SDK's training jobs create.

It runs a custom job and, if that succeeds, uploads its model to the registry.
"""

import copy

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.jobs.custom import check_job_spec, run_job_spec
from doctune.localvertex.services import datasets, jobs, models, resources
from doctune.localvertex.services.job_methods import register_job_methods
from doctune.localvertex.services.persistent_resources import check_persistent_resource
from doctune.localvertex.tracker import JobFailedError, JobKind
from doctune.localvertex.vertex import Vertex

TRAINING = JobKind("TrainingPipeline", prefix="PIPELINE_STATE")
register_job_methods("PipelineService", TRAINING)

_CUSTOM_TASK = "custom_task"
_SPEC = "google.cloud.aiplatform.v1.CustomJobSpec"


@handles("PipelineService.CreateTrainingPipeline")
def create_training_pipeline(call: Call, request: Document) -> Document:
    """Creates a training pipeline and starts its custom job."""
    given = request.get("training_pipeline", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    if _CUSTOM_TASK not in given.get("training_task_definition", ""):
        raise ApiError(
            Status.UNIMPLEMENTED,
            "localvertex runs training pipelines with the custom task only, not "
            f"{given.get('training_task_definition')!r}.",
        )
    codec = call.vertex.codec
    spec = codec.document(codec.message(_SPEC, given.get("training_task_inputs", {})))
    check_job_spec(call.vertex, spec)
    check_persistent_resource(call, request["parent"], spec)
    dataset = _dataset(call, request["parent"], given.get("input_data_config", {}))
    pipeline = resources.stamp(given, call.type(TRAINING.kind))
    pipeline["name"] = f"{request['parent']}/trainingPipelines/{names.new_id()}"
    vertex = call.vertex

    async def run() -> Document:
        variables = await _input_variables(vertex, pipeline, dataset) if dataset else {}
        return await _run(vertex, pipeline, _with_variables(spec, variables))

    vertex.jobs.create(call.transaction, TRAINING, pipeline, run)
    return pipeline


def _dataset(call: Call, parent: str, config: Document) -> Document | None:
    """Returns the managed data set for training, if any.

    Raises:
        ApiError: NOT_FOUND; UNIMPLEMENTED for BigQuery.
    """
    if not config.get("dataset_id"):
        return None
    if "bigquery_destination" in config:
        raise ApiError(
            Status.UNIMPLEMENTED,
            "localvertex has no BigQuery: training data are written to gs:// only "
            "(input_data_config.gcs_destination).",
        )
    return call.transaction.get(datasets.KIND, f"{parent}/datasets/{config['dataset_id']}")


async def _input_variables(vertex: Vertex, pipeline: Document, dataset: Document) -> Document:
    """Writes the three splits of the data set, and returns the variables with their URIs."""
    config = pipeline["input_data_config"]
    target = config.get("gcs_destination", {}).get("output_uri_prefix", "").rstrip("/")
    if not target:
        raise JobFailedError(
            "input_data_config.gcs_destination is missing: set base_output_dir or staging_bucket.",
            Status.INVALID_ARGUMENT,
        )
    kind = datasets.schema_title(dataset["metadata_schema_uri"])
    folder = f"{target}/dataset-{config['dataset_id']}-{kind}-{pipeline['create_time']}"
    written = await datasets.write_splits(vertex, dataset, config, folder)
    return {
        "AIP_DATA_FORMAT": written.format,
        **{f"AIP_{name.upper()}_DATA_URI": uri for name, uri in written.uris.items()},
    }


def _with_variables(spec: Document, variables: Document) -> Document:
    """Returns a job specification with additional environment variables for its containers."""
    spec = copy.deepcopy(spec)
    for pool in spec["worker_pool_specs"]:
        container = pool.get("container_spec") or pool.get("python_package_spec")
        if container is not None:
            given = [{"name": name, "value": value} for name, value in variables.items()]
            container["env"] = [*given, *container.get("env", [])]
    return spec


async def _run(vertex: Vertex, pipeline: Document, spec: Document) -> Document:
    name = _start_job(vertex, pipeline, spec)
    vertex.jobs.update(
        TRAINING, pipeline["name"], training_task_metadata={"backingCustomJob": name}
    )
    try:
        await vertex.jobs.wait(name)
    finally:
        if vertex.jobs.is_running(name):
            with vertex.store.transaction() as transaction:
                vertex.jobs.cancel(transaction, jobs.CUSTOM, name)
    with vertex.store.transaction() as transaction:
        ended = transaction.get(jobs.CUSTOM.kind, name)
        if ended["state"] != jobs.CUSTOM.state("SUCCEEDED"):
            raise JobFailedError(ended.get("error", {}).get("message", "The custom job failed."))
        if "model_to_upload" not in pipeline:
            return {}
        call = Call(vertex.table.by_key["ModelService.UploadModel"], vertex, transaction)
        return {"model_to_upload": _upload(call, pipeline, spec)}


def _start_job(vertex: Vertex, pipeline: Document, spec: Document) -> str:
    name = f"{names.location_name(pipeline['name'])}/customJobs/{names.new_id()}"

    async def run() -> Document:
        await run_job_spec(vertex, name, spec)
        return {}

    moment = names.timestamp()
    job: Document = {
        "name": name,
        "display_name": f"{pipeline['display_name']}-custom-job",
        "job_spec": spec,
        "create_time": moment,
        "update_time": moment,
        "labels": pipeline.get("labels", {}),
    }
    with vertex.store.transaction() as transaction:
        vertex.jobs.create(transaction, jobs.CUSTOM, job, run)
    return name


def _upload(call: Call, pipeline: Document, spec: Document) -> Document:
    model = dict(pipeline["model_to_upload"])
    base = spec.get("base_output_directory", {}).get("output_uri_prefix", "").rstrip("/")
    if base and not model.get("artifact_uri"):
        model["artifact_uri"] = f"{base}/model"
    version = models.add_version(
        call,
        {
            "parent": names.location_name(pipeline["name"]),
            "model": model,
            "parent_model": call.vertex.projects.canonical(pipeline.get("parent_model", "")),
            "model_id": pipeline.get("model_id", ""),
        },
    )
    return version
