"""`doctune local`: Vertex AI on this machine."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from doctune.cli.app import app
from doctune.cli.local_vertex import local_config
from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.localvertex.notebooks.report import CellReport

local_app = typer.Typer(
    help="localvertex (Vertex AI on this machine): start, stop, run a program inside it.",
    no_args_is_help=True,
)
app.add_typer(local_app, name="local")


@local_app.command()
def up() -> None:
    """Start Vertex AI on this machine and leave it running."""
    from doctune.localvertex import up as start

    running = start(local_config())
    typer.echo(f"Vertex AI is up on this machine: {running.endpoint}")
    typer.echo("Run a program inside it: doctune local exec -- python script.py")


@local_app.command()
def status() -> None:
    """Show whether it is running, and at which address. Exit code 1 if it is not."""
    from doctune.localvertex import status as look

    running = look(local_config())
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
    """Stop it and everything it started; its state is kept."""
    from doctune.localvertex import down as stop

    typer.echo("Stopped." if stop(local_config()) else "It was not running.")


@local_app.command(
    "exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def execute(context: typer.Context) -> None:
    """Run any program against it: doctune local exec -- CMD ARGS."""
    from doctune.localvertex import execute as run_inside

    if not context.args:
        raise UsageError("give a command after `--`, such as: doctune local exec -- python a.py")
    raise typer.Exit(run_inside(local_config(), context.args))


@local_app.command()
def notebook(
    file: Annotated[Path, typer.Argument(help="The notebook, an .ipynb file.")],
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE: overrides a constant of the notebook."),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Continue after a cell that failed.")
    ] = False,
    cell_timeout: Annotated[
        float, typer.Option(help="Time limit per cell, in seconds.", min=1)
    ] = 1800,
) -> None:
    """Run a notebook inside it, and say for each cell: passed, skipped or failed."""
    from doctune.localvertex import LocalVertex
    from doctune.localvertex.notebooks.run import run_notebook

    given = dict(_assignment(text) for text in values or [])
    config = local_config()
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = config.state_dir / "notebooks" / f"{file.stem}-{stamp}"
    with LocalVertex.attach_or_start(config) as local:
        result = run_notebook(
            file,
            local,
            folder,
            values=given,
            on_cell=_show_cell,
            timeout_seconds=cell_timeout,
            keep_going=keep_going,
        )
    for problem in result.problems:
        typer.echo(f"failed: {problem}")
    counts = ", ".join(
        f"{result.count(state)} {state}" for state in ("passed", "skipped", "failed")
    )
    typer.echo(f"{'PASSED' if result.passed else 'FAILED'} {file.name}: {counts} ({folder})")
    if not result.passed:
        raise typer.Exit(1)


def _show_cell(cell: "CellReport") -> None:
    note = f"  {cell.reason}" if cell.reason else ""
    typer.echo(f"[{cell.number:>3}] {cell.state:<8} {cell.seconds:7.1f} s  {cell.title}{note}")


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--set takes NAME=VALUE, not {text!r}.")
    return name, value
