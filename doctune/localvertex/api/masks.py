"""Update masks on documents."""

import copy
from collections.abc import Iterable

from google.protobuf import descriptor

from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import invalid


def apply_mask(
    current: Document,
    change: Document,
    paths: Iterable[str],
    message: descriptor.Descriptor,
    mutable: frozenset[str],
) -> Document:
    """Returns `current` with the fields that the mask names taken from `change`.

    A field that the change does not have is cleared. `*`, or no path at all, means every mutable
    field that the change sets.

    Raises:
        ApiError: INVALID_ARGUMENT for a field that the type does not have or that cannot change.
    """
    chosen = list(paths)
    if not chosen or chosen == ["*"]:
        chosen = [field for field in change if field in mutable]
    updated = copy.deepcopy(current)
    for path in chosen:
        root, *_ = parts = path.split(".")
        if root not in message.fields_by_name:
            raise invalid(f"Invalid update mask: {message.name} has no field {root!r}.")
        if root not in mutable:
            raise invalid(f"Invalid update mask: {root!r} of {message.name} cannot be updated.")
        _set(updated, change, parts)
    return updated


def _set(target: Document, source: Document, parts: list[str]) -> None:
    *above, last = parts
    for part in above:
        target = target.setdefault(part, {})
        source = source.get(part, {})
    if last in source:
        target[last] = copy.deepcopy(source[last])
    else:
        target.pop(last, None)
