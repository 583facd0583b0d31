"""`doctune schedule`: recurring runs."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from doctune.cli.app import app
from doctune.cli.paths import SPEC
from doctune.cli.pipeline_values import run_parameters
from doctune.cli.pipelines import Cache, ParameterFile, Parameters, Pdfs, Yes
from doctune.cli.session import AsJson, Impersonate, Local, run_settings, vertex_session

schedule_app = typer.Typer(help="Schedule pipeline runs.", no_args_is_help=True)
app.add_typer(schedule_app, name="schedule")

Name = Annotated[str, typer.Argument(help="The schedule's display name.")]


@schedule_app.command()
def create(
    name: Name,
    cron: Annotated[
        str, typer.Option(help="Minute, hour, day of month, month, day of week: '0 3 * * 1'.")
    ],
    spec: Annotated[str, typer.Option(help="File, gs:// object, or template.")] = str(SPEC),
    time_zone: Annotated[str, typer.Option(help="IANA name: Europe/Zurich.")] = "Etc/UTC",
    start_time: Annotated[str, typer.Option(help="RFC 3339; default: now.")] = "",
    end_time: Annotated[str, typer.Option(help="RFC 3339; default: never.")] = "",
    max_runs: Annotated[int | None, typer.Option(min=1, help="Maximum number of runs.")] = None,
    max_concurrent_runs: Annotated[
        int, typer.Option(min=1, help="Maximum number of concurrent runs.")
    ] = 1,
    queue: Annotated[
        bool,
        typer.Option("--queue", help="Let a run wait for the previous one instead of skipping it."),
    ] = False,
    param: Parameters = None,
    parameters: ParameterFile = None,
    pdfs: Pdfs = "",
    yes: Yes = False,
    cache: Cache = None,
    local: Local = True,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """Create a schedule, or update the one with this name.

    Each run reads the folder of PDFs as it is then, so nothing is reused between runs unless
    --cache is given.
    """
    from doctune.vertex.schedules import create_schedule
    from doctune.vertex.specs import read_signature

    with vertex_session(local, impersonate, keep_running=True) as vertex:
        signature = read_signature(spec)
        values = run_parameters(
            signature, vertex, given=param or (), file=parameters, pdfs=pdfs, yes=yes
        )
        # Left out: it is the digest of today's folder, but later runs read what is there then.
        values.pop("corpus_digest", None)
        values.get("evaluation_advanced", {}).pop("questions_digest", None)
        made = create_schedule(
            name,
            cron,
            spec,
            values,
            time_zone=time_zone,
            start_time=start_time,
            end_time=end_time,
            max_run_count=max_runs,
            max_concurrent_run_count=max_concurrent_runs,
            allow_queueing=queue,
            settings=run_settings(vertex, bool(cache)),
        )
    if as_json:
        typer.echo(json.dumps(asdict(made), default=str))
        return
    typer.echo(f"{made.display_name}: {made.cron}, {made.state}, next run {made.next_run}")
    if local:
        typer.echo("It fires as long as `doctune local status` shows that Vertex AI runs here.")


@schedule_app.command("list")
def list_all(local: Local = True, impersonate: Impersonate = "", as_json: AsJson = False) -> None:
    """List the schedules, by name."""
    from doctune.vertex.schedules import list_schedules

    with vertex_session(local, impersonate):
        found = list_schedules()
    if as_json:
        typer.echo(json.dumps([asdict(schedule) for schedule in found], default=str))
        return
    table = Table("schedule", "cron", "state", "next run", "runs", box=None, pad_edge=False)
    for schedule in found:
        following = str(schedule.next_run or "")
        row = (schedule.display_name, schedule.cron, schedule.state, following)
        table.add_row(*row, str(schedule.started_runs))
    Console().print(table)


@schedule_app.command()
def pause(name: Name, local: Local = True, impersonate: Impersonate = "") -> None:
    """Pause a schedule: it starts no run until it is resumed."""
    from doctune.vertex.schedules import pause_schedule

    with vertex_session(local, impersonate):
        pause_schedule(name)
    typer.echo(f"{name} is paused.")


@schedule_app.command()
def resume(name: Name, local: Local = True, impersonate: Impersonate = "") -> None:
    """Resume a paused schedule."""
    from doctune.vertex.schedules import resume_schedule

    with vertex_session(local, impersonate, keep_running=True):
        resume_schedule(name)
    typer.echo(f"{name} is active.")


@schedule_app.command()
def delete(name: Name, local: Local = True, impersonate: Impersonate = "") -> None:
    """Delete a schedule; its runs stay."""
    from doctune.vertex.schedules import delete_schedule

    with vertex_session(local, impersonate):
        delete_schedule(name)
    typer.echo(f"{name} is deleted.")
