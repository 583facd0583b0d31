"""ModelService: the Model Registry, with versions and aliases.

Each version is a separate document under `models/ID@VERSION`. An alias belongs to one version of a
model at a time; `default` always belongs to one.
"""

import re
from typing import Any

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid, not_found, precondition
from doctune.localvertex.api.masks import apply_mask
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import resources
from doctune.localvertex.store import Transaction

KIND = "Model"
DEFAULT = "default"

_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]|[a-z]")
_MUTABLE = frozenset(
    {"display_name", "description", "labels", "version_description", "explanation_spec"}
)


def versions(transaction: Transaction, base: str) -> list[Document]:
    """Returns the versions of a model, oldest first; an empty list if there is no such model."""
    return list(reversed(transaction.list(KIND, parent=base)))


def find_version(transaction: Transaction, name: str) -> Document:
    """Returns the version for `models/ID`, `models/ID@3` or `models/ID@alias`.

    Raises:
        ApiError: NOT_FOUND.
    """
    base, _, wanted = name.partition("@")
    wanted = wanted or DEFAULT
    for version in transaction.list(KIND, parent=base):
        if wanted == version["version_id"] or wanted in version.get("version_aliases", ()):
            return version
    raise not_found(KIND, name)


def versioned_name(version: Document) -> str:
    """Returns models/ID@VERSION."""
    return f"{version['name']}@{version['version_id']}"


def save(transaction: Transaction, version: Document) -> None:
    """Writes one version."""
    transaction.put(KIND, versioned_name(version), version, parent=version["name"])


@handles("ModelService.UploadModel")
def upload_model(call: Call, request: Document) -> Document:
    """Creates a model, or the next version of `parent_model`."""
    version = add_version(call, request)
    answer = {"model": version["name"], "model_version_id": version["version_id"]}
    return call.finished(version["name"], answer)


def add_version(call: Call, request: Document) -> Document:
    """Records a model, or the next version of `parent_model`, from a request of UploadModel.

    Raises:
        ApiError: INVALID_ARGUMENT, NOT_FOUND or ALREADY_EXISTS.
    """
    location, given = request["parent"], request.get("model", {})
    base = _upload_name(call, location, request)
    earlier = versions(call.transaction, base)
    if request.get("parent_model") and not earlier:
        raise not_found(KIND, base)
    if earlier and not request.get("parent_model"):
        raise ApiError(Status.ALREADY_EXISTS, f"Model {base} already exists.")
    if not earlier:
        resources.check_display_name(given)
    resources.check_labels(given)
    if not given.get("container_spec", {}).get("image_uri"):
        raise invalid("model.container_spec.image_uri is required.")
    _check_routes(given["container_spec"])
    version = resources.stamp(given, call.type(KIND))
    number = 1 + max((int(v["version_id"]) for v in earlier), default=0)
    version |= {
        "name": base,
        "version_id": str(number),
        "display_name": given.get("display_name") or earlier[-1]["display_name"],
        "version_create_time": version["create_time"],
        "version_update_time": version["create_time"],
        # Without it the SDK silently ignores the machine settings of deploy().
        "supported_deployment_resources_types": ["DEDICATED_RESOURCES", "SHARED_RESOURCES"],
        "supported_input_storage_formats": ["jsonl"],
        "supported_output_storage_formats": ["jsonl"],
        "version_aliases": [],
    }
    if earlier:
        version["create_time"] = earlier[0]["create_time"]
    wanted = list(given.get("version_aliases", ()))
    if not earlier and DEFAULT not in wanted:
        wanted.append(DEFAULT)
    save(call.transaction, version)
    move_aliases(call.transaction, version, wanted)
    return version


def _check_routes(container: Document) -> None:
    prefix = container.get("invoke_route_prefix", "")
    if prefix and container.get("predict_route"):
        raise invalid(
            "Only one of container_spec.predict_route and invoke_route_prefix can be set."
        )
    if prefix not in ("", "/*"):
        raise invalid(f'container_spec.invoke_route_prefix must be "/*"; it is {prefix!r}.')


def _upload_name(call: Call, location: str, request: Document) -> str:
    parent = request.get("parent_model", "")
    if parent:
        base = parent.partition("@")[0]
        return base if "/" in base else f"{location}/models/{base}"
    chosen = request.get("model_id", "")
    return f"{location}/models/{resources.check_resource_id(chosen) if chosen else names.new_id()}"


def move_aliases(transaction: Transaction, version: Document, changes: list[str]) -> None:
    """Sets aliases of a version, removing them from other versions; `-alias` removes one.

    Raises:
        ApiError: INVALID_ARGUMENT for a bad alias; FAILED_PRECONDITION for removing `default`.
    """
    for change in changes:
        alias = change.removeprefix("-")
        if not _ALIAS.fullmatch(alias):
            raise invalid(
                f"Invalid version alias {alias!r}: it must match "
                "[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]."
            )
        if change == f"-{DEFAULT}":
            raise precondition(
                "The alias default cannot be removed, only moved to another version."
            )
        for other in versions(transaction, version["name"]):
            if alias in other.get("version_aliases", ()):
                other["version_aliases"].remove(alias)
                save(transaction, other)
        held = transaction.get(KIND, versioned_name(version)).get("version_aliases", [])
        version["version_aliases"] = held if change.startswith("-") else [*held, alias]
        save(transaction, version)


