"""IndexService: the indexes of Vector Search and their datapoints."""

import asyncio
from collections.abc import Sequence

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import invalid, not_found, precondition
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import resources
from doctune.localvertex.store import Transaction
from doctune.localvertex.vectors import (
    DISTANCES,
    Vectors,
    batches,
    check_datapoint,
    read_datapoints,
)
from doctune.localvertex.vertex import Vertex

KIND, POINT = "Index", "IndexDatapoint"
_FILES = (".json", ".csv", ".avro")
_MUTABLE = frozenset({"display_name", "description", "labels"})
_BATCH = 500  # datapoints written in one transaction: others wait meanwhile
_STREAM = "STREAM_UPDATE"


@handles("IndexService.CreateIndex")
def create_index(call: Call, request: Document) -> Document:
    """Creates an index of the files under its `contentsDeltaUri`."""
    given = request.get("index", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    about = given.get("metadata") or {}
    # The SDK sends null for what its caller left out.
    config = {key: value for key, value in about.get("config", {}).items() if value is not None}
    if int(config.get("dimensions", 0)) < 1:
        raise invalid("index.metadata.config.dimensions must be at least 1.")
    distance = config.get("distanceMeasureType", DISTANCES[0])
    if distance not in DISTANCES:
        raise invalid(f"distanceMeasureType {distance!r} is none of {', '.join(DISTANCES)}.")
    name = f"{request['parent']}/indexes/{names.new_id()}"
    index = resources.stamp(given, call.type(KIND)) | {"name": name, "metadata": {"config": config}}
    index.setdefault("index_update_method", "BATCH_UPDATE")
    vertex, folder = call.vertex, about.get("contentsDeltaUri") or ""

    async def work() -> Document:
        changes = await _read(vertex, folder, int(config["dimensions"])) if folder else ([], [])
        with vertex.store.transaction() as transaction:
            transaction.put(KIND, name, index)
        await _write(vertex, name, *changes)
        return _shown(vertex, name)

    return call.start(name, work)


@handles("IndexService.GetIndex")
def get_index(call: Call, request: Document) -> Document:
    """Returns an index, with the number of its datapoints."""
    return with_stats(call.transaction, call.transaction.get(KIND, request["name"]))


@handles("IndexService.ListIndexes")
def list_indexes(call: Call, request: Document) -> Document:
    """Lists the indexes of a location."""
    found = [
        with_stats(call.transaction, index)
        for index in call.transaction.list(KIND, parent=request["parent"])
    ]
    return resources.list_response(call, request, "indexes", KIND, found)


@handles("IndexService.UpdateIndex")
def update_index(call: Call, request: Document) -> Document:
    """Changes names and labels, or the datapoints by the files of a folder."""
    change, paths = request["index"], request.get("update_mask", [])
    name = call.vertex.projects.canonical(change.get("name", ""))
    about = change.get("metadata") or {}
    folder, config = about.get("contentsDeltaUri") or "", call.transaction.get(KIND, name)
    if "metadata" not in paths and not folder:
        updated = resources.update(call, KIND, change, paths, _MUTABLE)
        return call.finished(name, with_stats(call.transaction, updated))
    vertex = call.vertex
    dimensions = int(config["metadata"]["config"]["dimensions"])

    async def work() -> Document:
        added, removed = await _read(vertex, folder, dimensions)
        if about.get("isCompleteOverwrite"):
            with vertex.store.transaction() as transaction:
                transaction.delete_below(f"{name}/datapoints")
        await _write(vertex, name, added, removed)
        return _shown(vertex, name)

    return call.start(name, work)


@handles("IndexService.DeleteIndex")
def delete_index(call: Call, request: Document) -> Document:
    """Deletes an index that is not deployed.

    Raises:
        ApiError: FAILED_PRECONDITION while it is.
    """
    name = request["name"]
    index = with_stats(call.transaction, call.transaction.get(KIND, name))
    if users := index["deployed_indexes"]:
        raise precondition(f"{name} is still deployed to {users[0]['index_endpoint']}.")
    call.transaction.delete(KIND, name)
    call.transaction.delete_below(f"{name}/datapoints")
    call.vertex.vectors.pop(name, None)
    return call.finished(names.location_name(name), {})


@handles("IndexService.UpsertDatapoints")
def upsert_datapoints(call: Call, request: Document) -> Document:
    """Adds or replaces datapoints of a streaming index."""
    index = _streaming(call.transaction, request["index"])
    dimensions = int(index["metadata"]["config"]["dimensions"])
    for point in request.get("datapoints", ()):
        if mask := request.get("update_mask"):
            stored = call.transaction.get(POINT, _point_name(index["name"], point))
            point = stored | {path: point.get(path, []) for path in mask}
        check_datapoint(point, dimensions)
        _put(call.transaction, index["name"], point)
    call.vertex.vectors.pop(index["name"], None)
    return {}


@handles("IndexService.RemoveDatapoints")
def remove_datapoints(call: Call, request: Document) -> Document:
    """Removes datapoints of a streaming index; those that are not there are passed over."""
    index = _streaming(call.transaction, request["index"])
    _remove(call.transaction, index["name"], request.get("datapoint_ids", ()))
    call.vertex.vectors.pop(index["name"], None)
    return {}


def vectors_of(vertex: Vertex, name: str) -> Vectors:
    """Returns the datapoints of an index, from memory where they have not changed."""
    if name not in vertex.vectors:
        with vertex.store.transaction() as transaction:
            config = transaction.get(KIND, name)["metadata"]["config"]
            points = transaction.list(POINT, parent=name)
        vertex.vectors[name] = Vectors(points, config)
    return vertex.vectors[name]


def with_stats(transaction: Transaction, index: Document) -> Document:
    """Returns an index with what is deployed of it and how many datapoints it has."""
    deployed = [
        {"index_endpoint": endpoint["name"], "deployed_index_id": item["id"]}
        for endpoint in transaction.list("IndexEndpoint")
        for item in endpoint.get("deployed_indexes", ())
        if item["index"] == index["name"]
    ]
    count = transaction.count(POINT, parent=index["name"])
    return index | {
        "deployed_indexes": deployed,
        "index_stats": {"vectors_count": str(count), "shards_count": 1},
    }


def _streaming(transaction: Transaction, name: str) -> Document:
    index = transaction.get(KIND, name)
    if index["index_update_method"] != _STREAM:
        raise precondition(f"{name} is updated in batches: create it with {_STREAM}.")
    return index


async def _read(vertex: Vertex, folder: str, dimensions: int) -> tuple[list[Document], list[str]]:
    """Returns the datapoints under a folder, and the identifiers that it deletes.

    Raises:
        ApiError: NOT_FOUND, or INVALID_ARGUMENT naming the file and the line.
    """
    root = f"{folder.rstrip('/')}/"
    added: list[Document] = []
    removed: list[str] = []
    found = [uri async for uri in vertex.objects.list(root)]
    data = [u for u in found if "/" not in u.removeprefix(root) and u.endswith(_FILES)]
    deleting = [u for u in found if u.removeprefix(root).startswith("delete/")]
    if not data and not deleting:
        raise not_found("Data files (.json or .csv) under", root)
    for uri in data:
        added += await asyncio.to_thread(read_datapoints, uri, await vertex.objects.read(uri))
    for uri in deleting:
        removed += (await vertex.objects.read(uri)).decode().split()
    for point in added:
        check_datapoint(point, dimensions)
    return added, removed


async def _write(
    vertex: Vertex, name: str, added: Sequence[Document], removed: Sequence[str]
) -> None:
    for batch in batches(added, _BATCH):
        with vertex.store.transaction() as transaction:
            for point in batch:
                _put(transaction, name, point)
        await asyncio.sleep(0)
    with vertex.store.transaction() as transaction:
        _remove(transaction, name, removed)
        index = transaction.get(KIND, name)
        resources.touch(index)
        transaction.put(KIND, name, index)
    vertex.vectors.pop(name, None)


def _shown(vertex: Vertex, name: str) -> Document:
    with vertex.store.transaction() as transaction:
        return with_stats(transaction, transaction.get(KIND, name))


def _point_name(index: str, point: Document) -> str:
    return f"{index}/datapoints/{point.get('datapoint_id', '')}"


def _put(transaction: Transaction, index: str, point: Document) -> None:
    transaction.put(POINT, _point_name(index, point), point, parent=index)


def _remove(transaction: Transaction, index: str, identifiers: Sequence[str]) -> None:
    for identifier in identifiers:
        name = _point_name(index, {"datapoint_id": identifier})
        if transaction.find(POINT, name) is not None:
            transaction.delete(POINT, name)
