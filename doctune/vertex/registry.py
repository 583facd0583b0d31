"""Registers model versions in the Model Registry, idempotently, with lineage and evaluation.

One registered model holds all versions of a name. The labels of a version say what it was made
from, its aliases what state it is in: `candidate` (registered, not yet released), `champion` and
`default` (released), `previous` (released before, for rollback). Two versions are the same when the
model's digest and the serving container are equal: registering it again returns the earlier
one. Image, arguments and environment count because they are fixed at registration: a fixed server,
or other flags, make a new version.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctune import limits
from doctune.errors import RegistryError
from doctune.vertex.containers import ServingContainer
from doctune.vertex.errors import google_errors
from doctune.vertex.evaluations import import_evaluation
from doctune.vertex.labels import MANAGED_BY, clean_labels, filter_by_name, label_value
from doctune.vertex.packaging import folder_name, upload_model
from doctune.vertex.retention import Retained, retention_bucket
from doctune.vertex.session import model_client, resource_url
from doctune.vertex.storage import download_folder

if TYPE_CHECKING:
    from google.cloud import aiplatform
    from google.cloud.aiplatform_v1.types import Model as ModelMessage

CANDIDATE, CHAMPION, PREVIOUS, DEFAULT = "candidate", "champion", "previous", "default"

logger = logging.getLogger("doctune.vertex")


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the Model Registry."""

    resource_name: str  # projects/P/locations/L/models/M
    version_id: str
    version_name: str  # resource_name@version_id
    uri: str  # the gs:// folder with the model
    artifact_uri: str  # the https URI that google.VertexModel artifacts carry
    created: bool  # False where it had been registered before


@dataclass(frozen=True)
class Champion:
    """The released version of a model."""

    uri: str
    version_id: str
    version_name: str
    digest: str  # of the model's files, as the label holds it: cut to 63 characters


def register_model(
    model: str | Path,
    *,
    model_name: str,
    serving_image: str | ServingContainer,
    model_bucket: str = "",
    digest: str = "",
    labels: Mapping[str, object] | None = None,
    scores: Mapping[str, Any] | None = None,
    scores_path: Path | None = None,
) -> RegisteredModel:
    """Registers a model folder as a new version with the alias `candidate`.

    Args:
        model: A folder, local or gs://. It is checked and copied to the bucket of models, under
            the digest of its files; the copy is registered.
        model_name: Display name in the Model Registry; the model is created with its first version.
        serving_image: URI of the image that serves it, or the image with how it is started.
        model_bucket: gs://NAME of that bucket; derived from the session where empty.
        digest: Identifies the model; the digest of its files where empty.
        labels: Its lineage: data, run, commit.
        scores: The evaluation, imported onto the version (`import_evaluation`).
        scores_path: The evaluation's `scores.json`, for its slices.

    Raises:
        ModelError: The folder does not hold a model.
        StorageError: It cannot be uploaded or read.
        RegistryError: Vertex AI refuses.
    """
    container = serving_image
    if isinstance(container, str):
        container = ServingContainer(container)
    bucket = retention_bucket(Retained.MODELS, model_bucket)
    with _on_disk(str(model)) as folder:
        uri, manifest = upload_model(folder, model_name=model_name, bucket=bucket)
    lineage = {**(labels or {}), **MANAGED_BY, "digest": digest or manifest.digest}
    with google_errors(f"register {model_name} in the Model Registry", RegistryError):
        version, created = _find_or_upload(model_name, uri, container, clean_labels(lineage))
        if scores:
            import_evaluation(version_name(version), scores, scores_path)
    return RegisteredModel(
        resource_name=version.name,
        version_id=version.version_id,
        version_name=version_name(version),
        uri=version.artifact_uri,
        artifact_uri=resource_url(version_name(version)),
        created=created,
    )


def _find_or_upload(
    model_name: str, uri: str, container: ServingContainer, labels: dict[str, str]
) -> tuple[ModelMessage, bool]:
    """Returns the version of a model's digest and container, and whether it was created now."""
    parent = find_model(model_name)
    version = _find_version(parent, labels["digest"], container) if parent else None
    if version is None:
        uploaded = _upload_version(
            parent, uri, model_name=model_name, container=container, labels=labels
        )
        return uploaded, True
    if not {CANDIDATE, CHAMPION} & set(version.version_aliases):
        set_aliases(version_name(version), add=[CANDIDATE])
    return version, False


