"""The parameters of a run: from the configuration, a file and the command line, in that order."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from doctune.cli.upload_pdfs import reachable_pdfs, reachable_questions
from doctune.configuration.settings import VertexSettings, load_settings
from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.vertex.specs import PipelineSignature


def run_parameters(
    signature: "PipelineSignature",
    vertex: VertexSettings,
    *,
    given: Sequence[str] = (),
    file: Path | None = None,
    pdfs: str = "",
    yes: bool = False,
) -> dict[str, Any]:
    """Returns the parameters of a run; what the pipeline does not declare is left out or refused.

    Args:
        given: NAME=VALUE pairs of the command line; they win.
        file: YAML or JSON object of parameters; they win over the configuration.
        pdfs: Folder of PDFs, here or in Cloud Storage; else `pdfs` of config.yaml. The PDFs of a
            folder here are uploaded to the staging bucket.
        yes: Whether many are uploaded without a question.

    Raises:
        UsageError: A pair, or the file, is not what it should be, or nothing is to be uploaded.
    """
    from doctune.runner.arguments import pipeline_arguments
    from doctune.vertex.specs import parse_parameter

    chosen = _from_file(file)
    for pair in given:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--param {pair!r}: write NAME=VALUE.")
        chosen[name] = parse_parameter(signature, name, text)
    settings = load_settings()
    source, digest = "", ""
    if "pdfs" in signature.parameters and "pdfs" not in chosen:
        source, digest = reachable_pdfs(pdfs or settings.pdfs, vertex.staging_bucket, yes=yes)
    if "evaluation_advanced" in signature.parameters:
        evaluation = reachable_questions(settings.evaluation, vertex.staging_bucket)
        settings = settings.model_copy(update={"evaluation": evaluation})
    configured = pipeline_arguments(
        settings,
        vertex,
        signature.parameters,
        pdfs=source,
        corpus_digest=digest,
        question=settings.question,
    )
    if "model_name" in configured:
        # Uploaded PDFs lie under their digest: a changed corpus would have no champion to beat.
        configured["model_name"] = settings.registry_name(pdfs)
    return {**configured, **chosen}


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise UsageError(
            f"{file} is neither YAML nor JSON: {' '.join(str(error).split())}."
        ) from error
    if not isinstance(values, dict):
        raise UsageError(f"{file} must hold an object: one line NAME: VALUE per parameter.")
    return dict(json.loads(json.dumps(values)))
