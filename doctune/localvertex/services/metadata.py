"""MetadataService: the lineage store of Experiments and pipelines.

The contexts of artifacts and executions are stored in their field `contexts_`, which is in no
message; events between executions and artifacts are separate resources.
"""

import re
from dataclasses import dataclass

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import invalid, not_found
from doctune.localvertex.api.masks import apply_mask
from doctune.localvertex.dispatch import HANDLERS, Call, handles
from doctune.localvertex.services import resources

STORE, SCHEMA, EVENT = "MetadataStore", "MetadataSchema", "Event"
CONTEXTS = "contexts_"

_PROJECT_IN_FILTER = re.compile(r"projects/[^/\"]+/locations/[^\"]+")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


@dataclass(frozen=True)
class _Noun:
    """One of the three kinds of nodes."""

    kind: str
    collection: str

    @property
    def field(self) -> str:
        return self.kind.lower()


_NOUNS = (
    _Noun("Artifact", "artifacts"),
    _Noun("Execution", "executions"),
    _Noun("Context", "contexts"),
)
_ARTIFACT, _EXECUTION, _CONTEXT = _NOUNS
_MUTABLE = frozenset(
    {"display_name", "description", "labels", "metadata", "state", "uri", "etag", "parent_contexts"}
)


def _register(noun: _Noun) -> None:
    """Registers create, get, list, update and delete of a kind of nodes."""

    def create(call: Call, request: Document) -> Document:
        store = request["parent"]
        _ensure_store(call, store)
        chosen = request.get(f"{noun.field}_id", "")
        if chosen and not _ID.fullmatch(chosen):
            raise invalid(f"Invalid {noun.field}_id {chosen!r}: it must match {_ID.pattern}.")
        name = f"{store}/{noun.collection}/{chosen or names.new_id()}"
        resources.check_new(call, noun.kind, name)
        given = request.get(noun.field, {})
        resources.check_labels(given)
        node = resources.stamp(given, call.type(noun.kind)) | {"name": name}
        call.transaction.put(noun.kind, name, node)
        return node

    def get(call: Call, request: Document) -> Document:
        return call.transaction.get(noun.kind, request["name"])

    def list_nodes(call: Call, request: Document) -> Document:
        found = call.transaction.list(noun.kind, parent=request["parent"])
        canonical = call.vertex.projects.canonical
        request["filter"] = _PROJECT_IN_FILTER.sub(
            lambda match: canonical(match[0]), request.get("filter", "")
        )
        return resources.list_response(call, request, noun.collection, noun.kind, found)

    def update(call: Call, request: Document) -> Document:
        return _update(call, noun, request)

    def delete(call: Call, request: Document) -> Document:
        _delete(call, noun, request["name"])
        return call.finished(names.location_name(request["name"]), {})

    for verb, handler in (
        (f"Create{noun.kind}", create),
        (f"Get{noun.kind}", get),
        (f"List{noun.kind}s", list_nodes),
        (f"Update{noun.kind}", update),
        (f"Delete{noun.kind}", delete),
    ):
        HANDLERS[f"MetadataService.{verb}"] = handler


def _update(call: Call, noun: _Noun, request: Document) -> Document:
    change = request.get(noun.field, {})
    name = call.vertex.projects.canonical(change.get("name", ""))
    current = call.transaction.find(noun.kind, name)
    if current is None:
        if not request.get("allow_missing"):
            raise not_found(noun.kind, name)
        current = resources.stamp(change, call.type(noun.kind)) | {"name": name}
    resources.check_etag(current, change.get("etag"))
    paths = request.get("update_mask", [])
    if not paths:
        # Without a mask the whole resource is replaced, except fields that only methods change.
        paths = sorted(_MUTABLE & set(call.type(noun.kind).fields_by_name) - {"parent_contexts"})
    updated = apply_mask(current, change, paths, call.type(noun.kind), _MUTABLE)
    resources.check_labels(updated)
    resources.touch(updated)
    call.transaction.put(noun.kind, name, updated)
    return updated


