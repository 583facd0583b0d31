"""Converts the payload of Google's job launchers to the spelling that their client accepts.

Google's samples write `worker_pool_specs` in the API's JSON spelling: `containerSpec`, `imageUri`.
Vertex AI runs them, but the launcher of the published package passes the keys to a client that
knows only `container_spec`. Both spellings are valid JSON of the same protobuf message.
"""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

_JOB_TYPES = frozenset({"CustomJob", "HyperparameterTuningJob"})
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
# The keys inside these fields are chosen by the user.
_FREE = frozenset({"labels", "metadata"})


def spelled_for_launchers(arguments: Sequence[str]) -> list[str]:
    """Returns a launcher's arguments with the keys of the payload in snake case."""
    given = list(arguments)
    options = dict(pairwise(given))
    if options.get("--type") not in _JOB_TYPES or "--payload" not in options:
        return given
    at = given.index("--payload") + 1
    try:
        payload = json.loads(given[at])
    except ValueError:
        return given  # the launcher says what is wrong with it
    given[at] = json.dumps(_snake(payload))
    return given


def _snake(value: Any) -> Any:
    if isinstance(value, list):
        return [_snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _CAPITAL.sub(lambda match: f"_{match[1].lower()}", key): (
            item if key in _FREE else _snake(item)
        )
        for key, item in value.items()
    }
