"""The parameters of a run: from the configuration, a file and the command line, in that order."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

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
) -> dict[str, Any]:
    """Returns the parameters of a run; what the pipeline does not declare is left out or refused.

    Args:
        given: NAME=VALUE pairs of the command line; they win.
        file: YAML or JSON object of parameters; they win over the configuration.
        pdfs: Folder of PDFs, here or in Cloud Storage; else `pdfs` of config.yaml. A folder here is
            uploaded to the staging bucket.

    Raises:
        UsageError: A pair, or the file, is not what it should be.
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
        source, digest = _reachable(pdfs or settings.pdfs, vertex.staging_bucket)
    configured = pipeline_arguments(
        settings,
        vertex,
        signature.parameters,
        pdfs=source,
        corpus_digest=digest,
        question=settings.question,
    )
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
        raise UsageError(f"{file} must hold an object: a line NAME: VALUE for each parameter.")
    return dict(json.loads(json.dumps(values)))


def _reachable(pdfs: str, staging_bucket: str) -> tuple[str, str]:
    """Returns where steps on other machines find the PDFs, and the digest of what lies there."""
    from doctune.digests import digest_value
    from doctune.documents import corpus_digest
    from doctune.vertex import list_folder, upload_folder

    if pdfs.startswith("gs://"):
        return pdfs, digest_value([[item.relative, item.crc32c] for item in list_folder(pdfs)])
    folder = Path(pdfs).expanduser()
    digest = corpus_digest(folder)
    uri = f"{staging_bucket}/pdfs/{digest[:16]}"
    upload_folder(folder, uri)
    return uri, digest
