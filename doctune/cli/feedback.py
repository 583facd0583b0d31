"""`doctune feedback`: list, import, export and analyse people's feedback on answers."""

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from doctune.cli.app import app
from doctune.cli.session import AsJson
from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.database.engine import Engine
    from doctune.database.feedback_rows import FeedbackFilter, FeedbackRow
    from doctune.feedback.analysis import Analysis
    from doctune.feedback.collect import StorageRules

feedback = typer.Typer(help="People's feedback on answers.", no_args_is_help=True)
app.add_typer(feedback, name="feedback")

Since = Annotated[str, typer.Option(help="A date, or a number of days back such as 30d.")]
Kinds = Annotated[
    list[str] | None, typer.Option("--kind", help="rating, correction, preference, label, comment.")
]
Owner = Annotated[str, typer.Option(help="Only of this tenant.")]
States = Annotated[
    list[str] | None,
    typer.Option("--review", help="Review state: open, accepted, edited, rejected or merged."),
]


@feedback.command("list")
def list_(
    since: Since = "",
    kind: Kinds = None,
    owner: Owner = "",
    review: States = None,
    limit: Annotated[int, typer.Option("-n", min=1, help="Number of items.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the latest feedback, in each person's latest version."""
    from collections import deque

    from doctune.database.feedback_rows import read_feedback
    from doctune.feedback.exports import as_json as row_as_json

    rows = deque(read_feedback(open_database(), _wanted(since, kind, owner, review)), maxlen=limit)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row_as_json(row), ensure_ascii=False))
        return
    whole = Column("prediction", overflow="fold")  # `show` takes it, so it must not be cut
    table = Table("when", whole, "kind", "what", "question", "version", "review")
    for row in rows:
        table.add_row(
            f"{row.created_at:%Y-%m-%d %H:%M}",
            row.prediction_id,
            row.kind,
            _what(row)[:60],
            row.question[:60],
            row.model_version or "",
            row.review_state or "",
        )
    Console().print(table)


@feedback.command()
def show(
    prediction_id: Annotated[str, typer.Argument(help="Id of the answer.")], as_json: AsJson = False
) -> None:
    """Show an answer, all versions of its feedback, and its review."""
    from doctune.database.feedback_rows import FeedbackFilter, read_feedback
    from doctune.feedback.exports import as_json as row_as_json

    wanted = FeedbackFilter(prediction_id=prediction_id, all_versions=True)
    rows = list(read_feedback(open_database(), wanted))
    if not rows:
        raise UsageError(f"nothing is said of {prediction_id}: doctune feedback list.")
    if as_json:
        typer.echo(json.dumps([row_as_json(row) for row in rows], ensure_ascii=False))
        return
    first = rows[0]
    typer.echo(f"Question  {first.question}\nAnswer    {first.answer or ''}")
    typer.echo(f"Model     {first.model or ''} {first.model_version or ''}".rstrip())
    if first.review_state:
        typer.echo(f"Review    {first.review_state} {first.review_answer or ''}".rstrip())
    for row in rows:
        typer.echo(
            f"{row.created_at:%Y-%m-%d %H:%M}  {row.source}  {row.kind} (version {row.version}): "
            f"{_what(row)}"
        )


@feedback.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="The file.", exists=True, dir_okay=False)],
    form: Annotated[
        str, typer.Option("--format", help="jsonl, csv, langfuse, label-studio, argilla.")
    ] = "jsonl",
    owner: Annotated[
        str, typer.Option(help="Only for this tenant's answers; default: for any.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Import feedback from a file; items that were imported before are not duplicated."""
    from doctune.feedback.imports import READERS, import_feedback

    if form not in READERS:
        raise UsageError(f"--format is one of {', '.join(READERS)}.")
    summary = import_feedback(open_database(), path, form, _keeping(), owner or None)
    if as_json:
        typer.echo(json.dumps(asdict(summary)))
    else:
        typer.echo(f"Kept {summary.kept}, refused {summary.refused}.")
        for problem in summary.problems:
            typer.echo(problem, err=True)
    if summary.refused:
        raise typer.Exit(1)


@feedback.command()
def export(
    path: Annotated[Path, typer.Argument(help="The file to write.", dir_okay=False)],
    form: Annotated[
        str, typer.Option("--format", help="jsonl, csv, parquet, bigquery (with its schema).")
    ] = "jsonl",
    since: Since = "",
    kind: Kinds = None,
    owner: Owner = "",
    review: States = None,
    all_versions: Annotated[bool, typer.Option(help="Earlier versions too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Export feedback to a file, with the answers that it is about."""
    from dataclasses import replace

    from doctune.database.feedback_rows import read_feedback
    from doctune.feedback.exports import WRITERS, export_feedback

    if form not in WRITERS:
        raise UsageError(f"--format is one of {', '.join(WRITERS)}.")
    wanted = replace(_wanted(since, kind, owner, review), all_versions=all_versions)
    rows = read_feedback(open_database(), wanted)
    written = export_feedback(rows, path, form)
    typer.echo(json.dumps({"rows": written, "path": str(path)}) if as_json else f"{written} rows.")


@feedback.command()
def stats(
    since: Since = "",
    owner: Owner = "",
    html: Annotated[Path | None, typer.Option(help="HTML file for the whole report.")] = None,
    by_meaning: Annotated[
        bool, typer.Option(help="Cluster questions by the sentence encoder, not only by words.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Show rates of bad answers with intervals, the worst clusters, and annotator agreement."""
    from doctune.database.feedback_rows import read_feedback
    from doctune.feedback.analysis import analyse
    from doctune.feedback.report import render_report
    from doctune.files import write_text

    rows = read_feedback(open_database(), _wanted(since, None, owner, None))
    found = analyse(rows, _by_meaning if by_meaning else None)
    if html:
        write_text(html, render_report(found))
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False))
        return
    _show_stats(found)


def _show_stats(found: "Analysis") -> None:
    console = Console()
    overall = found.overall
    console.print(
        f"{found.items} items; {overall.bad} of {overall.of} opinions bad: "
        f"{overall.rate:.1%} ({overall.low:.1%} to {overall.high:.1%})"
    )
    alpha = "not defined" if found.agreement is None else f"{found.agreement:.2f}"
    console.print(f"Krippendorff's alpha {alpha} over {found.shared_answers} answers")
    for name in ("week", "version", "kind of question", "document"):
        table = Table(name, "bad", "of", "rate", "95 %")
        for rate in found.groups[name][-12:] if name == "week" else found.groups[name][:12]:
            interval = f"{rate.low:.1%} to {rate.high:.1%}"
            table.add_row(rate.name, str(rate.bad), str(rate.of), f"{rate.rate:.1%}", interval)
        console.print(table)
    table = Table("questions about", "bad", "wordings", "most often")
    for cluster in found.clusters:
        table.add_row(cluster.name, str(cluster.bad), str(cluster.questions), cluster.example)
    console.print(table)


def _by_meaning(questions: list[str]) -> list[list[int]]:
    from doctune.feedback.meaning import joined_by_meaning
    from doctune.inference.sentence_encoder import encoder_folder

    return joined_by_meaning(questions, encoder_folder())


def _what(row: "FeedbackRow") -> str:
    value: Any = row.value.get(row.kind)
    if isinstance(value, dict):
        value = (
            f"{value['better']}: {value.get('other_answer') or value.get('other_prediction_id')}"
        )
    said = " ".join(str(value).split())
    return f"{said} ({row.reason})" if row.reason else said


def _wanted(
    since: str, kinds: list[str] | None, owner: str, states: list[str] | None
) -> "FeedbackFilter":
    from doctune.database.feedback_rows import FeedbackFilter

    return FeedbackFilter(
        since=_moment(since),
        kinds=tuple(kinds or ()),
        owner=owner or None,
        states=tuple(states or ()),
    )


def _moment(text: str) -> datetime | None:
    from datetime import UTC

    if not text:
        return None
    if text.removesuffix("d").isdigit():
        return datetime.now(UTC) - timedelta(days=int(text.removesuffix("d")))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--since {text}: use 2026-11-30, or 30d.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _keeping() -> "StorageRules":
    from doctune.feedback.collect import StorageRules
    from doctune.gateway.records import Recorder
    from doctune.gateway.server import gateway_options, surroundings

    options = gateway_options()
    recorder = Recorder(options.log, surroundings().user_key)
    return StorageRules(recorder.text, recorder.end_user, options.feedback.labels)


def open_database() -> "Engine":
    """Returns the database that the gateway uses."""
    from doctune.gateway.server import surroundings

    return surroundings().engine