@handles("ModelService.MergeVersionAliases")
def merge_version_aliases(call: Call, request: Document) -> Document:
    """Adds and removes aliases of one version."""
    version = find_version(call.transaction, request["name"])
    changes = request.get("version_aliases", [])
    if not changes:
        raise invalid("version_aliases is empty.")
    move_aliases(call.transaction, version, changes)
    version["version_update_time"] = names.timestamp()
    save(call.transaction, version)
    return version


@handles("ModelService.GetModel")
def get_model(call: Call, request: Document) -> Document:
    """Returns a version; without @, the default one."""
    return _shown(call, find_version(call.transaction, request["name"]))


@handles("ModelService.ListModels")
def list_models(call: Call, request: Document) -> Document:
    """Lists the default version of each model."""
    default = [
        _shown(call, version)
        for version in call.transaction.list(KIND)
        if DEFAULT in version["version_aliases"]
        and names.location_name(version["name"]) == request["parent"]
    ]
    return resources.list_response(call, request, "models", KIND, default)


@handles("ModelService.ListModelVersions")
def list_model_versions(call: Call, request: Document) -> Document:
    """Lists the versions of a model, oldest first."""
    base = request["name"].partition("@")[0]
    found = versions(call.transaction, base)
    if not found:
        raise not_found(KIND, base)
    return resources.list_response(call, request, "models", KIND, found)


def _shown(call: Call, version: Document) -> Document:
    """Returns a version with its deployments."""
    deployed = [
        {"endpoint": endpoint["name"], "deployed_model_id": deployed["id"]}
        for endpoint in call.transaction.list("Endpoint")
        for deployed in endpoint.get("deployed_models", ())
        if deployed["model"].partition("@")[0] == version["name"]
        and deployed.get("model_version_id") == version["version_id"]
    ]
    return {**version, "deployed_models": deployed}


@handles("ModelService.UpdateModel")
def update_model(call: Call, request: Document) -> Document:
    """Changes one version; display name and description are the model's."""
    change: dict[str, Any] = request.get("model", {})
    name = call.vertex.projects.canonical(change.get("name", ""))
    current = find_version(call.transaction, name)
    resources.check_etag(current, change.get("etag"))
    updated = apply_mask(current, change, request.get("update_mask", []), call.type(KIND), _MUTABLE)
    resources.check_labels(updated)
    resources.check_display_name(updated)
    resources.touch(updated)
    updated["version_update_time"] = updated["update_time"]
    save(call.transaction, updated)
    for other in versions(call.transaction, updated["name"]):
        other["display_name"] = updated["display_name"]
        save(call.transaction, other)
    return updated


@handles("ModelService.DeleteModelVersion")
def delete_model_version(call: Call, request: Document) -> Document:
    """Deletes one version that is neither deployed nor the default."""
    if "@" not in request["name"]:
        raise invalid("The version to delete must be named: models/ID@VERSION.")
    version = find_version(call.transaction, request["name"])
    if DEFAULT in version["version_aliases"]:
        raise precondition(
            "The default version cannot be deleted: move the alias default, or delete the model."
        )
    _refuse_deployed(call, version)
    _delete_version(call.transaction, version)
    return call.finished(version["name"], {})


@handles("ModelService.DeleteModel")
def delete_model(call: Call, request: Document) -> Document:
    """Deletes a model with all its versions and evaluations; none may be deployed."""
    base = request["name"].partition("@")[0]
    found = versions(call.transaction, base)
    if not found:
        raise not_found(KIND, base)
    for version in found:
        _refuse_deployed(call, version)
    for version in found:
        _delete_version(call.transaction, version)
    return call.finished(names.location_name(base), {})


def _delete_version(transaction: Transaction, version: Document) -> None:
    for evaluation in transaction.list("ModelEvaluation", parent=versioned_name(version)):
        transaction.delete_below(evaluation["name"])
        transaction.delete("ModelEvaluation", evaluation["name"])
    transaction.delete(KIND, versioned_name(version))


def _refuse_deployed(call: Call, version: Document) -> None:
    for place in _shown(call, version)["deployed_models"]:
        raise precondition(
            f"Model {versioned_name(version)} is deployed to {place['endpoint']} as "
            f"{place['deployed_model_id']}: undeploy it first."
        )


@handles("ModelService.CopyModel")
def copy_model(call: Call, request: Document) -> Document:
    """Copies a version into a location as a new model, or as a version of an existing one."""
    source = find_version(
        call.transaction, call.vertex.projects.canonical(request.get("source_model", ""))
    )
    location = request["parent"]
    if parent := request.get("parent_model", ""):
        base = call.vertex.projects.canonical(parent).partition("@")[0]
        if not versions(call.transaction, base):
            raise not_found(KIND, base)
    else:
        base = f"{location}/models/{request.get('model_id') or names.new_id()}"
    earlier = versions(call.transaction, base)
    copied = resources.stamp(source, call.type(KIND))
    copied |= {
        "name": base,
        "version_id": str(1 + max((int(v["version_id"]) for v in earlier), default=0)),
        "version_aliases": [],
        "version_create_time": copied["create_time"],
        "version_update_time": copied["create_time"],
        "original_model_info": {"model": versioned_name(source)},
    }
    save(call.transaction, copied)
    if not earlier:
        move_aliases(call.transaction, copied, [DEFAULT])
    return call.finished(base, {"model": base, "model_version_id": copied["version_id"]})
