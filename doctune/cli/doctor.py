"""`doctune doctor`: what is missing, and how to fix it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from doctune.cli.app import app
from doctune.cli.paths import SPEC
from doctune.cli.session import AsJson, Impersonate, vertex_session
from doctune.errors import ConfigurationError

if TYPE_CHECKING:
    from doctune.findings import Finding


@app.command()
def doctor(
    spec: Annotated[Path, typer.Option(help="The compiled pipeline.")] = SPEC,
    cloud: Annotated[
        bool,
        typer.Option(
            "--cloud",
            help="Check the project on Google Cloud instead.",
        ),
    ] = False,
    impersonate: Impersonate = "",
    as_json: AsJson = False,
) -> None:
    """Check what is missing on this machine, or on Google Cloud, and how to fix it."""
    from doctune.runner.doctor import diagnose

    findings = _cloud_findings(impersonate) if cloud else diagnose(spec)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _show(findings)
    if any(finding.required and not finding.ok for finding in findings):
        raise typer.Exit(1)


def _cloud_findings(impersonate: str) -> "list[Finding]":
    from doctune.findings import Finding
    from doctune.vertex.cloud_checks import diagnose_cloud

    try:
        with vertex_session(local=False, impersonate_service_account=impersonate) as settings:
            return diagnose_cloud(settings)
    except ConfigurationError as error:
        return [Finding("configuration", False, str(error), "correct what the line names")]


def _show(findings: "list[Finding]") -> None:
    table = Table("", "check", "found", "fix", box=None, pad_edge=False)
    for finding in findings:
        mark = "ok" if finding.ok else ("MISSING" if finding.required else "optional")
        table.add_row(mark, finding.name, finding.found, "" if finding.ok else finding.fix)
    Console().print(table)
