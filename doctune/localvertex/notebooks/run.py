"""Runs a notebook in localvertex, and reports the results of its cells and jobs."""

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from doctune.files import write_text
from doctune.localvertex.lifecycle import LocalVertex
from doctune.localvertex.notebooks.cells import default_values, read_cells
from doctune.localvertex.notebooks.kernel import PLAN, REPORTS, Plan
from doctune.localvertex.notebooks.report import CellReport, read_reports
from doctune.localvertex.notebooks.scripts import write_notebook_scripts
from doctune.processes import start_process, stop_process
from doctune.runner.gcs_mount import mounting
from doctune.runner.overlay import make_overlay, overlay_environment

_KERNEL = "doctune.localvertex.notebooks.kernel"
_POLL_SECONDS = 0.2
_GOING_ON = ("RUNNING", "PENDING", "QUEUED", "CANCELLING")
_JOB_KINDS = (
    *("PipelineJob", "CustomJob", "HyperparameterTuningJob", "BatchPredictionJob"),
    "TrainingPipeline",
)


@dataclass
class NotebookResult:
    """The result of a notebook."""

    folder: Path
    cells: list[CellReport]
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether no cell failed."""
        ran = [cell for cell in self.cells if cell.state == "passed"]
        return bool(ran) and not self.problems and not self.count("failed")

    def count(self, state: str) -> int:
        """Returns the number of cells in a state."""
        return sum(cell.state == state for cell in self.cells)


def run_notebook(
    notebook: Path,
    local: LocalVertex,
    folder: Path,
    *,
    values: Mapping[str, str],
    on_cell: Callable[[CellReport], None],
    timeout_seconds: float,
    keep_going: bool = False,
) -> NotebookResult:
    """Runs the cells of a notebook in order, up to the first that fails.

    Args:
        folder: Where it works, and what it writes stays.
        values: What the user says for names that the notebook sets.
        on_cell: Called for each cell that has ended.
        timeout_seconds: How long one cell may take.
        keep_going: Whether cells after one that failed are run too.

    Raises:
        UsageError: It is no notebook.
    """
    cells = read_cells(notebook)
    work = folder / "work"
    work.mkdir(parents=True)
    variables = local.environment
    defaults = default_values(variables["GOOGLE_CLOUD_PROJECT"], variables["CLOUD_ML_REGION"])
    plan = Plan(
        notebook=notebook.absolute(), values=dict(values), defaults=defaults, keep_going=keep_going
    )
    write_text(folder / PLAN, plan.model_dump_json(indent=2))
    begun = datetime.now(UTC)
    problem = _run_kernel(local, folder, work, on_cell, timeout_seconds)
    reports = read_reports(folder / REPORTS)
    result = NotebookResult(folder, reports, [problem] if problem else [])
    missing = len(cells) - len(reports)
    if missing and not result.count("failed") and not problem:
        result.problems.append(f"{missing} cells were not run")
    result.problems += _failed_jobs(local.status.state_dir, begun, timeout_seconds)
    return result


def _run_kernel(
    local: LocalVertex,
    folder: Path,
    work: Path,
    on_cell: Callable[[CellReport], None],
    timeout_seconds: float,
) -> str:
    """Runs the kernel; returns its problems other than failed cells."""
    beginning = mounting(local.status.state_dir / "storage", refuse_folder_renames=False)
    make_overlay(folder / "python")
    python = folder / "python" / "bin" / "python"
    with (folder / "output.txt").open("ab") as output:
        process = start_process(
            [*beginning, str(python), "-m", _KERNEL, str(folder)],
            environment=_environment(local, folder),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=work,
        )
    seen = 0
    changed = time.monotonic()
    running: CellReport | None = None
    try:
        while True:
            over = process.poll() is not None
            reports = read_reports(folder / REPORTS)
            ended = [report for report in reports if report.state != "started"]
            for report in ended[seen:]:
                on_cell(report)
            if len(ended) > seen or not reports:
                seen, changed = len(ended), time.monotonic()
            running = next((report for report in reports if report.state == "started"), None)
            if over:
                break
            if time.monotonic() - changed > timeout_seconds:
                number = running.number if running else seen + 1
                return f"cell {number} took longer than {timeout_seconds:g} s"
            time.sleep(_POLL_SECONDS)
    finally:
        if process.poll() is None:
            stop_process(process.pid)
    if running is not None:
        return f"the kernel ended in cell {running.number} (exit code {process.returncode})"
    if process.returncode not in (0, 1):
        return f"the kernel ended with exit code {process.returncode}; see {folder / 'output.txt'}"
    return ""


def _environment(local: LocalVertex, folder: Path) -> dict[str, str]:
    """Returns the environment of a kernel, with its commands first on the path and no display."""
    binaries = folder / "bin"
    write_notebook_scripts(binaries)
    variables = overlay_environment({**os.environ, **local.environment}, folder / "python")
    return {
        **variables,
        "PATH": os.pathsep.join([str(binaries), variables["PATH"]]),
        "MPLBACKEND": "Agg",
        "IPYTHONDIR": str(folder / "ipython"),
    }


def _failed_jobs(state_dir: Path, begun: datetime, seconds: float) -> list[str]:
    """Returns the jobs that were created since a moment and have not succeeded.

    A notebook that starts a job and never asks for it has not shown that it works: those that still
    run get their time.
    """
    deadline = time.monotonic() + seconds
    while True:
        jobs = _jobs(state_dir, begun)
        going_on = [job for job in jobs if job.state.endswith(_GOING_ON)]
        if not going_on or time.monotonic() > deadline:
            return [str(job) for job in jobs if job.state.endswith((*_GOING_ON, "FAILED"))]
        time.sleep(1.0)


@dataclass(frozen=True)
class _Job:
    kind: str
    name: str
    state: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} is {self.state}" + (self.reason and f": {self.reason}")


def _jobs(state_dir: Path, begun: datetime) -> list[_Job]:
    found = []
    with sqlite3.connect(f"file:{state_dir / 'state.db'}?mode=ro", uri=True) as database:
        for kind in _JOB_KINDS:
            rows = database.execute("SELECT document FROM resources WHERE kind = ?", (kind,))
            for (text,) in rows.fetchall():
                job = json.loads(text)
                made = datetime.fromisoformat(job["create_time"].replace("Z", "+00:00"))
                state = str(job.get("state", ""))
                if made >= begun:
                    reason = job.get("error", {}).get("message", "").strip().split("\n")[0]
                    name = job.get("display_name") or job["name"]
                    found.append(_Job(kind, name, state, reason))
    return found