def _delete(call: Call, noun: _Noun, name: str) -> None:
    call.transaction.get(noun.kind, name)
    if noun is _CONTEXT:
        for kind, member in _members(call, name):
            member[CONTEXTS].remove(name)
            call.transaction.put(kind, member["name"], member)
    call.transaction.delete_below(name)
    call.transaction.delete(noun.kind, name)


for _noun in _NOUNS:
    _register(_noun)


@handles("MetadataService.CreateMetadataStore")
def create_metadata_store(call: Call, request: Document) -> Document:
    """Creates a metadata store."""
    name = f"{request['parent']}/metadataStores/{request.get('metadata_store_id') or 'default'}"
    resources.check_new(call, STORE, name)
    store = resources.stamp(request.get("metadata_store", {}), call.type(STORE)) | {"name": name}
    call.transaction.put(STORE, name, store)
    return call.finished(name, store)


@handles("MetadataService.GetMetadataStore")
def get_metadata_store(call: Call, request: Document) -> Document:
    """Returns a metadata store; every location has one named default."""
    _ensure_store(call, request["name"])
    return call.transaction.get(STORE, request["name"])


@handles("MetadataService.ListMetadataStores")
def list_metadata_stores(call: Call, request: Document) -> Document:
    """Lists the metadata stores of a location."""
    found = call.transaction.list(STORE, parent=request["parent"])
    return resources.list_response(call, request, "metadata_stores", STORE, found)


@handles("MetadataService.DeleteMetadataStore")
def delete_metadata_store(call: Call, request: Document) -> Document:
    """Deletes a metadata store with everything in it."""
    call.transaction.delete(STORE, request["name"])
    call.transaction.delete_below(request["name"])
    return call.finished(names.location_name(request["name"]), {})


def _ensure_store(call: Call, name: str) -> None:
    if call.transaction.find(STORE, name) is None and name.endswith("/default"):
        store = resources.stamp({}, call.type(STORE)) | {"name": name}
        call.transaction.put(STORE, name, store)
    call.transaction.get(STORE, name)


@handles("MetadataService.CreateMetadataSchema")
def create_metadata_schema(call: Call, request: Document) -> Document:
    """Creates a schema."""
    _ensure_store(call, request["parent"])
    chosen = request.get("metadata_schema_id") or names.new_id()
    schema = resources.stamp(request.get("metadata_schema", {}), call.type(SCHEMA))
    schema["name"] = f"{request['parent']}/metadataSchemas/{chosen}"
    call.transaction.put(SCHEMA, schema["name"], schema)
    return schema


@handles("MetadataService.GetMetadataSchema")
def get_metadata_schema(call: Call, request: Document) -> Document:
    """Returns a schema."""
    return call.transaction.get(SCHEMA, request["name"])


@handles("MetadataService.ListMetadataSchemas")
def list_metadata_schemas(call: Call, request: Document) -> Document:
    """Lists the schemas of a store."""
    found = call.transaction.list(SCHEMA, parent=request["parent"])
    return resources.list_response(call, request, "metadata_schemas", SCHEMA, found)


@handles("MetadataService.AddContextArtifactsAndExecutions")
def add_context_artifacts_and_executions(call: Call, request: Document) -> Document:
    """Puts artifacts and executions into a context."""
    context = call.transaction.get(_CONTEXT.kind, request["context"])["name"]
    for noun in (_ARTIFACT, _EXECUTION):
        for given in request.get(noun.collection, []):
            name = call.vertex.projects.canonical(given)
            node = call.transaction.get(noun.kind, name)
            if context not in node.setdefault(CONTEXTS, []):
                node[CONTEXTS].append(context)
                call.transaction.put(noun.kind, name, node)
    return {}


