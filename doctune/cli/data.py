"""`doctune data`: copy folders to and from Cloud Storage."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doctune.cli.app import app
from doctune.cli.session import AsJson, Impersonate, Local, vertex_session

if TYPE_CHECKING:
    from doctune.vertex import TransferSummary

data_app = typer.Typer(help="Copy folders to and from Cloud Storage.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Uri = Annotated[str, typer.Argument(metavar="URI", help="gs://BUCKET/FOLDER.")]


@data_app.command()
def upload(
    folder: Annotated[Path, typer.Argument(help="Local folder.")],
    uri: Uri,
    overwrite: Annotated[
        bool,
        typer.Option(help="Replace objects that have other contents; otherwise that is an error."),
    ] = True,
    local: Local = True,
    impersonate: Impersonate = "",
) -> None:
    """Upload the changed files of a folder to gs://, verified by checksum."""
    from doctune.vertex import upload_folder

    with vertex_session(local, impersonate, sdk=False):
        _say(upload_folder(folder, uri, overwrite=overwrite), uri)


@data_app.command()
def download(
    uri: Uri,
    folder: Annotated[Path, typer.Argument(help="Local folder.")],
    local: Local = True,
    impersonate: Impersonate = "",
) -> None:
    """Download the changed files of a gs:// folder, verified by checksum."""
    from doctune.vertex import download_folder

    with vertex_session(local, impersonate, sdk=False):
        _say(download_folder(uri, folder), str(folder))


@data_app.command("ls")
def list_objects(
    uri: Uri, local: Local = True, impersonate: Impersonate = "", as_json: AsJson = False
) -> None:
    """List the objects of a gs:// folder."""
    from doctune.vertex import list_folder

    with vertex_session(local, impersonate, sdk=False):
        found = list_folder(uri)
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found]))
        return
    # Not a table, which would cut URIs to the terminal's width.
    for item in found:
        typer.echo(f"{item.size:>15,}  {item.updated[:19]}  {item.uri}")


def _say(summary: "TransferSummary", target: str) -> None:
    typer.echo(
        f"{summary.files_sent} files ({summary.bytes_sent / 1e6:.1f} MB) copied to {target}, "
        f"{summary.files_unchanged} were there."
    )
