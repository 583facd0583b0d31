"""Buckets with long retention: the staging bucket deletes its contents after 30 days.

Runs write to `staging_bucket`, where a lifecycle rule of Terraform deletes objects after 30 days,
but for caches.
What a registered version refers to has to outlive that: its model, the index that it answers from,
and the data and results of its evaluation are copied to buckets of their own. Each copy lies under
the digest of its contents, so the same file is stored once and is never replaced by another.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from doctune.artifacts import local_file, local_folder
from doctune.digests import digest_file, digest_folder
from doctune.errors import ConfigurationError
from doctune.publishing import MANIFEST_FILE, require_whole
from doctune.vertex.session import current_session
from doctune.vertex.storage import list_folder, upload_folder

# The suffix that Terraform gives to the name of the staging bucket.
_STAGING = "-pipeline-root"
_LONGEST_NAME = 63
_DATA = {"train_set", "test_set"}


class Retained(StrEnum):
    """What is retained; the value is the suffix of the bucket's name in Terraform."""

    MODELS = "model-artifacts"
    EVALUATIONS = "evaluation-results"
    DATA = "training-data"


def retention_bucket(what: Retained, chosen: str = "") -> str:
    """Returns gs://NAME of the bucket that retains something.

    Args:
        chosen: The bucket that the configuration names. Where empty, the name is derived from the
            staging bucket's: gs://P-pipeline-root, or gs://P, gives gs://P-KIND.

    Raises:
        ConfigurationError: The derived name would be too long for a bucket.
    """
    if chosen:
        return chosen.rstrip("/")
    staging = current_session().staging_bucket.rstrip("/")
    name = f"{staging.removesuffix(_STAGING)}-{what.value}"
    if len(name.removeprefix("gs://")) > _LONGEST_NAME:
        raise ConfigurationError(
            f"{name} is too long for a bucket: name one in buckets of vertex_config.yaml."
        )
    return name


def keep_file(uri: str, folder: str) -> str:
    """Copies a file to a folder in Cloud Storage; returns the gs:// URI of the copy.

    Args:
        uri: A path, or what `doctune.artifacts.local_file` takes.
        folder: gs://BUCKET/FOLDER; the copy is FOLDER/DIGEST/NAME.

    Raises:
        StorageError: It cannot be read or written.
    """
    path = local_file(uri)
    target = f"{folder}/{digest_file(path)[:32]}"
    name = Path(uri.removeprefix("file://")).name
    if not any(item.relative == name for item in list_folder(target)):
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / name).symlink_to(path.resolve())
            upload_folder(Path(scratch), target)
    return f"{target}/{name}"


def keep_index(uri: str, *, evaluation_bucket: str = "") -> str:
    """Copies the index that a version answers from to a retained bucket; returns its gs:// URI.

    A version that is rolled back to, or a gateway that starts again, needs it as long as the model.

    Args:
        uri: Its folder, local or gs://, with its manifest.
        evaluation_bucket: gs://NAME; derived where empty. The gateway may read that one.

    Raises:
        StorageError: It is incomplete, or cannot be read or copied.
    """
    path = local_folder(uri)
    require_whole(path, "build the index again")
    bucket = retention_bucket(Retained.EVALUATIONS, evaluation_bucket)
    target = f"{bucket}/indexes/{digest_folder(path)[:32]}"
    upload_folder(path, target, last=MANIFEST_FILE)
    return target


def keep_evaluation(
    scores: Mapping[str, object], *, evaluation_bucket: str = "", data_bucket: str = ""
) -> dict[str, object]:
    """Copies the files of an evaluation to retained buckets; returns it with their new URIs.

    Args:
        scores: What `evaluate_model` logged; a text that is the path or URI of a file is copied.
        evaluation_bucket: gs://NAME for its results; derived where empty.
        data_bucket: gs://NAME for its training and test sets; derived where empty.

    Raises:
        StorageError: A file is gone, or cannot be copied.
    """
    results = f"{retention_bucket(Retained.EVALUATIONS, evaluation_bucket)}/evaluations"
    data = f"{retention_bucket(Retained.DATA, data_bucket)}/datasets"
    kept = dict(scores)
    for name, value in scores.items():
        if isinstance(value, str) and value.startswith(("/", "file://", "gs://")):
            kept[name] = keep_file(value, data if name in _DATA else results)
    return kept
