"""`doctune config`: look at the configuration."""

import json

import typer

from doctune.cli.app import app
from doctune.settings import load_settings, load_vertex_settings

config_app = typer.Typer(help="Look at the configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")


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
