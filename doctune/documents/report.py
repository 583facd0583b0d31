"""The HTML report on what was read: one self-contained file."""

from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from doctune.files import write_text

if TYPE_CHECKING:
    from doctune.documents.corpus import CorpusSummary, FileResult


def write_report(
    path: Path, results: "list[FileResult]", summary: "CorpusSummary", seconds: float
) -> None:
    """Writes the report: totals, rejects with their reasons, then a row for each file."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("doctune.documents", "."), autoescape=True
    )
    template = environment.get_template("report.html")
    write_text(path, template.render(results=results, summary=summary, seconds=seconds))
