"""Pipeline runs: compile, publish, submit, follow and cancel."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from doctune.cli.app import app
from doctune.cli.follow import follow_logs, follow_run, task_table
from doctune.cli.paths import SPEC
from doctune.cli.pipeline_values import run_parameters
from doctune.cli.session import AsJson, Impersonate, Local, run_settings, vertex_session
from doctune.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from doctune.vertex.jobs import Run

_COMPILER = Path("compile.py")

RunName = Annotated[
    str, typer.Argument(metavar="[RUN]", help="Id or resource name of a run; default: the latest.")
]
Spec = Annotated[
    str,
    typer.Argument(help="File, gs:// object, or template (https://LOCATION-kfp.pkg.dev/...)."),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; may be repeated."),
]
ParameterFile = Annotated[
    Path | None, typer.Option("--parameters", help="YAML or JSON file of parameters.")
]
Pdfs = Annotated[
    str,
    typer.Option(
        help="Folder of PDFs: gs://, or local (uploaded first); default: `pdfs` of config.yaml."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Upload many PDFs without asking first.")]
Cache = Annotated[
    bool | None,
    typer.Option("--cache/--no-cache", help="Default: as in vertex_config.yaml and the spec."),
]


@app.command("compile")
def compile_specs(
    out: Annotated[Path, typer.Option(help="Output folder for the specs.")] = Path("dist"),
    image_prefix: Annotated[str, typer.Option(help="Registry, project and repository.")] = "",
    image_tag: Annotated[str, typer.Option(help="Tag of the images: a git SHA in a release.")] = "",
) -> None:
    """Compile every pipeline and component to YAML."""
    if not _COMPILER.is_file():
        raise UsageError("there is no compile.py here: run this in the project's folder.")
    command = [sys.executable, str(_COMPILER), "--out", str(out)]
    for option, value in (("--image-prefix", image_prefix), ("--image-tag", image_tag)):
        command += [option, value] if value else []
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def publish(
    repository: Annotated[
        str, typer.Option(help="https://LOCATION-kfp.pkg.dev/PROJECT/REPOSITORY.")
    ],
    specs: Annotated[
        list[Path] | None,
        typer.Argument(help="Compiled pipelines; default: dist/pipelines/*.yaml."),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
    description: Annotated[str, typer.Option(help="Description of this version.")] = "",
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """Upload compiled pipelines to Artifact Registry, with tags."""
    from doctune.vertex.publishing import publish as upload

    chosen = specs or sorted(SPEC.parent.glob("*.yaml"))
    if not chosen:
        raise UsageError(f"there is no spec in {SPEC.parent}: make them with `doctune compile`.")
    with vertex_session(local, impersonate, sdk=False):
        done = [
            upload(path, repository, tags=tag or (), description=description) for path in chosen
        ]
    if as_json:
        typer.echo(json.dumps([asdict(template) for template in done]))
        return
    for template in done:
        typer.echo(template.url)


@app.command()
def submit(
    spec: Spec = str(SPEC),
    param: Parameters = None,
    parameters: ParameterFile = None,
    pdfs: Pdfs = "",
    yes: Yes = False,
    display_name: Annotated[str, typer.Option(help="Default: the pipeline's name.")] = "",
    job_id: Annotated[str, typer.Option(help="Default: generated from name and time.")] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end of the run; exit code 1 if it fails.")
    ] = False,
    cache: Cache = None,
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """Start a run of a compiled pipeline on Vertex AI.

    Parameters come from config.yaml and vertex_config.yaml, a file, and --param; all are checked
    against the spec before anything is sent.
    """
    from doctune.vertex.jobs import submit as start
    from doctune.vertex.specs import read_signature

    # Without --wait, the local Vertex AI must outlive this command.
    with vertex_session(local, impersonate, keep_running=True) as vertex:
        values = run_parameters(
            read_signature(spec), vertex, given=param or (), file=parameters, pdfs=pdfs, yes=yes
        )
        run = start(
            spec,
            values,
            display_name=display_name,
            job_id=job_id,
            settings=run_settings(vertex, cache),
        )
        if not as_json:
            _announce(run, local)
        if wait:
            run = follow_run(run.job_id, Console(stderr=True))
        if as_json:
            _print_json(run)
    if wait and run.state != "succeeded":
        raise PipelineError(f"{run.job_id} {run.state}: {run.error or 'no reason is given'}")


@app.command("status")
def show_status(
    run: RunName = "",
    endpoint: Annotated[
        str, typer.Option(help="Show this endpoint instead: versions, rates, alerts, experiment.")
    ] = "",
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """Show a run and its steps, or an endpoint."""
    from doctune.cli.endpoint_status import show_endpoint
    from doctune.vertex.jobs import status

    if run and endpoint:
        raise UsageError("give a run or --endpoint, not both.")
    with vertex_session(local, impersonate):
        if endpoint:
            show_endpoint(endpoint, as_json)
            return
        found = status(run or _latest())
    if as_json:
        _print_json(found)
        return
    console = Console()
    console.print(f"{found.job_id}: {found.state}", highlight=False)
    console.print(task_table(found))
    if found.error:
        console.print(found.error, style="red", markup=False, soft_wrap=True)
    if not local:
        typer.echo(found.console_url)


@app.command()
def logs(
    run: RunName = "",
    task: Annotated[str, typer.Option(help="Only this step's.")] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue until the run is over.")
    ] = False,
    local: Local = True,
    impersonate: Impersonate = "",
) -> None:
    """Print the logs of a run's steps."""
    with vertex_session(local, impersonate):
        for line in follow_logs(run or _latest(), task=task, follow=follow):
            typer.echo(f"{line.time} {line.task} {line.severity} {line.text}")


@app.command()
def cancel(run: RunName = "", local: Local = True, impersonate: Impersonate = "") -> None:
    """Ask a run to stop."""
    from doctune.vertex.jobs import cancel as stop

    with vertex_session(local, impersonate):
        name = run or _latest()
        found = stop(name)
    said = f"is over already ({found.state})" if found.is_over else "is asked to stop"
    typer.echo(f"{name} {said}.")


@app.command("runs")
def list_runs(
    pipeline: Annotated[str, typer.Option(help="Only runs of this pipeline.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of runs.")] = 20,
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """List the latest runs, newest first."""
    from doctune.vertex.jobs import runs

    with vertex_session(local, impersonate):
        found = runs(pipeline=pipeline, limit=limit)
    if as_json:
        typer.echo(json.dumps([asdict(run) for run in found], default=str))
        return
    # A truncated id could not be passed to another command.
    whole = Column("run", no_wrap=True)
    table = Table(whole, "pipeline", "state", "created", box=None, pad_edge=False)
    for run in found:
        created = run.created.strftime("%Y-%m-%d %H:%M:%S") if run.created else ""
        table.add_row(run.job_id, run.pipeline, run.state, created)
    Console().print(table)


def _latest() -> str:
    from doctune.vertex.jobs import runs

    found = runs(limit=1)
    if not found:
        raise PipelineError("there is no run yet: start one with `doctune submit`.")
    return found[0].job_id


def _announce(run: "Run", local: bool) -> None:
    typer.echo(f"Submitted: {run.job_id}")
    where = "" if local else " --cloud"
    typer.echo(f"Look at it: doctune status{where} {run.job_id}")
    if not local:
        typer.echo(run.console_url)


def _print_json(run: "Run") -> None:
    typer.echo(json.dumps(asdict(run), default=str))
