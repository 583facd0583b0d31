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
    """Returns the parameters of a run.

    Settings that the pipeline does not declare are left out; given parameters are refused.

    Args:
        given: NAME=VALUE pairs of the command line; they override everything else.
        file: YAML or JSON object of parameters; it overrides the configuration.
        pdfs: Folder of PDFs, local or in Cloud Storage; by default `pdfs` of config.yaml. The PDFs
            of a local folder are uploaded to the staging bucket.
        yes: Whether to upload many PDFs without asking.

    Raises:
        UsageError: A pair or the file is malformed, or the upload was declined.
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
        # Named after the given folder: the path of the uploaded PDFs contains their digest, so a
        # changed corpus would get another model name and have no champion to beat.
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
