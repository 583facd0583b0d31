"""IndexEndpointService and MatchService: indexes that are deployed and asked for neighbours.

An index is searched as it stands: an update is seen at once by all that is deployed of it.
"""

import asyncio
import re
from typing import Any

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid, not_found, precondition
from doctune.localvertex.certificates import search_host
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import indexes, resources
from doctune.localvertex.vertex import Vertex

KIND = "IndexEndpoint"
_MUTABLE = frozenset({"display_name", "description", "labels"})
_DEPLOYED_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,127}")
_RESOURCES = ("automatic_resources", "dedicated_resources")


@handles("IndexEndpointService.CreateIndexEndpoint")
def create_index_endpoint(call: Call, request: Document) -> Document:
    """Creates an index endpoint; a public one has a host of its own."""
    given = request.get("index_endpoint", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    name = f"{request['parent']}/indexEndpoints/{names.new_id()}"
    endpoint = resources.stamp(given, call.type(KIND)) | {"name": name}
    if given.get("public_endpoint_enabled"):
        host = search_host(names.identifier(name), names.location(name))
        endpoint["public_endpoint_domain_name"] = host
    call.transaction.put(KIND, name, endpoint)
    return call.finished(name, endpoint)


@handles("IndexEndpointService.GetIndexEndpoint")
def get_index_endpoint(call: Call, request: Document) -> Document:
    """Returns an index endpoint."""
    return call.transaction.get(KIND, request["name"])


@handles("IndexEndpointService.ListIndexEndpoints")
def list_index_endpoints(call: Call, request: Document) -> Document:
    """Lists the index endpoints of a location."""
    found = call.transaction.list(KIND, parent=request["parent"])
    return resources.list_response(call, request, "index_endpoints", KIND, found)


@handles("IndexEndpointService.UpdateIndexEndpoint")
def update_index_endpoint(call: Call, request: Document) -> Document:
    """Changes names and labels."""
    paths = request.get("update_mask", [])
    return resources.update(call, KIND, request["index_endpoint"], paths, _MUTABLE)


@handles("IndexEndpointService.DeleteIndexEndpoint")
def delete_index_endpoint(call: Call, request: Document) -> Document:
    """Deletes an index endpoint to which nothing is deployed.

    Raises:
        ApiError: FAILED_PRECONDITION while something is.
    """
    endpoint = call.transaction.get(KIND, request["name"])
    if deployed := endpoint.get("deployed_indexes"):
        raise precondition(f"{endpoint['name']} has deployed indexes: {deployed[0]['id']}.")
    call.transaction.delete(KIND, endpoint["name"])
    return call.finished(names.location_name(endpoint["name"]), {})


@handles("IndexEndpointService.DeployIndex")
def deploy_index(call: Call, request: Document) -> Document:
    """Deploys an index to a public endpoint."""
    endpoint = call.transaction.get(KIND, request["index_endpoint"])
    given = request.get("deployed_index", {})
    if not _DEPLOYED_ID.fullmatch(given.get("id", "")):
        raise invalid(
            f"deployed_index.id {given.get('id', '')!r} must start with a letter and hold letters, "
            "digits and _ only."
        )
    if any(item["id"] == given["id"] for item in endpoint.get("deployed_indexes", ())):
        raise ApiError(Status.ALREADY_EXISTS, f"{given['id']} is deployed already.")
    if not endpoint.get("public_endpoint_enabled"):
        raise ApiError(
            Status.UNIMPLEMENTED,
            "localvertex has no private networks: create the index endpoint with "
            "public_endpoint_enabled.",
        )
    index = call.transaction.get(indexes.KIND, call.vertex.projects.canonical(given["index"]))
    moment = names.timestamp()
    deployed = {
        "display_name": given["id"],
        "automatic_resources": {"min_replica_count": 2, "max_replica_count": 2},
        **given,
        "index": index["name"],
        "create_time": moment,
        "index_sync_time": moment,
    }
    if "dedicated_resources" in given:
        del deployed["automatic_resources"]
    endpoint["deployed_indexes"] = [*endpoint.get("deployed_indexes", ()), deployed]
    _save(call, endpoint)
    return call.finished(endpoint["name"], {"deployed_index": deployed})


@handles("IndexEndpointService.UndeployIndex")
def undeploy_index(call: Call, request: Document) -> Document:
    """Ends the deployment of an index."""
    endpoint = call.transaction.get(KIND, request["index_endpoint"])
    gone = _deployed(endpoint, request.get("deployed_index_id", ""))
    endpoint["deployed_indexes"].remove(gone)
    _save(call, endpoint)
    return call.finished(endpoint["name"], {})


@handles("IndexEndpointService.MutateDeployedIndex")
def mutate_deployed_index(call: Call, request: Document) -> Document:
    """Changes the replicas of a deployed index."""
    endpoint = call.transaction.get(KIND, request["index_endpoint"])
    change = request.get("deployed_index", {})
    deployed = _deployed(endpoint, change.get("id", ""))
    for kind in _RESOURCES:
        if kind in change:
            deployed[kind] = deployed.get(kind, {}) | change[kind]
    _save(call, endpoint)
    return call.finished(endpoint["name"], {"deployed_index": deployed})


@handles("MatchService.FindNeighbors")
async def find_neighbors(call: Call, request: Document) -> Document:
    """Returns the neighbours of each query."""
    searched = _searched(call.vertex, request)
    whole = request.get("return_full_datapoint", False)
    answers = []
    for query in request.get("queries", ()):
        found = await asyncio.to_thread(searched.nearest, query)
        answers.append(
            {
                "id": query.get("datapoint", {}).get("datapoint_id", ""),
                "neighbors": [_neighbor(item, whole=whole) for item in found],
            }
        )
    return {"nearest_neighbors": answers}


@handles("MatchService.ReadIndexDatapoints")
async def read_index_datapoints(call: Call, request: Document) -> Document:
    """Returns datapoints by their identifiers.

    Raises:
        ApiError: NOT_FOUND: one of them is not in the index.
    """
    searched = _searched(call.vertex, request)
    wanted = request.get("ids", [])
    if missing := [identifier for identifier in wanted if identifier not in searched.points]:
        raise not_found("Datapoint", missing[0])
    return {"datapoints": [searched.points[identifier] for identifier in wanted]}


def _searched(vertex: Vertex, request: Document) -> Any:
    with vertex.store.transaction() as transaction:
        endpoint = transaction.get(KIND, request["index_endpoint"])
    deployed = _deployed(endpoint, request.get("deployed_index_id", ""))
    return indexes.vectors_of(vertex, deployed["index"])


def _neighbor(found: Document, *, whole: bool) -> Document:
    point = found["datapoint"]
    kept = point if whole else {"datapoint_id": point["datapoint_id"]}
    if not whole and "crowding_tag" in point:
        kept["crowding_tag"] = point["crowding_tag"]
    return {"datapoint": kept, "distance": found["distance"]}


def _deployed(endpoint: Document, identifier: str) -> Document:
    for item in endpoint.get("deployed_indexes", ()):
        if item["id"] == identifier:
            return item
    raise not_found("DeployedIndex", identifier)


def _save(call: Call, endpoint: Document) -> None:
    resources.touch(endpoint)
    call.transaction.put(KIND, endpoint["name"], endpoint)
