"""The `doctune` command."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from doctune.errors import DoctuneError, UsageError
from doctune.settings import CONFIG_FILE, config_folder, load_settings, load_vertex_settings

if TYPE_CHECKING:
    from doctune.localvertex import LocalVertexConfig

SPEC = Path("dist/pipelines/train_and_deploy.yaml")
ROOT = Path(".doctune")

app = typer.Typer(
    help="From a folder of PDFs to a fine-tuned, evaluated and deployed language model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
local_app = typer.Typer(
    help="Vertex AI on this machine: start it, look at it, run a program inside it.",
    no_args_is_help=True,
)
config_app = typer.Typer(help="Look at the configuration.", no_args_is_help=True)
app.add_typer(local_app, name="local")
app.add_typer(config_app, name="config")


def main() -> None:
    """Runs the command; what a user can mend is one line, exit code 1 or 2."""
    signal.signal(signal.SIGTERM, _exit_on_signal)
    try:
        app()
    except DoctuneError as error:
        if os.environ.get("DOCTUNE_DEBUG"):
            raise
        Console(stderr=True).print(f"Error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="Folder with config.yaml and vertex_config.yaml.")
    ] = None,
) -> None:
    from doctune.logs import configure_logging

    configure_logging()
    if debug:
        os.environ["DOCTUNE_DEBUG"] = "1"
    if config:
        # An absolute path, since the steps of a run have folders of their own.
        os.environ["DOCTUNE_CONFIG"] = str(config.absolute())


@app.command()
def run(
    pdfs: Annotated[
        str | None, typer.Option(help="Folder of PDFs; else `pdfs` of config.yaml.")
    ] = None,
    question: Annotated[
        str | None, typer.Option(help="What the endpoint is asked in the end.")
    ] = None,
    spec: Annotated[Path, typer.Option(help="The compiled pipeline.")] = SPEC,
    cache: Annotated[
        bool, typer.Option(help="Reuse the outputs of steps that nothing has changed for.")
    ] = True,
) -> None:
    """Run the main job on this machine: PDFs to an answering endpoint."""
    from doctune.runner.main_job import MainJob, run_main_job
    from doctune.runner.summary import show

    settings, vertex = load_settings(), load_vertex_settings()
    job = MainJob(
        settings=settings,
        vertex=vertex,
        spec=spec,
        root=ROOT,
        pdfs=pdfs or settings.pdfs,
        question=question or settings.question,
        enable_caching=cache,
    )
    console = Console()
    with _local_vertex() as environment:
        summary = run_main_job(job, environment, console)
    show(summary, console)
    console.print("Ask it more: doctune ask 'your question'", highlight=False)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask the deployed model.")],
    base: Annotated[bool, typer.Option(help="Show the base model's answer beside it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask the endpoint that `doctune run` deployed."""
    from doctune.runner.main_job import answer_by_base, answer_by_endpoint

    settings, vertex = load_settings(), load_vertex_settings()
    with _local_vertex():
        endpoint, answer = answer_by_endpoint(vertex, question)
    answers = {"endpoint": endpoint, "question": question, "answer": answer}
    if base:
        answers["answer_base"] = answer_by_base(settings.training.base_model, question)
    if as_json:
        typer.echo(json.dumps(answers, ensure_ascii=False))
        return
    typer.echo(answer)
    if base:
        typer.echo(f"\nThe base model: {answers['answer_base']}")


@app.command()
def parse(
    paths: Annotated[list[Path], typer.Argument(help="PDFs, and folders of them.")],
    out: Annotated[Path, typer.Option(help="Where the results go.")],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="A Markdown file for each PDF (the default).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON file for each PDF.")] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="blocks.parquet and documents.parquet of one folder.")
    ] = False,
) -> None:
    """Read PDFs to Markdown, JSON or Parquet. Exit code 1 where one could not be read."""
    from doctune.documents import ParseOptions
    from doctune.documents.paths import parse_paths

    if markdown + as_json + parquet > 1:
        raise UsageError("choose one of --markdown, --json and --parquet.")
    form: Literal["markdown", "json", "parquet"] = "markdown"
    if as_json or parquet:
        form = "json" if as_json else "parquet"
    # Reading PDFs needs no project around it.
    configured = (config_folder() / CONFIG_FILE).is_file()
    options = load_settings().documents if configured else ParseOptions()
    rejects = parse_paths(paths, out, form, options)
    for reject in rejects:
        typer.echo(f"{reject.source}: {reject.reason}", err=True)
    typer.echo(f"Written to {out}.")
    if rejects:
        raise typer.Exit(1)


