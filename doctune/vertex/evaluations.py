"""Imports evaluations, with their slices, onto model versions in the Model Registry.

What `evaluate_model` logged becomes a ModelEvaluation of the version: the numbers are its metrics,
the texts (outcome, reason, digests, URI of the predictions) its metadata. The slices of
`scores.json` become its ModelEvaluationSlices.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from doctune.errors import RegistryError
from doctune.vertex.errors import google_errors
from doctune.vertex.session import model_client

# The closest of Google's schemas. Its fields are optional; ours are added to them.
_METRICS_SCHEMA = (
    "gs://google-cloud-aiplatform/schema/modelevaluation/general_text_generation_metrics_1.0.0.yaml"
)

# Keys that Google's own pipelines use in ModelEvaluation.metadata.
_WELL_KNOWN = {
    "test_set": "evaluation_dataset_path",
    "predictions": "row_based_metrics_path",
    "run": "pipeline_job_id",
}
# The most slices that one call of BatchImportModelEvaluationSlices accepts.
_SLICES_A_CALL = 50

Metrics = dict[str, float]


def import_evaluation(
    version_name: str, scores: Mapping[str, Any], scores_path: Path | None = None
) -> str:
    """Imports an evaluation onto a version, unless an identical one is there already.

    Args:
        version_name: projects/P/locations/L/models/M@3.
        scores: What `evaluate_model` logged: numbers, and texts about them. Other values, and
            numbers that are not finite, are left out.
        scores_path: Its `scores.json`, for the slices; None imports no slices.

    Returns:
        The evaluation's resource name; "" where there are no numbers.

    Raises:
        RegistryError: Vertex AI refuses, or `scores_path` is not a `scores.json`.
    """
    metrics = _numbers(scores)
    if not metrics:
        return ""
    slices = _read_slices(scores_path) if scores_path else []
    with google_errors(f"import the evaluation of {version_name}", RegistryError):
        name = _find_same(version_name, metrics) or _import(version_name, metrics, scores, slices)
        _import_slices(name, slices)
    return name


def evaluation_texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Returns the texts of a ModelEvaluation's metadata under the names that were logged."""
    ours = {theirs: name for name, theirs in _WELL_KNOWN.items()}
    return {ours.get(name, name): str(value) for name, value in metadata.items()}


def _numbers(scores: Mapping[str, Any]) -> Metrics:
    return {
        key: float(value)
        for key, value in scores.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _find_same(version_name: str, metrics: Metrics) -> str:
    from google.cloud.aiplatform_v1.types import ModelEvaluation
    from google.protobuf import json_format

    for present in model_client().list_model_evaluations(parent=version_name):
        if json_format.MessageToDict(ModelEvaluation.pb(present).metrics) == metrics:
            return present.name
    return ""


def _import(
    version_name: str, metrics: Metrics, scores: Mapping[str, Any], slices: Sequence[dict[str, Any]]
) -> str:
    from google.cloud.aiplatform_v1.types import ModelEvaluation

    texts = {name: text for name, text in scores.items() if isinstance(text, str) and text}
    evaluation = ModelEvaluation(
        display_name="doctune",
        metrics_schema_uri=_METRICS_SCHEMA,
        metrics=_value(metrics),
        metadata=_value({_WELL_KNOWN.get(name, name): text for name, text in texts.items()}),
        slice_dimensions=["slice"] if slices else [],
    )
    imported = model_client().import_model_evaluation(
        parent=version_name, model_evaluation=evaluation
    )
    return imported.name


def _import_slices(name: str, slices: Sequence[dict[str, Any]]) -> None:
    """Imports the slices that an evaluation does not have yet."""
    from google.cloud.aiplatform_v1.types import ModelEvaluationSlice

    there = {part.slice_.value for part in model_client().list_model_evaluation_slices(parent=name)}
    parts = [
        ModelEvaluationSlice(
            slice_={
                "dimension": "slice",
                "value": f"{part['by']} {part['value']}",
                "slice_spec": {"configs": {part["by"]: {"value": {"string_value": part["value"]}}}},
            },
            metrics_schema_uri=_METRICS_SCHEMA,
            metrics=_value(part["metrics"]),
        )
        for part in slices
        if f"{part['by']} {part['value']}" not in there
    ]
    for start in range(0, len(parts), _SLICES_A_CALL):
        model_client().batch_import_model_evaluation_slices(
            parent=name, model_evaluation_slices=parts[start : start + _SLICES_A_CALL]
        )


def _read_slices(path: Path) -> list[dict[str, Any]]:
    try:
        return list(_slices(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RegistryError(f"{path} is not a scores.json of evaluate_model: {error}.") from error


def _slices(card: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part in card["slices"]:
        metrics = _numbers({**part["scores"], "examples": part["examples"]})
        yield {"by": str(part["by"]), "value": str(part["value"]), "metrics": metrics}


def _value(fields: Mapping[str, Any]) -> Any:
    from google.protobuf import json_format, struct_pb2

    value = struct_pb2.Value()
    json_format.ParseDict(dict(fields), value)
    return value
