"""`doctune local`: Vertex AI on this machine."""

import typer
from rich.console import Console
from rich.table import Table

from doctune.cli.app import app
from doctune.cli.local_vertex import local_config
from doctune.errors import UsageError

local_app = typer.Typer(
    help="Vertex AI on this machine: start it, look at it, run a program inside it.",
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
    """Show whether it is running, and where. Exit code 1 if it is not."""
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
