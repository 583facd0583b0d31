"""PipelineService: pipeline jobs."""

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document, snake_case
from doctune.localvertex.api.errors import ApiError, Status
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.jobs.pipelines import check_pipeline_job, run_pipeline_job
from doctune.localvertex.jobs.task_details import PIPELINE, metadata_store, run_context
from doctune.localvertex.services import resources
from doctune.localvertex.services.job_methods import register_ending
from doctune.localvertex.store import Transaction
from doctune.localvertex.vertex import Vertex

register_ending("PipelineService", PIPELINE)


def start_pipeline_job(
    vertex: Vertex, transaction: Transaction, parent: str, given: Document, job_id: str
) -> Document:
    """Records a pipeline job and starts it once the transaction is committed.

    Raises:
        ApiError: INVALID_ARGUMENT or ALREADY_EXISTS.
    """
    resources.check_labels(given)
    check_pipeline_job(given, job_id)
    info = given["pipeline_spec"].get("pipelineInfo", {})
    name = f"{parent}/pipelineJobs/{job_id or names.new_id()}"
    if transaction.find(PIPELINE.kind, name):
        raise ApiError(
            Status.ALREADY_EXISTS,
            f"PipelineJob {name} already exists. Identifiers that the SDK makes are the pipeline's "
            "name and the second: two jobs of one second collide; give them a job_id.",
        )
    moment = names.timestamp()
    job: Document = {
        **given,
        "name": name,
        "display_name": given.get("display_name") or info.get("name", ""),
        "create_time": moment,
        "update_time": moment,
        "job_detail": _contexts(transaction, name, info.get("name", "pipeline")),
    }

    async def run() -> Document:
        return await run_pipeline_job(vertex, job)

    vertex.jobs.create(transaction, PIPELINE, job, run)
    return job


def _contexts(transaction: Transaction, name: str, pipeline: str) -> Document:
    """Creates the metadata contexts of a pipeline and of this run, which Experiments use."""
    moment = names.timestamp()
    shared = {"create_time": moment, "update_time": moment, "schema_version": "0.0.1"}
    whole: Document = {
        **shared,
        "name": f"{metadata_store(name)}/contexts/{pipeline}",
        "display_name": pipeline,
        "schema_title": "system.Pipeline",
        "etag": resources.etag(),
    }
    run: Document = {
        **shared,
        "name": run_context(name),
        "display_name": names.identifier(name),
        "schema_title": "system.PipelineRun",
        "parent_contexts": [whole["name"]],
        "etag": resources.etag(),
    }
    if transaction.find("Context", whole["name"]) is None:
        transaction.put("Context", whole["name"], whole)
    transaction.put("Context", run["name"], run)
    return {"pipeline_context": whole, "pipeline_run_context": run}


@handles("PipelineService.CreatePipelineJob")
def create_pipeline_job(call: Call, request: Document) -> Document:
    """Creates a pipeline job and starts it."""
    return start_pipeline_job(
        call.vertex,
        call.transaction,
        request["parent"],
        request.get("pipeline_job", {}),
        request.get("pipeline_job_id", ""),
    )


@handles("PipelineService.GetPipelineJob")
def get_pipeline_job(call: Call, request: Document) -> Document:
    """Returns a pipeline job with the details of its tasks."""
    job = call.transaction.get(PIPELINE.kind, request["name"])
    detail = job.get("job_detail", {})
    for field in ("pipeline_context", "pipeline_run_context"):
        # Read again, since an experiment may have included the run in the meantime.
        if context := call.transaction.find("Context", detail.get(field, {}).get("name", "")):
            detail[field] = context
    return job


@handles("PipelineService.ListPipelineJobs")
def list_pipeline_jobs(call: Call, request: Document) -> Document:
    """Lists the pipeline jobs of a location, with the fields of the read mask."""
    found = call.transaction.list(PIPELINE.kind, parent=request["parent"])
    mask = set(_paths(request.get("read_mask", "")))

    def shape(job: Document) -> Document:
        return {key: value for key, value in job.items() if not mask or key in mask}

    return resources.list_response(
        call, request, "pipeline_jobs", PIPELINE.kind, found, shape=shape
    )


def _paths(mask: str) -> list[str]:
    return [snake_case(path).partition(".")[0] for path in mask.split(",") if path]


@handles("PipelineService.BatchCancelPipelineJobs")
def batch_cancel_pipeline_jobs(call: Call, request: Document) -> Document:
    """Cancels several pipeline jobs."""
    jobs = [call.vertex.projects.canonical(name) for name in request.get("names", [])]
    for name in jobs:
        call.vertex.jobs.cancel(call.transaction, PIPELINE, name)
    found = [call.transaction.get(PIPELINE.kind, name) for name in jobs]
    return call.finished(request["parent"], {"pipeline_jobs": found})


@handles("PipelineService.BatchDeletePipelineJobs")
def batch_delete_pipeline_jobs(call: Call, request: Document) -> Document:
    """Deletes several finished pipeline jobs."""
    jobs = [call.vertex.projects.canonical(name) for name in request.get("names", [])]
    found = [call.transaction.get(PIPELINE.kind, name) for name in jobs]
    for name in jobs:
        resources.delete_job(call, PIPELINE, name)
    return call.finished(request["parent"], {"pipeline_jobs": found})
