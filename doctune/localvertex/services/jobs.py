"""JobService: custom jobs."""

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.jobs.custom import check_job_spec, run_job_spec
from doctune.localvertex.jobs.tracker import JobKind
from doctune.localvertex.services import resources

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