def find_champion(model_name: str, exclude_digest: str = "") -> Champion | None:
    """Returns the released version of a model, or None where there is none to compare with.

    Args:
        exclude_digest: Digest of the candidate: a champion with this digest is the candidate
            itself, and None is returned.
    """
    with google_errors(f"find the champion of {model_name}", RegistryError):
        parent = find_model(model_name)
        champion = champion_of(parent) if parent else None
    if champion and exclude_digest and champion.digest == label_value(exclude_digest):
        return None
    return champion


def champion_of(parent: str) -> Champion | None:
    """Returns the released version of a model, by resource name; None where there is none."""
    from google.api_core.exceptions import NotFound

    try:
        version = get_version(f"{parent}@{CHAMPION}")
    except NotFound:
        return None
    digest = version.labels.get("digest", "")
    return Champion(version.artifact_uri, version.version_id, version_name(version), digest)


def champion_uri(model_name: str, exclude_digest: str = "") -> str:
    """Returns the URI of the champion's model, or "" where there is none to compare with.

    Raises:
        RegistryError: As `find_champion`.
    """
    champion = find_champion(model_name, exclude_digest)
    return champion.uri if champion else ""


def find_model(model_name: str) -> str | None:
    """Returns the resource name of the model with a display name, or None.

    Of several, the oldest that doctune created is taken.
    """
    from google.cloud import aiplatform

    found = aiplatform.Model.list(filter=filter_by_name(model_name))
    if not found:
        return None
    if len(found) > 1:
        logger.warning("%d models are called %s; using doctune's oldest", len(found), model_name)
    return preferred_resource(found).resource_name


def preferred_resource(found: Iterable[Any]) -> Any:
    """Returns one of several resources of the same name: the oldest that doctune created.

    Where doctune created none, the oldest.
    """

    def rank(resource: Any) -> tuple[bool, Any, str]:
        ours = resource.labels.get("managed-by") == MANAGED_BY["managed-by"]
        return not ours, resource.create_time, resource.resource_name

    return min(found, key=rank)


def list_versions(parent: str) -> list[ModelMessage]:
    """Returns all versions of a model, by resource name."""
    return list(model_client().list_model_versions(name=parent))


def get_version(name: str) -> ModelMessage:
    """Returns one version: `projects/.../models/M@3` or `...@champion`."""
    return model_client().get_model(name=name)


def set_aliases(name: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
    """Sets and removes aliases of a version. An alias is removed from the version that had it."""
    changes = [*add, *(f"-{alias}" for alias in remove)]
    if changes:
        model_client().merge_version_aliases(name=name, version_aliases=changes)


def version_name(version: ModelMessage) -> str:
    """Returns the resource name with the version, which the service leaves out of `name`."""
    return f"{version.name.split('@')[0]}@{version.version_id}"


def _find_version(parent: str, digest: str, container: ServingContainer) -> ModelMessage | None:
    same = [
        version
        for version in list_versions(parent)
        if version.labels.get("digest") == label_value(digest)
        and container.matches(version.container_spec)
    ]
    return max(same, key=lambda version: int(version.version_id), default=None)


def _upload_version(
    parent: str | None,
    uri: str,
    *,
    model_name: str,
    container: ServingContainer,
    labels: dict[str, str],
) -> ModelMessage:
    from google.api_core.exceptions import Conflict
    from google.cloud import aiplatform

    def upload(**place: str) -> aiplatform.Model:
        send = partial(
            aiplatform.Model.upload,
            display_name=model_name,
            artifact_uri=uri,
            **container.upload_arguments(),
            # The first version becomes the default regardless; later ones when they are released.
            is_default_version=False,
            version_aliases=[CANDIDATE],
            labels=labels,
            **place,
        )
        return limits.call_within(limits.OPERATION, f"the registration of {model_name}", send)

    if parent:
        registered = upload(parent_model=parent)
    else:
        # The id is derived from the name: of two concurrent runs that register the first version,
        # one creates the model and the other adds to it.
        model_id = f"doctune-{folder_name(model_name)}"[:63]
        try:
            registered = upload(model_id=model_id)
        except Conflict:
            registered = upload(parent_model=model_id)
    return get_version(registered.versioned_resource_name)


@contextmanager
def _on_disk(model: str) -> Iterator[Path]:
    """Yields a model's local folder; one in Cloud Storage is downloaded, never from a cache."""
    if not model.startswith("gs://"):
        yield Path(model.removeprefix("file://"))
        return
    with tempfile.TemporaryDirectory(prefix="doctune-model-") as scratch:
        folder = Path(scratch) / "model"
        download_folder(model, folder)
        yield folder
