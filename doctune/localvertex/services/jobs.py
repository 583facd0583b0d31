"""JobService: custom jobs, hyperparameter tuning and batch predictions."""

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.jobs.batch import BATCH, check_batch_job, run_batch_job
from doctune.localvertex.jobs.custom import check_job_spec, run_job_spec
from doctune.localvertex.jobs.tracker import JobKind
from doctune.localvertex.jobs.tuning import TUNING, check_tuning_job, run_tuning_job
from doctune.localvertex.services import models, resources

CUSTOM = JobKind("CustomJob")


@handles("JobService.CreateCustomJob")
def create_custom_job(call: Call, request: Document) -> Document:
    """Creates a job and starts its replicas."""
    given = request.get("custom_job", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    spec = given.get("job_spec", {})
    check_job_spec(call.vertex, spec)
    job = resources.stamp(given, call.type(CUSTOM.kind))
    job["name"] = name = f"{request['parent']}/customJobs/{names.new_id()}"
    vertex = call.vertex

    async def run() -> Document:
        await run_job_spec(vertex, name, spec)
        return {}

    vertex.jobs.create(call.transaction, CUSTOM, job, run)
    return job


@handles("JobService.GetCustomJob")
def get_custom_job(call: Call, request: Document) -> Document:
    """Returns a job."""
    return call.transaction.get(CUSTOM.kind, request["name"])


@handles("JobService.ListCustomJobs")
def list_custom_jobs(call: Call, request: Document) -> Document:
    """Lists the jobs of a location."""
    found = call.transaction.list(CUSTOM.kind, parent=request["parent"])
    return resources.list_response(call, request, "custom_jobs", CUSTOM.kind, found)


@handles("JobService.CancelCustomJob")
def cancel_custom_job(call: Call, request: Document) -> Document:
    """Ends a job's replicas and all that they have started."""
    call.vertex.jobs.cancel(call.transaction, CUSTOM, request["name"])
    return {}


@handles("JobService.DeleteCustomJob")
def delete_custom_job(call: Call, request: Document) -> Document:
    """Deletes a job that is over."""
    return resources.delete_job(call, CUSTOM, request["name"])


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
    # Refused now where no program stands for the image, rather than after the answer.
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


@handles("JobService.GetBatchPredictionJob")
def get_batch_prediction_job(call: Call, request: Document) -> Document:
    """Returns a batch prediction."""
    return call.transaction.get(BATCH.kind, request["name"])


@handles("JobService.ListBatchPredictionJobs")
def list_batch_prediction_jobs(call: Call, request: Document) -> Document:
    """Lists the batch predictions of a location."""
    found = call.transaction.list(BATCH.kind, parent=request["parent"])
    return resources.list_response(call, request, "batch_prediction_jobs", BATCH.kind, found)


@handles("JobService.CancelBatchPredictionJob")
def cancel_batch_prediction_job(call: Call, request: Document) -> Document:
    """Ends a batch prediction and its serving program."""
    call.vertex.jobs.cancel(call.transaction, BATCH, request["name"])
    return {}


@handles("JobService.DeleteBatchPredictionJob")
def delete_batch_prediction_job(call: Call, request: Document) -> Document:
    """Deletes a batch prediction that is over; its results stay."""
    return resources.delete_job(call, BATCH, request["name"])


@handles("JobService.CreateHyperparameterTuningJob")
def create_hyperparameter_tuning_job(call: Call, request: Document) -> Document:
    """Creates a tuning job and starts its first trials."""
    given = request.get("hyperparameter_tuning_job", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    check_tuning_job(call.vertex, given)
    job = resources.stamp(given, call.type(TUNING.kind))
    job["name"] = f"{request['parent']}/hyperparameterTuningJobs/{names.new_id()}"
    vertex = call.vertex

    async def run() -> Document:
        return await run_tuning_job(vertex, job)

    vertex.jobs.create(call.transaction, TUNING, job, run)
    return job


@handles("JobService.GetHyperparameterTuningJob")
def get_hyperparameter_tuning_job(call: Call, request: Document) -> Document:
    """Returns a tuning job with its trials."""
    return call.transaction.get(TUNING.kind, request["name"])


@handles("JobService.ListHyperparameterTuningJobs")
def list_hyperparameter_tuning_jobs(call: Call, request: Document) -> Document:
    """Lists the tuning jobs of a location."""
    found = call.transaction.list(TUNING.kind, parent=request["parent"])
    return resources.list_response(call, request, "hyperparameter_tuning_jobs", TUNING.kind, found)


@handles("JobService.CancelHyperparameterTuningJob")
def cancel_hyperparameter_tuning_job(call: Call, request: Document) -> Document:
    """Ends a tuning job and its trials."""
    call.vertex.jobs.cancel(call.transaction, TUNING, request["name"])
    return {}


@handles("JobService.DeleteHyperparameterTuningJob")
def delete_hyperparameter_tuning_job(call: Call, request: Document) -> Document:
    """Deletes a tuning job that is over."""
    return resources.delete_job(call, TUNING, request["name"])
