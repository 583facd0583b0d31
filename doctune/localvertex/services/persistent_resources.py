"""PersistentResourceService: machines kept for jobs, stored only as records.

A job that names one runs as any other job does; one that names none that exists is refused.
"""

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid, precondition
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import resources

KIND = "PersistentResource"
_SERVICE = "PersistentResourceService"
_MUTABLE = frozenset({"display_name", "labels", "resource_pools"})


@handles(f"{_SERVICE}.CreatePersistentResource")
def create_persistent_resource(call: Call, request: Document) -> Document:
    """Creates a persistent resource.

    Raises:
        ApiError: UNIMPLEMENTED for a Ray cluster: nothing would run on it.
    """
    given = request.get("persistent_resource", {})
    if "ray_spec" in given.get("resource_runtime_spec", {}):
        raise ApiError(
            Status.UNIMPLEMENTED,
            "localvertex has no Ray clusters: start one on this machine with `ray start --head`.",
        )
    resources.check_labels(given)
    chosen = resources.check_resource_id(request.get("persistent_resource_id", ""))
    name = resource_name(request["parent"], chosen)
    resources.check_new(call, KIND, name)
    pools = given.get("resource_pools", [])
    if not pools:
        raise invalid("persistent_resource.resource_pools must not be empty.")
    for at, pool in enumerate(pools, start=1):
        if not pool.get("machine_spec", {}).get("machine_type"):
            raise invalid(f"resource_pools[{at - 1}].machine_spec.machine_type is required.")
        pool.setdefault("id", f"pool-{at}")
        pool.setdefault("replica_count", "1")
    stored = resources.stamp(given, call.type(KIND)) | {"name": name, "state": "RUNNING"}
    stored["start_time"] = stored["create_time"]
    call.transaction.put(KIND, name, stored)
    return call.finished(name, stored)


@handles(f"{_SERVICE}.GetPersistentResource")
def get_persistent_resource(call: Call, request: Document) -> Document:
    """Returns a persistent resource."""
    return call.transaction.get(KIND, request["name"])


@handles(f"{_SERVICE}.ListPersistentResources")
def list_persistent_resources(call: Call, request: Document) -> Document:
    """Lists the persistent resources of a location."""
    found = call.transaction.list(KIND, parent=request["parent"])
    return resources.list_response(call, request, "persistent_resources", KIND, found)


@handles(f"{_SERVICE}.UpdatePersistentResource")
def update_persistent_resource(call: Call, request: Document) -> Document:
    """Changes the pools, the display name or the labels."""
    change, paths = request["persistent_resource"], request.get("update_mask", [])
    updated = resources.update(call, KIND, change, paths, _MUTABLE)
    return call.finished(updated["name"], updated)


@handles(f"{_SERVICE}.RebootPersistentResource")
def reboot_persistent_resource(call: Call, request: Document) -> Document:
    """Returns the resource: it has no machines that could be rebooted."""
    stored = call.transaction.get(KIND, request["name"])
    return call.finished(stored["name"], stored)


@handles(f"{_SERVICE}.DeletePersistentResource")
def delete_persistent_resource(call: Call, request: Document) -> Document:
    """Deletes a persistent resource that no job uses.

    Raises:
        ApiError: FAILED_PRECONDITION while one does.
    """
    name = call.transaction.get(KIND, request["name"])["name"]
    for job in call.transaction.list("CustomJob", parent=names.location_name(name)):
        using = job["job_spec"].get("persistent_resource_id", "")
        if using == names.identifier(name) and job["state"] in (
            "JOB_STATE_PENDING",
            "JOB_STATE_RUNNING",
        ):
            raise precondition(f"{name} is used by {job['name']}.")
    call.transaction.delete(KIND, name)
    return call.finished(names.location_name(name), {})


def resource_name(parent: str, identifier: str) -> str:
    """Returns the name of a persistent resource of a location."""
    return f"{parent}/persistentResources/{identifier}"


def check_persistent_resource(call: Call, parent: str, job_spec: Document) -> None:
    """Raises if a job names a persistent resource that does not exist.

    Raises:
        ApiError: NOT_FOUND.
    """
    if given := job_spec.get("persistent_resource_id"):
        call.transaction.get(KIND, resource_name(parent, given))