@handles("MetadataService.AddContextChildren")
def add_context_children(call: Call, request: Document) -> Document:
    """Makes contexts children of another."""
    parent = call.transaction.get(_CONTEXT.kind, request["context"])["name"]
    for given in request.get("child_contexts", []):
        child = call.transaction.get(_CONTEXT.kind, call.vertex.projects.canonical(given))
        if parent not in child.setdefault("parent_contexts", []):
            child["parent_contexts"].append(parent)
            call.transaction.put(_CONTEXT.kind, child["name"], child)
    return {}


@handles("MetadataService.RemoveContextChildren")
def remove_context_children(call: Call, request: Document) -> Document:
    """Undoes AddContextChildren."""
    for given in request.get("child_contexts", []):
        child = call.transaction.get(_CONTEXT.kind, call.vertex.projects.canonical(given))
        child["parent_contexts"] = [
            name for name in child.get("parent_contexts", []) if name != request["context"]
        ]
        call.transaction.put(_CONTEXT.kind, child["name"], child)
    return {}


@handles("MetadataService.AddExecutionEvents")
def add_execution_events(call: Call, request: Document) -> Document:
    """Notes which artifacts an execution read or wrote."""
    execution = call.transaction.get(_EXECUTION.kind, request["execution"])["name"]
    for given in request.get("events", []):
        artifact = call.transaction.get(
            _ARTIFACT.kind, call.vertex.projects.canonical(given.get("artifact", ""))
        )["name"]
        event = {
            **given,
            "artifact": artifact,
            "execution": execution,
            "event_time": names.timestamp(),
        }
        name = f"{execution}/events/{names.identifier(artifact)}.{given.get('type', '')}"
        call.transaction.put(EVENT, name, event, parent=execution)
    return {}


@handles("MetadataService.QueryExecutionInputsAndOutputs")
def query_execution_inputs_and_outputs(call: Call, request: Document) -> Document:
    """Returns an execution with the artifacts that it read and wrote."""
    execution = call.transaction.get(_EXECUTION.kind, request["execution"])
    return _subgraph(call, [execution], [])


@handles("MetadataService.QueryContextLineageSubgraph")
def query_context_lineage_subgraph(call: Call, request: Document) -> Document:
    """Returns what is in a context and in its children, with the events between."""
    contexts = {call.transaction.get(_CONTEXT.kind, request["context"])["name"]}
    for context in reversed(call.transaction.list(_CONTEXT.kind)):
        if contexts & set(context.get("parent_contexts", ())):
            contexts.add(context["name"])
    members = [member for name in contexts for member in _members(call, name)]
    return _subgraph(
        call,
        [node for kind, node in members if kind == _EXECUTION.kind],
        [node for kind, node in members if kind == _ARTIFACT.kind],
    )


@handles("MetadataService.QueryArtifactLineageSubgraph")
def query_artifact_lineage_subgraph(call: Call, request: Document) -> Document:
    """Returns an artifact with the executions that read or wrote it, and their artifacts."""
    artifact = call.transaction.get(_ARTIFACT.kind, request["artifact"])
    touched = {
        event["execution"]
        for event in call.transaction.list(EVENT)
        if event["artifact"] == artifact["name"]
    }
    executions = [call.transaction.get(_EXECUTION.kind, name) for name in sorted(touched)]
    return _subgraph(call, executions, [artifact])


def _members(call: Call, context: str) -> list[tuple[str, Document]]:
    return [
        (noun.kind, node)
        for noun in (_ARTIFACT, _EXECUTION)
        for node in call.transaction.list(noun.kind)
        if context in node.get(CONTEXTS, ())
    ]


def _subgraph(call: Call, executions: list[Document], artifacts: list[Document]) -> Document:
    events = [
        event
        for execution in executions
        for event in call.transaction.list(EVENT, parent=execution["name"])
    ]
    found = {artifact["name"]: artifact for artifact in artifacts}
    for event in events:
        if event["artifact"] not in found:
            found[event["artifact"]] = call.transaction.get(_ARTIFACT.kind, event["artifact"])
    return {"artifacts": list(found.values()), "executions": executions, "events": events}
