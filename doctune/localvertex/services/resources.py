"""Common functions of resources: names, times, labels, lists, updates."""

import copy
import re
import secrets
from collections.abc import Callable

from google.protobuf import descriptor

from doctune.localvertex import names
from doctune.localvertex.api import filters
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid, precondition
from doctune.localvertex.api.masks import apply_mask
from doctune.localvertex.dispatch import Call
from doctune.localvertex.tracker import JobKind

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
# Labels that Vertex AI itself sets.
SYSTEM_LABELS = "aiplatform.googleapis.com/"
_RESOURCE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,126}")


def etag() -> str:
    """Returns a fresh etag."""
    return secrets.token_urlsafe(12)


def stamp(document: Document, message: descriptor.Descriptor) -> Document:
    """Returns a new resource with its output-only fields set."""
    moment = names.timestamp()
    stamped = copy.deepcopy(document)
    for field in ("create_time", "update_time"):
        if field in message.fields_by_name:
            stamped[field] = moment
    if "etag" in message.fields_by_name:
        stamped["etag"] = etag()
    return stamped


def touch(document: Document) -> None:
    """Updates the etag and update time of a changed resource."""
    document["update_time"] = names.timestamp()
    if "etag" in document:
        document["etag"] = etag()


def check_etag(current: Document, given: str | None) -> None:
    """Raises if a change is based on an outdated state.

    Raises:
        ApiError: ABORTED.
    """
    if given and given != current.get("etag"):
        raise ApiError(
            Status.ABORTED, "The etag does not match: the resource has changed meanwhile."
        )


def check_labels(document: Document) -> None:
    """Raises if labels are invalid.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    labels = document.get("labels", {})
    if len(labels) > 64:
        raise invalid(f"At most 64 labels are allowed; {len(labels)} were given.")
    for key, value in labels.items():
        if key.startswith(SYSTEM_LABELS):
            continue
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise invalid(
                f"Invalid label {key!r}: {value!r}. Keys and values hold lower-case letters, "
                "digits, _ and -, at most 63 characters; keys start with a letter."
            )


def check_display_name(document: Document) -> None:
    """Raises if the display name is missing or too long.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    length = len(document.get("display_name", ""))
    if not 1 <= length <= 128:
        raise invalid(f"display_name must have 1 to 128 characters; it has {length}.")


def check_resource_id(value: str) -> str:
    """Returns a resource identifier that the caller chose.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    if not _RESOURCE_ID.fullmatch(value):
        raise invalid(f"Invalid resource id {value!r}: it must match [a-z0-9][a-z0-9-]{{0,126}}.")
    return value


def check_new(call: Call, kind: str, name: str) -> None:
    """Checks that no resource has a name yet.

    Raises:
        ApiError: ALREADY_EXISTS.
    """
    if call.transaction.find(kind, name):
        raise ApiError(Status.ALREADY_EXISTS, f"{kind} {name} already exists.")


def list_response(
    call: Call,
    request: Document,
    field: str,
    message: str,
    found: list[Document],
    *,
    shape: Callable[[Document], Document] | None = None,
) -> Document:
    """Returns the answer of a List method: filtered, ordered, one page.

    Args:
        field: The field of the response that holds the resources.
        message: The type of the resources, such as "Model".
        shape: What to make of each resource that is shown.
    """
    accept = filters.parse_filter(request.get("filter", ""), call.type(message))
    accepted = [document for document in found if accept(document)]
    ordered = filters.order(accepted, request.get("order_by", ""))
    shown, token = filters.page(
        ordered, int(request.get("page_size", 0)), request.get("page_token", "")
    )
    return {field: [shape(document) if shape else document for document in shown]} | (
        {"next_page_token": token} if token else {}
    )


def delete_job(call: Call, kind: JobKind, name: str) -> Document:
    """Deletes a finished job.

    Raises:
        ApiError: NOT_FOUND; FAILED_PRECONDITION while it runs.
    """
    job = call.transaction.get(kind.kind, name)
    if not kind.is_over(job):
        raise precondition(f"{kind.kind} {name} is {job['state']}: cancel it first.")
    call.transaction.delete(kind.kind, name)
    return call.finished(names.location_name(name), {})


def update(
    call: Call,
    kind: str,
    change: Document,
    paths: list[str],
    mutable: frozenset[str],
) -> Document:
    """Applies an Update method's mask to a stored resource and returns the result.

    Raises:
        ApiError: NOT_FOUND, INVALID_ARGUMENT, or ABORTED for a stale etag.
    """
    name = call.vertex.projects.canonical(change.get("name", ""))
    current = call.transaction.get(kind, name)
    check_etag(current, change.get("etag"))
    updated = apply_mask(current, change, paths, call.type(kind), mutable)
    check_labels(updated)
    if "display_name" in mutable and "display_name" in current:
        check_display_name(updated)
    touch(updated)
    call.transaction.put(kind, name, updated)
    return updated
