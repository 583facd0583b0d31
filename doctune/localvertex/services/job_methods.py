"""Get, List, Cancel and Delete: the same for every kind of job."""

from doctune.localvertex.api.codec import Document, snake_case
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import resources
from doctune.localvertex.tracker import JobKind


def register_job_methods(service: str, kind: JobKind) -> None:
    """Registers the methods that read, end and delete jobs of a kind.

    Args:
        service: Such as "JobService".
    """
    field = f"{snake_case(kind.kind).lower()}s"

    @handles(f"{service}.Get{kind.kind}")
    def get_job(call: Call, request: Document) -> Document:
        return call.transaction.get(kind.kind, request["name"])

    @handles(f"{service}.List{kind.kind}s")
    def list_jobs(call: Call, request: Document) -> Document:
        found = call.transaction.list(kind.kind, parent=request["parent"])
        return resources.list_response(call, request, field, kind.kind, found)

    register_ending(service, kind)


def register_ending(service: str, kind: JobKind) -> None:
    """Registers the methods that end and delete jobs of a kind."""

    @handles(f"{service}.Cancel{kind.kind}")
    def cancel_job(call: Call, request: Document) -> Document:
        call.vertex.jobs.cancel(call.transaction, kind, request["name"])
        return {}

    @handles(f"{service}.Delete{kind.kind}")
    def delete_job(call: Call, request: Document) -> Document:
        return resources.delete_job(call, kind, request["name"])
