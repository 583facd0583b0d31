"""`doctune doctor`: what is missing, and how to mend it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from doctune.cli.app import app
from doctune.cli.paths import SPEC


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
