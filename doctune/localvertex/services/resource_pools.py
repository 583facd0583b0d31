"""DeploymentResourcePoolService: shared machines of deployed models, stored only as records."""

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import invalid, precondition
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import resources
from doctune.localvertex.store import Transaction

KIND = "DeploymentResourcePool"
_SERVICE = "DeploymentResourcePoolService"


@handles(f"{_SERVICE}.CreateDeploymentResourcePool")
def create_pool(call: Call, request: Document) -> Document:
    """Creates a pool."""
    given = request.get("deployment_resource_pool", {})
    chosen = resources.check_resource_id(request.get("deployment_resource_pool_id", ""))
    name = f"{request['parent']}/deploymentResourcePools/{chosen}"
    resources.check_new(call, KIND, name)
    dedicated = given.get("dedicated_resources", {})
    if not dedicated.get("machine_spec", {}).get("machine_type"):
        raise invalid("dedicated_resources.machine_spec.machine_type is required.")
    least = int(dedicated.get("min_replica_count", 0))
    if least < 1:
        raise invalid("dedicated_resources.min_replica_count must be at least 1.")
    dedicated["max_replica_count"] = int(dedicated.get("max_replica_count", 0)) or least
    pool = resources.stamp(given, call.type(KIND)) | {"name": name}
    call.transaction.put(KIND, name, pool)
    return call.finished(name, pool)


@handles(f"{_SERVICE}.GetDeploymentResourcePool")
def get_pool(call: Call, request: Document) -> Document:
    """Returns a pool."""
    return call.transaction.get(KIND, request["name"])


@handles(f"{_SERVICE}.ListDeploymentResourcePools")
def list_pools(call: Call, request: Document) -> Document:
    """Lists the pools of a location."""
    found = call.transaction.list(KIND, parent=request["parent"])
    return resources.list_response(call, request, "deployment_resource_pools", KIND, found)


@handles(f"{_SERVICE}.DeleteDeploymentResourcePool")
def delete_pool(call: Call, request: Document) -> Document:
    """Deletes a pool that no deployed model uses.

    Raises:
        ApiError: FAILED_PRECONDITION while one does.
    """
    users = _deployed(call.transaction, request["name"])
    if users:
        ids = ", ".join(deployed["id"] for _, deployed in users)
        raise precondition(f"{request['name']} still has deployed models ({ids}).")
    call.transaction.delete(KIND, request["name"])
    return call.finished(names.location_name(request["name"]), {})


@handles(f"{_SERVICE}.QueryDeployedModels")
def query_deployed_models(call: Call, request: Document) -> Document:
    """Returns the deployed models of a pool."""
    pool = call.transaction.get(KIND, request["deployment_resource_pool"])["name"]
    users = _deployed(call.transaction, pool)
    return {
        "deployed_models": [deployed for _, deployed in users],
        "deployed_model_refs": [
            {"endpoint": endpoint, "deployed_model_id": deployed["id"]}
            for endpoint, deployed in users
        ],
        "total_deployed_model_count": len(users),
        "total_endpoint_count": len({endpoint for endpoint, _ in users}),
    }


def check_pool(call: Call, deployed: Document) -> None:
    """Raises if a deployment names a pool that does not exist.

    Raises:
        ApiError: NOT_FOUND.
    """
    if given := deployed.get("shared_resources"):
        pool = call.transaction.get(KIND, call.vertex.projects.canonical(given))
        deployed["shared_resources"] = pool["name"]


def _deployed(transaction: Transaction, pool: str) -> list[tuple[str, Document]]:
    return [
        (endpoint["name"], deployed)
        for endpoint in transaction.list("Endpoint")
        for deployed in endpoint.get("deployed_models", ())
        if deployed.get("shared_resources") == pool
    ]
