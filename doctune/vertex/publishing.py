"""Publishes compiled pipelines to Artifact Registry: immutable versions, movable tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from doctune.errors import PipelineError, UsageError
from doctune.vertex.errors import google_errors
from doctune.vertex.session import current_session
from doctune.vertex.specs import read_signature

_REPOSITORY = re.compile(r"https://[a-z0-9-]+-kfp\.pkg\.dev/[^/\s]+/[^/\s]+")
_TAG = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


@dataclass(frozen=True)
class PublishedTemplate:
    """One version of a pipeline in Artifact Registry."""

    package: str  # the pipeline's name
    version: str  # sha256:...
    tags: tuple[str, ...]
    url: str  # for `submit`; names this version, even when its tags move


def publish(
    spec: Path, repository: str, *, tags: Sequence[str] = (), description: str = ""
) -> PublishedTemplate:
    """Uploads a compiled pipeline; tags of other versions move to this one.

    Args:
        repository: https://LOCATION-kfp.pkg.dev/PROJECT/REPOSITORY.
        tags: Lower-case letters, digits and `-`: a commit, `staging`, `prod`.

    Raises:
        UsageError: The spec, the repository or a tag is not valid; nothing has been sent.
        PipelineError: Artifact Registry refuses.
    """
    from kfp.registry import RegistryClient

    repository = repository.rstrip("/")
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(
            f"{repository} is not a repository of pipelines: write "
            "https://LOCATION-kfp.pkg.dev/PROJECT/REPOSITORY."
        )
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise UsageError(f"{tag!r} cannot be a tag: use lower-case letters, digits and `-`.")
    read_signature(spec)
    with google_errors(f"publish {spec} to {repository}", PipelineError):
        client = RegistryClient(host=repository, auth=current_session().credentials)
        package, version = client.upload_pipeline(
            str(spec),
            tags=list(tags),
            extra_headers={"description": description} if description else None,
        )
    return PublishedTemplate(package, version, tuple(tags), f"{repository}/{package}/{version}")
