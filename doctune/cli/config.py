"""`doctune config`: show, validate, export, import and compare the configuration."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from doctune.cli.app import app
from doctune.cli.session import AsJson

config_app = typer.Typer(
    help="Show, validate, export, import and compare configurations.", no_args_is_help=True
)
app.add_typer(config_app, name="config")


@config_app.command("show")
def show_config() -> None:
    """Print the effective settings: files, then the environment's, then variables."""
    from doctune.configuration.exchange import settings_in_force

    typer.echo(json.dumps(settings_in_force(), indent=2))


@config_app.command("validate")
def validate_config() -> None:
    """Check both files, every environment's, and the variables."""
    from doctune.configuration.environments import environments
    from doctune.configuration.exchange import settings_in_force
    from doctune.configuration.settings import config_folder

    settings_in_force()
    names = environments(config_folder())
    for name in names:
        settings_in_force(name)
    also = f", with each of the environments {', '.join(names)}" if names else ""
    typer.echo(f"The configuration is valid{also}.")


@config_app.command("export")
def export_config(
    out: Annotated[
        Path | None, typer.Argument(help="File to write; default: standard output.")
    ] = None,
) -> None:
    """Write all effective settings as one YAML file, without secrets."""
    from doctune.configuration.exchange import export_settings
    from doctune.files import write_text

    if out is None:
        typer.echo(export_settings(), nl=False)
    else:
        write_text(out, export_settings())


@config_app.command("import")
def import_config(
    source: Annotated[Path, typer.Argument(help="File that `doctune config export` wrote.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
) -> None:
    """Write exported settings to the configuration folder.

    With `doctune --environment NAME config import`, what differs from the base becomes that
    environment's.
    """
    from doctune.configuration.exchange import import_settings

    for path in import_settings(source, overwrite=overwrite):
        typer.echo(path)


@config_app.command("diff")
def diff_config(
    first: Annotated[str, typer.Argument(help='An environment, "base", or an exported file.')],
    second: Annotated[
        str, typer.Argument(help="The same; default: the effective configuration.")
    ] = "",
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if they differ.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the keys in which two configurations differ."""
    from doctune.configuration.exchange import compare

    found = compare(first, second)
    if as_json:
        typer.echo(json.dumps([asdict(difference) for difference in found]))
    else:
        for difference in found:
            typer.echo(str(difference))
    if found and exit_code:
        raise typer.Exit(1)


@config_app.command("reference")
def config_reference() -> None:
    """Print every key with its type, range, default and environment variable, as Markdown."""
    from doctune.configuration.reference import reference

    typer.echo(reference(), nl=False)
