"""Pipeline parameters from the configuration."""

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from doctune.configuration.serving import AUTO
from doctune.configuration.settings import Settings, VertexSettings, config_folder
from doctune.experiments.options import EXPERIMENTS_CONFIG_FILE, load_experiment_options

_SECTIONS = ("documents", "dataset", "knowledge", "training", "evaluation")


def pipeline_arguments(
    settings: Settings,
    vertex: VertexSettings,
    declared: Collection[str],
    *,
    pdfs: str,
    corpus_digest: str,
    question: str,
) -> dict[str, Any]:
    """Returns the values of those pipeline parameters that the configuration sets.

    A setting that the pipeline declares as a parameter is passed by name. Any other setting that
    differs from its default goes into the `advanced` parameter of its stage, so none is dropped.

    Args:
        declared: Names of the parameters that the pipeline declares.
        pdfs: Folder of PDFs, absolute path or gs:// URI.
        corpus_digest: Digest of the folder's contents.
        question: The question that the smoke test asks the new deployment.
    """
    arguments: dict[str, Any] = {
        "pdfs": pdfs,
        "corpus_digest": corpus_digest,
        "question": question,
        "model_name": settings.registry_name(pdfs),
        "endpoint_name": vertex.endpoint.name,
        "project": vertex.project,
        "location": vertex.location,
        "staging_bucket": vertex.staging_bucket,
        "model_bucket": vertex.buckets.models,
        "evaluation_bucket": vertex.buckets.evaluations,
        "data_bucket": vertex.buckets.data,
        "rollout": vertex.endpoint.rollout,
        "shards": vertex.shards,
        "training": settings.training.model_dump(mode="json", exclude_defaults=True),
        "search": settings.search.model_dump(mode="json", exclude_defaults=True),
        "max_trials": settings.search.max_trials,
    }
    if "experiment" in declared:
        arguments["experiment"] = _experiment()
    for section in _SECTIONS:
        named, advanced = _split(getattr(settings, section), declared)
        arguments |= named
        arguments[f"{section}_advanced"] = advanced
    if (engine := vertex.serving_plan.engine) in ("openvino", AUTO):
        # The evaluation judges the engine that will serve.
        arguments["evaluation_advanced"]["engine"] = engine
    return {name: value for name, value in arguments.items() if name in declared}


def _experiment() -> dict[str, Any]:
    """Returns the settings of experiments; empty if there is no such file."""
    folder = config_folder()
    if not (folder / EXPERIMENTS_CONFIG_FILE).is_file():
        return {}
    return load_experiment_options(folder).model_dump(mode="json", exclude_defaults=True)


def _split(options: BaseModel, declared: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    # A secret (a field hidden from repr) never becomes a parameter, since those are shown.
    secret = {name for name, field in type(options).model_fields.items() if not field.repr}
    values = options.model_dump(mode="json", exclude=secret)
    default = type(options)().model_dump(mode="json")
    named = {name: value for name, value in values.items() if name in declared}
    advanced = {
        name: value
        for name, value in values.items()
        if name not in declared and value != default[name]
    }
    return named, advanced
