"""Cell reports, written by the kernel and read by the process that started it."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

CellState = Literal["started", "passed", "skipped", "failed"]


class CellReport(BaseModel):
    """The state of one cell."""

    model_config = ConfigDict(frozen=True)

    number: int
    title: str
    state: CellState
    seconds: float = 0.0
    reason: str = ""


def add_report(path: Path, report: CellReport) -> None:
    """Appends a report to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(report.model_dump_json() + "\n")


def read_reports(path: Path) -> list[CellReport]:
    """Returns the latest report of each cell; an incomplete last line is skipped."""
    latest: dict[int, CellReport] = {}
    if path.is_file():
        for line in path.read_bytes().split(b"\n")[:-1]:
            report = CellReport.model_validate_json(line)
            latest[report.number] = report
    return [latest[number] for number in sorted(latest)]
