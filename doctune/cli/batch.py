"""`doctune batch`: answers a file of questions, with sources."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doctune.cli.answers import latest_answering, latest_index
from doctune.cli.app import app
from doctune.cli.session import AsJson, Impersonate, Local, vertex_session
from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.batch.run import Answers
    from doctune.batch.ways import AskMany
    from doctune.evaluation.product import Answering

_ROWS, _AT_ONCE = 16, 2  # of a request to the endpoint


@app.command()
def batch(
    file: Annotated[Path, typer.Argument(help="Questions: JSONL, CSV or Parquet.")],
    out: Annotated[Path, typer.Option(help="Answers: .jsonl, .csv or .parquet.")],
    index: Annotated[
        Path | None, typer.Option("--index", help="Folder of an index; default: the latest run's.")
    ] = None,
    closed_book: Annotated[
        bool, typer.Option("--closed-book", help="Ask the model without the documents.")
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option(help="Folder of a model to load in this process; default: the endpoint."),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Maximum length of an answer, with --model.")
    ] = 128,
    shard_rows: Annotated[
        int, typer.Option(min=1, help="Rows per shard; an interrupted shard is answered again.")
    ] = 64,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Retry rows that failed in an earlier run.")
    ] = False,
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """Answer every question of a file. An interrupted run resumes where it stopped.

    Failed rows are written to NAME.failed.jsonl, with the reason; exit code 1 if there are any.
    """
    from doctune.batch.run import answer_batch

    if closed_book and index:
        raise UsageError("--closed-book needs no --index: give one of both.")
    with ExitStack() as stack:
        answers = _answers(stack, index, closed_book, model, max_new_tokens, local, impersonate)
        done = answer_batch(file, out, answers, shard_rows=shard_rows, retry_failed=retry_failed)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    else:
        before = f" ({done.done_before} of {done.shards} shards were done)" * bool(done.done_before)
        typer.echo(f"{done.answered} of {done.rows} questions answered in {done.answers}{before}.")
        if done.failed:
            typer.echo(f"{done.failed} failed: {done.failures} says why.")
    if done.failed:
        raise typer.Exit(1)


def _answers(
    stack: ExitStack,
    index: Path | None,
    closed_book: bool,
    model: Path | None,
    max_new_tokens: int,
    local: bool,
    impersonate: str,
) -> Answers:
    from doctune.batch.ways import FromDocuments, FromModel, bulk_model

    way: Answering = "model" if model and not closed_book else latest_answering(index)
    if way == "quote" and not closed_book:
        return FromDocuments(index or latest_index(), "quote")
    if model:
        ask = bulk_model(str(model), max_new_tokens)
        name = f"{model.absolute()} in {max_new_tokens} tokens"
    else:
        ask, name = _endpoint(stack, local, impersonate)
    if closed_book:
        return FromModel(ask, name)
    return FromDocuments(index or latest_index(), way, ask, name)


def _endpoint(stack: ExitStack, local: bool, impersonate: str) -> tuple[AskMany, str]:
    from doctune.batch.ways import in_requests
    from doctune.runner.main_job import answers_by_endpoint

    settings = stack.enter_context(vertex_session(local, impersonate))

    def ask(prompts: list[str]) -> list[str]:
        return answers_by_endpoint(settings, prompts)[1]

    return in_requests(ask, _ROWS, _AT_ONCE), settings.endpoint.name
