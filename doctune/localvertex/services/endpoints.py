"""EndpointService: endpoints, traffic, and the deployed models behind them.

DeployModel starts the real serving program and ends when it is healthy; only then does the deployed
model join the endpoint, in the same transaction that changes the traffic.
"""

from collections.abc import Mapping

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid, not_found, precondition
from doctune.localvertex.certificates import dedicated_host
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.request_log import complete_destination
from doctune.localvertex.services import models, resource_pools, resources
from doctune.localvertex.store import Transaction

KIND = "Endpoint"

_MUTABLE = frozenset(
    {
        "display_name",
        "description",
        "labels",
        "traffic_split",
        "predict_request_response_logging_config",
        "private_service_connect_config",
        "client_connection_config",
    }
)
_RESOURCES = ("dedicated_resources", "automatic_resources", "shared_resources")


@handles("EndpointService.CreateEndpoint")
def create_endpoint(call: Call, request: Document) -> Document:
    """Creates an endpoint, with the identifier that the caller chose where there is one."""
    given = request.get("endpoint", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    chosen = request.get("endpoint_id", "")
    name = f"{request['parent']}/endpoints/" + (
        resources.check_resource_id(chosen) if chosen else names.new_id()
    )
    resources.check_new(call, KIND, name)
    endpoint = resources.stamp(given, call.type(KIND)) | {"name": name}
    endpoint.pop("deployed_models", None)
    endpoint.pop("traffic_split", None)
    complete_destination(endpoint)
    if endpoint.get("dedicated_endpoint_enabled"):
        host = dedicated_host(names.identifier(name), names.location(name))
        endpoint["dedicated_endpoint_dns"] = host
    call.transaction.put(KIND, name, endpoint)
    return call.finished(name, endpoint)


@handles("EndpointService.GetEndpoint")
def get_endpoint(call: Call, request: Document) -> Document:
    """Returns an endpoint."""
    return call.transaction.get(KIND, request["name"])


@handles("EndpointService.ListEndpoints")
def list_endpoints(call: Call, request: Document) -> Document:
    """Lists the endpoints of a location."""
    found = call.transaction.list(KIND, parent=request["parent"])
    return resources.list_response(call, request, "endpoints", KIND, found)


@handles("EndpointService.UpdateEndpoint")
def update_endpoint(call: Call, request: Document) -> Document:
    """Changes what the mask names, traffic among it."""
    change = request.get("endpoint", {})
    return _update(call, change, request.get("update_mask", []))


def _update(call: Call, change: Document, paths: list[str]) -> Document:
    if "traffic_split" in paths or "traffic_split" in change:
        name = call.vertex.projects.canonical(change.get("name", ""))
        endpoint = call.transaction.get(KIND, name)
        change["traffic_split"] = _checked_split(endpoint, change.get("traffic_split", {}))
    updated = resources.update(call, KIND, change, paths, _MUTABLE)
    complete_destination(updated)
    call.transaction.put(KIND, updated["name"], updated)
    return updated


@handles("EndpointService.UpdateEndpointLongRunning")
def update_endpoint_long_running(call: Call, request: Document) -> Document:
    """Changes an endpoint as UpdateEndpoint does, as an operation."""
    change = request.get("endpoint", {})
    updated = _update(call, change, [field for field in change if field in _MUTABLE])
    return call.finished(updated["name"], updated)


@handles("EndpointService.DeleteEndpoint")
def delete_endpoint(call: Call, request: Document) -> Document:
    """Deletes an endpoint that has no deployed models."""
    endpoint = call.transaction.get(KIND, request["name"])
    if endpoint.get("deployed_models"):
        deployed = ", ".join(model["id"] for model in endpoint["deployed_models"])
        raise precondition(
            f"Endpoint {endpoint['name']} still has deployed models ({deployed}): undeploy them "
            "first."
        )
    call.transaction.delete(KIND, endpoint["name"])
    return call.finished(names.location_name(endpoint["name"]), {})


@handles("EndpointService.DeployModel")
def deploy_model(call: Call, request: Document) -> Document:
    """Starts the serving program of a model behind an endpoint, and then gives it its traffic."""
    endpoint = call.transaction.get(KIND, request["endpoint"])
    given = request.get("deployed_model", {})
    version = models.find_version(
        call.transaction, call.vertex.projects.canonical(given.get("model", ""))
    )
    _check_machines(given)
    resource_pools.check_pool(call, given)
    if version["container_spec"].get("invoke_route_prefix") and not endpoint.get(
        "dedicated_endpoint_enabled"
    ):
        raise precondition(
            "A model with invoke_route_prefix can be deployed to a dedicated endpoint only; "
            f"{endpoint['name']} is none."
        )
    deployed = {
        **given,
        "id": given.get("id") or names.new_id(),
        "model": version["name"],
        "model_version_id": version["version_id"],
        "display_name": given.get("display_name") or version["display_name"],
        "create_time": names.timestamp(),
    }
    if _find_deployed(endpoint, deployed["id"]) is not None:
        raise ApiError(Status.ALREADY_EXISTS, f"DeployedModel {deployed['id']} already exists.")
    split = {
        deployed["id"] if key == "0" else key: value
        for key, value in request.get("traffic_split", {}).items()
    }
    if endpoint.get("network"):
        split = _made_private(call, endpoint, deployed)
    if split:  # refused now rather than after the program has started
        _checked_split(_with_deployed(endpoint, deployed), split)
    process = call.vertex.serving_process(endpoint["name"], deployed, version)
    vertex = call.vertex

    async def deploy() -> Document:
        await process.start()
        try:
            with vertex.store.transaction() as transaction:
                _join(transaction, endpoint["name"], deployed, split)
        except BaseException:
            await process.stop()
            raise
        vertex.serving.add(endpoint["name"], process)
        return {"deployed_model": deployed}

    return call.start(endpoint["name"], deploy)


def _made_private(call: Call, endpoint: Document, deployed: Document) -> dict[str, int]:
    """Gives the model of a private endpoint its address; returns its traffic, which is all.

    Raises:
        ApiError: FAILED_PRECONDITION: the endpoint has its model already.
    """
    if endpoint.get("deployed_models"):
        raise precondition(
            f"{endpoint['name']} is private and has a model already: undeploy it first."
        )
    uri = f"{call.vertex.url}/v1/{endpoint['name']}:predict"
    deployed["private_endpoints"] = {"predict_http_uri": uri}
    return {deployed["id"]: 100}


def _join(
    transaction: Transaction, name: str, deployed: Document, split: Mapping[str, int]
) -> None:
    endpoint = _with_deployed(transaction.get(KIND, name), deployed)
    if split:
        endpoint["traffic_split"] = _checked_split(endpoint, split)
    resources.touch(endpoint)
    transaction.put(KIND, name, endpoint)


def _with_deployed(endpoint: Document, deployed: Document) -> Document:
    return {**endpoint, "deployed_models": [*endpoint.get("deployed_models", []), deployed]}


def _find_deployed(endpoint: Document, deployed_model_id: str) -> Document | None:
    for deployed in endpoint.get("deployed_models", ()):
        if deployed["id"] == deployed_model_id:
            return deployed
    return None


def _check_machines(deployed: Document) -> None:
    given = [field for field in _RESOURCES if field in deployed]
    if len(given) != 1:
        raise invalid(
            "deployed_model.prediction_resources must be exactly one of " + ", ".join(_RESOURCES)
        )
    if given[0] == "shared_resources":
        return  # the pool's, which were looked at when it was made
    settings = deployed[given[0]]
    least = int(settings.get("min_replica_count", 0))
    most = int(settings.get("max_replica_count", 0)) or least
    if given[0] == "dedicated_resources":
        if not settings.get("machine_spec", {}).get("machine_type"):
            raise invalid("dedicated_resources.machine_spec.machine_type is required.")
        if least < 1:
            raise invalid("dedicated_resources.min_replica_count must be at least 1.")
        settings["max_replica_count"] = most
    if most < least:
        raise invalid(f"max_replica_count ({most}) is less than min_replica_count ({least}).")


def _checked_split(endpoint: Document, split: Mapping[str, int]) -> dict[str, int]:
    """Returns a traffic split that covers every deployed model.

    Raises:
        ApiError: INVALID_ARGUMENT for an unknown deployed model, a share that is not 0 to 100, or a
            sum that is not 100.
    """
    known = [deployed["id"] for deployed in endpoint.get("deployed_models", ())]
    for key, share in split.items():
        if key not in known:
            raise invalid(f"traffic_split names {key!r}, which is not a deployed model.")
        if not 0 <= share <= 100:
            raise invalid(f"traffic_split gives {key!r} {share}, which is not 0 to 100.")
    total = sum(split.values())
    if split and total != 100:
        raise invalid(f"The sum of traffic_split must be 100; it is {total}.")
    return {key: split.get(key, 0) for key in known} if split else {}


@handles("EndpointService.UndeployModel")
def undeploy_model(call: Call, request: Document) -> Document:
    """Takes a deployed model off its endpoint and ends its program."""
    name, wanted = request["endpoint"], request.get("deployed_model_id", "")
    endpoint = call.transaction.get(KIND, name)
    if _find_deployed(endpoint, wanted) is None:
        raise not_found("DeployedModel", wanted)
    kept = [deployed for deployed in endpoint["deployed_models"] if deployed["id"] != wanted]
    current = request.get("traffic_split") or endpoint.get("traffic_split", {})
    if kept and current.get(wanted):
        raise precondition(
            f"DeployedModel {wanted} has {current[wanted]}% of the traffic: give its share to the "
            "others with traffic_split."
        )
    endpoint["deployed_models"] = kept
    split = {key: share for key, share in current.items() if key != wanted}
    endpoint["traffic_split"] = _checked_split(endpoint, split) if kept else {}
    resources.touch(endpoint)
    call.transaction.put(KIND, name, endpoint)
    vertex = call.vertex

    async def undeploy() -> Document:
        await vertex.serving.remove(name, wanted)
        return {}

    return call.start(name, undeploy)


@handles("EndpointService.MutateDeployedModel")
def mutate_deployed_model(call: Call, request: Document) -> Document:
    """Changes the replica bounds and autoscaling of a deployed model."""
    name, change = request["endpoint"], request.get("deployed_model", {})
    endpoint = call.transaction.get(KIND, name)
    deployed = _find_deployed(endpoint, change.get("id", ""))
    if deployed is None:
        raise not_found("DeployedModel", change.get("id", ""))
    for field in ("min_replica_count", "max_replica_count", "required_replica_count"):
        for kind in _RESOURCES:
            if field in change.get(kind, {}):
                deployed.setdefault(kind, {})[field] = change[kind][field]
    for field in ("autoscaling_metric_specs",):
        if field in change.get("dedicated_resources", {}):
            deployed["dedicated_resources"][field] = change["dedicated_resources"][field]
    for field in ("disable_container_logging", "enable_access_logging"):
        if field in change:
            deployed[field] = change[field]
    _check_machines(deployed)
    resources.touch(endpoint)
    call.transaction.put(KIND, name, endpoint)
    return call.finished(name, {"deployed_model": deployed})