@app.command()
def train(
    train_set: Annotated[Path, typer.Option("--train", help="JSONL of chat examples.")],
    validation_set: Annotated[Path, typer.Option("--validation", help="JSONL to stop by.")],
    model_dir: Annotated[Path, typer.Option(help="Folder for the model.")],
    curves: Annotated[Path | None, typer.Option(help="HTML file for the loss curve.")] = None,
) -> None:
    """Tune a model on examples that are there, with the settings of `training`."""
    from doctune.training import tune_model

    summary = tune_model(
        train_set, validation_set, model_dir, load_settings().training, curves_path=curves
    )
    typer.echo(json.dumps(asdict(summary)))


@app.command()
def gate(
    scores: Annotated[Path, typer.Argument(help="The scores.json of an evaluation.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Exit with 0 whatever the verdict.")
    ] = False,
) -> None:
    """Decide on stored scores by the policy of `evaluation`. Exit code 1: not released."""
    from doctune.evaluation import replay_gate

    replay = replay_gate(scores, load_settings().evaluation)
    for line in replay.lines():
        typer.echo(line)
    if not (dry_run or replay.verdict.passed):
        raise typer.Exit(1)


@app.command()
def doctor(
    spec: Annotated[Path, typer.Option(help="Where the compiled pipeline should be.")] = SPEC,
) -> None:
    """Check what is missing on this machine, and how to mend it."""
    from doctune.doctor import diagnose

    findings = diagnose(spec)
    table = Table("", "check", "found", "mend", box=None, pad_edge=False)
    for finding in findings:
        mark = "ok" if finding.ok else ("MISSING" if finding.required else "optional")
        table.add_row(mark, finding.name, finding.found, "" if finding.ok else finding.mend)
    Console().print(table)
    if any(finding.required and not finding.ok for finding in findings):
        raise typer.Exit(1)


@config_app.command("show")
def show_config() -> None:
    """Print the settings in force: files, with the environment over them."""
    settings = {"config": load_settings(), "vertex_config": load_vertex_settings()}
    shown = {
        name: value.model_dump(mode="json", exclude={"documents": {"password"}})
        for name, value in settings.items()
    }
    typer.echo(json.dumps(shown, indent=2))


@config_app.command("validate")
def validate_config() -> None:
    """Check both files and the environment."""
    load_settings()
    load_vertex_settings()
    typer.echo("The configuration is valid.")


@config_app.command("reference")
def config_reference() -> None:
    """Print every key with its type, range, default and environment variable, as Markdown."""
    from doctune.settings_reference import reference

    typer.echo(reference(), nl=False)


@local_app.command()
def up() -> None:
    """Start Vertex AI on this machine and leave it running."""
    from doctune.localvertex import up as start

    running = start(_local_config())
    typer.echo(f"Vertex AI is up on this machine: {running.endpoint}")
    typer.echo("Run a program inside it: doctune local exec -- python script.py")


@local_app.command()
def status() -> None:
    """Show whether it runs, and where. Exit code 1 where it does not."""
    from doctune.localvertex import status as look

    running = look(_local_config())
    if running is None:
        typer.echo("It does not run. Start it with: doctune local up")
        raise typer.Exit(1)
    table = Table.grid(padding=(0, 2))
    table.add_row("endpoint", running.endpoint)
    table.add_row("process", str(running.pid))
    table.add_row("state", str(running.state_dir))
    table.add_row("log", str(running.log_path))
    Console().print(table)


@local_app.command()
def down() -> None:
    """Stop it and all it started; what it holds is kept."""
    from doctune.localvertex import down as stop

    typer.echo("Stopped." if stop(_local_config()) else "It was not running.")


@local_app.command(
    "exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def execute(context: typer.Context) -> None:
    """Run any program inside it: doctune local exec -- CMD ARGS."""
    from doctune.localvertex import execute as run_inside

    if not context.args:
        raise UsageError("give a command after `--`, such as: doctune local exec -- python a.py")
    raise typer.Exit(run_inside(_local_config(), context.args))


def _local_config() -> "LocalVertexConfig":
    from doctune.localvertex import LocalVertexConfig

    vertex = load_vertex_settings()
    return LocalVertexConfig(
        project=vertex.project,
        location=vertex.location,
        state_dir=vertex.local.state_dir.absolute(),
        programs=vertex.local.programs,
        buckets=(vertex.staging_bucket,),
    )


@contextmanager
def _local_vertex() -> Iterator[dict[str, str]]:
    """Points this process at the Vertex AI of this machine, which is started if none runs."""
    from doctune.localvertex import LocalVertex

    with LocalVertex.attach_or_start(_local_config()) as local:
        os.environ.update(local.environment)
        yield local.environment


def _exit_on_signal(number: int, _frame: object) -> NoReturn:
    # Unwinds the context managers, so that what was started is stopped.
    sys.exit(128 + number)
