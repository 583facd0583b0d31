"""`doctune versions` and `doctune compare`: evaluations of registered versions."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doctune.cli.app import app
from doctune.cli.session import AsJson, Impersonate, Local, vertex_session
from doctune.configuration.settings import load_settings
from doctune.errors import EvaluationError

if TYPE_CHECKING:
    from doctune.evaluation import VersionRecord
    from doctune.evaluation.versions import LiveRate
    from doctune.vertex import ModelVersion

# The labels with a version's inputs.
_MADE_FROM = ("documents", "dataset", "index", "commit")
ModelName = Annotated[
    str, typer.Option(help="Name in the Model Registry; default: as in config.yaml.")
]


@app.command()
def versions(
    metric: Annotated[str, typer.Option(help="Else the primary metric of config.yaml.")] = "",
    html: Annotated[Path | None, typer.Option(help="HTML file to write, with a plot.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    model_name: ModelName = "",
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """List a model's versions with one metric of their evaluations.

    The HTML file also shows what changed between versions, and the weekly rates of bad answers
    from people's feedback.
    """
    from doctune.evaluation import render_versions, render_versions_markdown, version_rows
    from doctune.files import write_text

    settings = load_settings()
    name, chosen = (
        model_name or settings.registry_name(),
        metric or settings.evaluation.primary_metric,
    )
    with vertex_session(local, impersonate):
        records, registered = _records(name, with_feedback=html is not None)
    rows = version_rows(records, chosen)
    if html:
        page = render_versions(records, chosen, model_name=name, live=_live(registered))
        write_text(html, page)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows]))
    elif markdown:
        typer.echo(render_versions_markdown(records, chosen), nl=False)
    else:
        typer.echo(_aligned(render_versions_markdown(records, chosen)))


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A: version number, alias or predictions.jsonl.")],
    second: Annotated[str, typer.Argument(help="B, the same; the gains are those of B over A.")],
    metric: Annotated[str, typer.Option(help="Else the primary metric of config.yaml.")] = "",
    model_name: ModelName = "",
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """Compare two versions example by example, from their stored predictions."""
    from doctune.evaluation import compare_predictions

    settings = load_settings()
    paths = {name: Path(name) for name in (first, second) if Path(name).is_file()}
    if len(paths) < len({first, second}):
        with vertex_session(local, impersonate):
            paths |= _stored_predictions(
                model_name or settings.registry_name(), first, second, paths
            )
    found = compare_predictions(
        paths[first],
        paths[second],
        names=(first, second),
        options=settings.evaluation,
        metric=metric,
    )
    typer.echo(json.dumps(found.as_json()) if as_json else found.markdown(), nl=as_json)


def _aligned(markdown: str) -> str:
    """Returns a Markdown table as columns for a terminal."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown.splitlines()
        if not line.startswith("|---")
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _live(registered: str) -> "list[LiveRate]":
    from doctune.cli.feedback import open_database
    from doctune.database.feedback_rows import read_feedback
    from doctune.feedback.analysis import live_rates

    return live_rates(read_feedback(open_database()), registered)


def _records(model_name: str, *, with_feedback: bool = False) -> "tuple[list[VersionRecord], str]":
    """Returns the versions' evaluations, and the model's resource name.

    Args:
        with_feedback: Whether to read from each training set which feedback is in it.
    """
    from doctune.evaluation import VersionRecord
    from doctune.vertex import model_versions

    records, registered = [], ""
    for version in model_versions(model_name):
        registered = version.name.partition("@")[0]
        record = VersionRecord(
            version=version.version_id,
            created=version.created.isoformat(timespec="seconds"),
            aliases=version.aliases,
            made_from={name: version.labels.get(name, "") for name in _MADE_FROM},
            feedback=_taught_by(version) if with_feedback else frozenset(),
        )
        if not version.evaluations:
            records.append(record)
        for evaluation in version.evaluations:
            evaluated = replace(
                record,
                evaluated=evaluation.created.isoformat(),
                outcome=evaluation.texts.get("outcome", ""),
                test_digest=evaluation.texts.get("test_digest", ""),
                scores=evaluation.metrics,
            )
            records.append(evaluated)
    return records, registered


def _taught_by(version: "ModelVersion") -> frozenset[str]:
    from doctune.artifacts import local_file
    from doctune.errors import StorageError
    from doctune.feedback.trace import feedback_of

    uri = version.text("train_set")
    try:
        return feedback_of(local_file(uri)) if uri else frozenset()
    except StorageError:  # its bucket keeps it no longer: the page shows the rest
        return frozenset()


def _stored_predictions(
    model_name: str, first: str, second: str, files: dict[str, Path]
) -> dict[str, Path]:
    """Returns a file of predictions for each version name, if possible on the same test set."""
    from doctune.artifacts import local_file
    from doctune.vertex import find_version

    found = {
        name: _predictions_by_test_set(find_version(model_name, name), name)
        for name in (first, second)
        if name not in files
    }
    common = [
        digest
        for digest in next(iter(found.values()))
        if all(digest in stored for stored in found.values())
    ]
    if not common:
        raise EvaluationError(
            f"versions {first} and {second} were not evaluated on the same test set: evaluate "
            "one on the other's with pipelines/evaluate.py (docs/evaluation.md)."
        )
    return {name: local_file(stored[common[0]]) for name, stored in found.items()}


def _predictions_by_test_set(version: "ModelVersion", name: str) -> dict[str, str]:
    """Returns the URIs of a version's predictions by test set digest, latest first."""
    stored: dict[str, str] = {}
    for evaluation in version.evaluations:
        uri = evaluation.texts.get("predictions", "")
        if uri:
            stored.setdefault(evaluation.texts.get("test_digest", ""), uri)
    if not stored:
        raise EvaluationError(
            f"version {name} has no evaluation with predictions: make one with "
            "pipelines/evaluate.py (docs/evaluation.md)."
        )
    return stored
