"""JobService: custom jobs, hyperparameter tuning and batch predictions."""

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.jobs.batch import BATCH, check_batch_job, run_batch_job
from doctune.localvertex.jobs.custom import check_job_spec, run_job_spec
from doctune.localvertex.jobs.tuning import TUNING, check_tuning_job, run_tuning_job
from doctune.localvertex.services import models, resources
from doctune.localvertex.services.job_methods import register_job_methods
from doctune.localvertex.services.persistent_resources import check_persistent_resource
from doctune.localvertex.tracker import JobKind

CUSTOM = JobKind("CustomJob")

for _kind in (CUSTOM, BATCH, TUNING):
    register_job_methods("JobService", _kind)


@handles("JobService.CreateCustomJob")
def create_custom_job(call: Call, request: Document) -> Document:
    """Creates a job and starts its replicas."""
    given = request.get("custom_job", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    spec = given.get("job_spec", {})
    check_job_spec(call.vertex, spec)
    check_persistent_resource(call, request["parent"], spec)
    job = resources.stamp(given, call.type(CUSTOM.kind))
    job["name"] = name = f"{request['parent']}/customJobs/{names.new_id()}"
    vertex = call.vertex

    async def run() -> Document:
        await run_job_spec(vertex, name, spec)
        return {}

    vertex.jobs.create(call.transaction, CUSTOM, job, run)
    return job


@handles("JobService.CreateBatchPredictionJob")
def create_batch_prediction_job(call: Call, request: Document) -> Document:
    """Creates a batch prediction and starts it."""
    given = request.get("batch_prediction_job", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    check_batch_job(given)
    job = resources.stamp(given, call.type(BATCH.kind))
    job["name"] = f"{request['parent']}/batchPredictionJobs/{names.new_id()}"
    version = _batch_model(call, job)
    # Checked here, so that an image without a program is refused before the job is created.
    call.vertex.serving_process(job["name"], {"id": "batch"}, version)
    vertex = call.vertex

    async def run() -> Document:
        return await run_batch_job(vertex, job, version)

    vertex.jobs.create(call.transaction, BATCH, job, run)
    return job


def _batch_model(call: Call, job: Document) -> Document:
    if "unmanaged_container_model" in job:
        unmanaged = job["unmanaged_container_model"]
        return {
            "name": "",
            "version_id": "",
            "display_name": "unmanaged",
            "container_spec": unmanaged.get("container_spec", {}),
            "artifact_uri": unmanaged.get("artifact_uri", ""),
        }
    version = models.find_version(
        call.transaction, call.vertex.projects.canonical(job.get("model", ""))
    )
    job |= {"model": version["name"], "model_version_id": version["version_id"]}
    return version


@handles("JobService.CreateHyperparameterTuningJob")
def create_hyperparameter_tuning_job(call: Call, request: Document) -> Document:
    """Creates a tuning job and starts its first trials."""
    given = request.get("hyperparameter_tuning_job", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    check_tuning_job(call.vertex, given)
    check_persistent_resource(call, request["parent"], given["trial_job_spec"])
    job = resources.stamp(given, call.type(TUNING.kind))
    job["name"] = f"{request['parent']}/hyperparameterTuningJobs/{names.new_id()}"
    vertex = call.vertex

    async def run() -> Document:
        return await run_tuning_job(vertex, job)

    vertex.jobs.create(call.transaction, TUNING, job, run)
    return job
