"""The versions of a model with their evaluations, as the Model Registry holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from doctune.errors import RegistryError
from doctune.vertex.errors import google_errors
from doctune.vertex.evaluations import evaluation_texts
from doctune.vertex.registry import find_model, get_version, list_versions, version_name
from doctune.vertex.session import model_client

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Model as ModelMessage


@dataclass(frozen=True, kw_only=True)
class VersionEvaluation:
    """One evaluation of a version.

    Attributes:
        texts: What was logged beside the numbers: outcome, reason, test_digest, predictions, ...
    """

    name: str
    created: datetime
    metrics: Mapping[str, float]
    texts: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One version of a model, with its evaluations, the latest first."""

    name: str  # projects/P/locations/L/models/M@3
    version_id: str
    uri: str  # the folder with the model
    digest: str  # of the model's files, as the label holds it: cut to 63 characters
    created: datetime
    aliases: tuple[str, ...]
    labels: Mapping[str, str]  # what it was made from
    evaluations: tuple[VersionEvaluation, ...]

    def text(self, name: str) -> str:
        """Returns the text `name` of the latest evaluation that has it; "" where none does."""
        found = (evaluation.texts.get(name, "") for evaluation in self.evaluations)
        return next((text for text in found if text), "")


def model_versions(model_name: str) -> list[ModelVersion]:
    """Returns all versions of a model, given its display name, oldest first.

    Raises:
        RegistryError: There is no such model, or Vertex AI refuses.
    """
    with google_errors(f"list the versions of {model_name}", RegistryError):
        found = [_read(version) for version in list_versions(_parent(model_name))]
    return sorted(found, key=lambda version: int(version.version_id))


def find_version(model_name: str, version: str) -> ModelVersion:
    """Returns one version, by its number or an alias such as "champion".

    Raises:
        RegistryError: There is no such model or version, or Vertex AI refuses.
    """
    from google.api_core.exceptions import NotFound

    with google_errors(f"find version {version} of {model_name}", RegistryError):
        try:
            return _read(get_version(f"{_parent(model_name)}@{version}"))
        except NotFound as error:
            raise RegistryError(
                f"{model_name} has no version {version}: `doctune versions` lists them."
            ) from error


def training_set_of(version: ModelVersion, given: str = "") -> str:
    """Returns the URI of the training examples: `given`, or else the one an evaluation names.

    Raises:
        RegistryError: Neither is there, so the test set cannot be checked for leaks.
    """
    uri = given or version.text("train_set")
    if not uri:
        raise RegistryError(
            f"the registry does not know what {version.name} was trained on, so the test set "
            "cannot be checked for leaks: give the training set's JSONL as train_set."
        )
    return uri


def _parent(model_name: str) -> str:
    parent = find_model(model_name)
    if parent is None:
        raise RegistryError(f"no model is registered as {model_name}: run the pipeline first.")
    return parent


def _read(version: ModelMessage) -> ModelVersion:
    name = version_name(version)
    return ModelVersion(
        name=name,
        version_id=version.version_id,
        uri=version.artifact_uri,
        digest=version.labels.get("digest", ""),
        created=version.version_create_time,
        aliases=tuple(version.version_aliases),
        labels=dict(version.labels),
        evaluations=_evaluations(name),
    )


def _evaluations(name: str) -> tuple[VersionEvaluation, ...]:
    from google.cloud.aiplatform_v1.types import ModelEvaluation
    from google.protobuf import json_format

    found = []
    for evaluation in model_client().list_model_evaluations(parent=name):
        message = ModelEvaluation.pb(evaluation)
        metrics = json_format.MessageToDict(message.metrics)
        metadata = json_format.MessageToDict(message.metadata)
        found.append(
            VersionEvaluation(
                name=evaluation.name,
                created=evaluation.create_time,
                metrics={k: v for k, v in (metrics or {}).items() if isinstance(v, float)},
                texts=evaluation_texts(metadata if isinstance(metadata, dict) else {}),
            )
        )
    return tuple(sorted(found, key=lambda one: one.created, reverse=True))
