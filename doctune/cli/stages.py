"""Single stages: `doctune parse`, `train`, `evaluate` and `gate`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from doctune.cli.app import app
from doctune.configuration.settings import CONFIG_FILE, config_folder, load_settings
from doctune.errors import UsageError


@app.command()
def parse(
    paths: Annotated[list[Path], typer.Argument(help="PDFs, and folders of them.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="One Markdown file per PDF (the default).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON file per PDF.")] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="blocks.parquet, documents.parquet, report.")
    ] = False,
    attachments: Annotated[
        bool, typer.Option("--attachments", help="Also read attached PDFs, as separate documents.")
    ] = False,
) -> None:
    """Convert PDFs to Markdown, JSON or Parquet. Exit code 1 if one cannot be read."""
    from doctune.documents import ParseOptions
    from doctune.documents.paths import parse_paths
    from doctune.vertex.secrets import with_secrets

    if markdown + as_json + parquet > 1:
        raise UsageError("choose one of --markdown, --json and --parquet.")
    form: Literal["markdown", "json", "parquet"] = "markdown"
    if as_json or parquet:
        form = "json" if as_json else "parquet"
    # Reading PDFs needs no configuration.
    configured = (config_folder() / CONFIG_FILE).is_file()
    options = load_settings().documents if configured else ParseOptions()
    if attachments:
        options = options.model_copy(update={"attachments": True})
    rejects = parse_paths(paths, out, form, with_secrets(options))
    for reject in rejects:
        typer.echo(f"{reject.source}: {reject.reason}", err=True)
    typer.echo(f"Written to {out}.")
    if rejects:
        raise typer.Exit(1)


@app.command()
def train(
    train_set: Annotated[Path, typer.Option("--train", help="JSONL of chat examples.")],
    validation_set: Annotated[Path, typer.Option("--validation", help="JSONL to validate on.")],
    model_dir: Annotated[Path, typer.Option(help="Folder for the model.")],
    curves: Annotated[Path | None, typer.Option(help="HTML file for the loss curve.")] = None,
) -> None:
    """Tune a model on existing examples, with the settings in `training`."""
    from doctune.training import tune_model

    summary = tune_model(
        train_set, validation_set, model_dir, load_settings().training, curves_path=curves
    )
    typer.echo(json.dumps(asdict(summary)))


@app.command()
def evaluate(
    model_dir: Annotated[Path, typer.Option("--model", help="Folder that training wrote.")],
    test_set: Annotated[Path, typer.Option("--test", help="JSONL of chat examples.")],
    out: Annotated[Path, typer.Option(help="Folder for scores, predictions, report, summary.")],
    train_set: Annotated[
        Path | None,
        typer.Option(
            "--train", help="Training set; a test set that contains one of its examples is refused."
        ),
    ] = None,
    champion: Annotated[str, typer.Option(help="Folder or gs:// URI of the champion.")] = "",
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=URI", help="A further model to compare with; may be repeated."),
    ] = None,
) -> None:
    """Score a model against its base and others, with the settings in `evaluation`."""
    from doctune.evaluation import evaluate_model

    others = dict(_name_and_uri(pair) for pair in models or ())
    options = load_settings().evaluation
    evaluation = evaluate_model(
        model_dir,
        test_set,
        train_path=train_set,
        scores_path=out / "scores.json",
        predictions_path=out / "predictions.jsonl",
        report_path=out / "report.html",
        summary_path=out / "summary.md",
        options=options.model_copy(update={"others": {**options.others, **others}}),
        champion_uri=champion,
    )
    typer.echo(f"{evaluation.outcome}: {evaluation.reason}")
    typer.echo(f"Written to {out}: open {out / 'report.html'}.")


def _name_and_uri(pair: str) -> tuple[str, str]:
    name, equals, uri = pair.partition("=")
    if not (name and equals and uri):
        raise UsageError(f"--models {pair!r}: write NAME=FOLDER, or NAME=gs://...")
    return name, uri


@app.command()
def gate(
    scores: Annotated[Path, typer.Argument(help="The scores.json of an evaluation.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Exit with 0 regardless of the verdict.")
    ] = False,
) -> None:
    """Apply the release policy in `evaluation` to stored scores. Exit code 1: not released."""
    from doctune.evaluation import replay_gate

    replay = replay_gate(scores, load_settings().evaluation)
    for line in replay.lines():
        typer.echo(line)
    if not (dry_run or replay.verdict.passed):
        raise typer.Exit(1)
