"""The `doctune` command, to which the other modules of this package add their subcommands."""

import gc
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from doctune.errors import DoctuneError

app = typer.Typer(
    help="From a folder of PDFs to a fine-tuned, evaluated and deployed language model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Runs the command. Errors that a user can fix are one line, with exit code 1 or 2."""
    signal.signal(signal.SIGTERM, _exit_on_signal)
    # Importing Google's SDK creates 300,000 permanent objects; repeated garbage collections over
    # them take a quarter of a command's start-up time.
    gc.set_threshold(50_000)
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
    environment: Annotated[
        str,
        typer.Option(
            help="An environment in config/environments that overrides both files: dev, prod, ..."
        ),
    ] = "",
) -> None:
    from doctune.logs import configure_logging

    configure_logging()
    if debug:
        os.environ["DOCTUNE_DEBUG"] = "1"
    if config:
        # An absolute path, since the steps of a run have other working directories.
        os.environ["DOCTUNE_CONFIG"] = str(config.absolute())
    if environment:
        os.environ["DOCTUNE_ENVIRONMENT"] = environment


def _exit_on_signal(number: int, _frame: object) -> NoReturn:
    # Unwinds the context managers, which stop what they started. A second signal must not interrupt
    # that.
    signal.signal(signal.SIGTERM, lambda *_: None)
    sys.exit(128 + number)
