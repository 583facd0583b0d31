"""Indexes of Vertex AI Vector Search: their datapoints are replaced by those of a new run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from doctune.errors import ConfigurationError, StorageError
from doctune.vertex.errors import google_errors
from doctune.vertex.session import storage_client
from doctune.vertex.storage import parse_uri

_FILE = "datapoints.json"  # Vector Search reads .json, .csv and .avro below a folder


def replace_datapoints(index_name: str, folder_uri: str, lines: Iterable[str]) -> int:
    """Replaces all datapoints of an index, and waits until it serves the new ones.

    The lines are streamed to the bucket, so memory does not grow with them.

    Args:
        index_name: projects/PROJECT/locations/LOCATION/indexes/ID; with "" nothing is done.
        folder_uri: An empty gs:// folder for the file that the index is filled from.
        lines: Datapoints as JSON, one a line.

    Returns:
        How many datapoints were written.

    Raises:
        ConfigurationError: The folder is not in Cloud Storage.
        StorageError: The file or the index cannot be written.
    """
    if not index_name:
        return 0
    if not folder_uri.startswith("gs://"):
        raise ConfigurationError(
            f"Vector Search is filled from Cloud Storage, and {folder_uri} is not in it: run the "
            "pipeline on Vertex AI, or leave knowledge.vector_search empty."
        )
    bucket, folder = parse_uri(folder_uri)
    with google_errors(f"write {folder_uri}", StorageError):
        blob = storage_client().bucket(bucket).blob(f"{folder}/{_FILE}")
        written = 0
        with blob.open("w") as file:
            for line in lines:
                file.write(f"{line}\n")
                written += 1
    with google_errors(f"fill {index_name}", StorageError):
        _index(index_name).update_embeddings(folder_uri, is_complete_overwrite=True)
    return written


def _index(name: str) -> Any:
    from google.cloud import aiplatform

    return aiplatform.MatchingEngineIndex(name)
