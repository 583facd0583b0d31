"""Runs the cells of a notebook with IPython, in a separate process.

    python -m doctune.localvertex.notebooks.kernel FOLDER

FOLDER/plan.json says what to run; a line of FOLDER/cells.jsonl says what became of each cell. A
cell has passed only where all of it ran and nothing in it failed: a traceback that IPython shows
without raising it, and a shell command that ends with an error, are failures; a command that is not
run here makes the cell a skipped one.
"""

import builtins
import getpass
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from doctune.localvertex.notebooks.cells import Cell, left_out, prepared, read_cells
from doctune.localvertex.notebooks.installs import INSTALL, install_missing
from doctune.localvertex.notebooks.report import CellReport, CellState, add_report
from doctune.localvertex.notebooks.skips import (
    SKIPS_VARIABLE,
    add_skip,
    asks_container,
    container_ports,
    take_skips,
)

PLAN, REPORTS, SKIPS = "plan.json", "cells.jsonl", "skips.txt"

_FAILURE_STATUS = 1


class Plan(BaseModel):
    """The input of the kernel."""

    notebook: Path
    values: dict[str, str]
    defaults: dict[str, str]
    keep_going: bool = False


class InputWantedError(Exception):
    """A cell requests input."""


class Kernel:
    """An IPython shell, and the problems of the current cell."""

    def __init__(self, skips: Path) -> None:
        from IPython.core.interactiveshell import InteractiveShell

        class Shell(InteractiveShell):
            def enable_gui(self, gui: str | None = None) -> None:
                """Does nothing: figures are drawn but not displayed."""

        self._skips = skips
        self._problems: list[str] = []
        self._wanted = ""
        self._container_ports: set[str] = set()  # of containers that docker was to run
        self.shell = Shell.instance()
        self.shell.colors = "nocolor"
        self._watch_tracebacks()
        self._watch_commands()
        refuse: Any = _refuse_bigquery  # IPython's types want a shell as the first argument
        self.shell.register_magic_function(refuse, "line_cell", "bigquery")
        for module, name in ((builtins, "input"), (getpass, "getpass")):
            setattr(module, name, self._refuse_input)

    def run(self, source: str) -> tuple[CellState, str]:
        """Runs one cell; returns its state, and the reason if it has not passed."""
        self._problems.clear()
        self._wanted = ""
        take_skips(self._skips)
        result = self.shell.run_cell(source, store_history=True)
        sys.stdout.flush()
        error = result.error_before_exec or result.error_in_exec
        if self._wanted:
            return "skipped", f"it asks for input ({self._wanted}); give it with --set NAME=VALUE"
        if isinstance(error, SystemExit) and error.code in (None, 0):
            error = None
        if error is not None:
            return "failed", f"{type(error).__name__}: {_first_line(error)}"
        if self._problems:
            return "failed", self._problems[0]
        if skipped := take_skips(self._skips):
            self._container_ports.update(*map(container_ports, skipped))
            return "skipped", "not run here: " + "; ".join(dict.fromkeys(skipped))
        return "passed", ""

    def _watch_tracebacks(self) -> None:
        for name in ("showtraceback", "showsyntaxerror"):
            show = getattr(self.shell, name)

            def watched(*args: Any, _show: Any = show, **kwargs: Any) -> Any:
                kind, value = sys.exc_info()[:2]
                if kind is not None and not issubclass(kind, (SystemExit, InputWantedError)):
                    self._problems.append(f"{kind.__name__}: {_first_line(value)}")
                return _show(*args, **kwargs)

            setattr(self.shell, name, watched)

    def _watch_commands(self) -> None:
        def system(command: str) -> None:
            # Variables are expanded in the caller's frame, one above this one.
            self._command(self.shell.var_expand(command, depth=1), capture=False)

        def getoutput(command: str, split: bool = True, depth: int = 0) -> Any:
            from IPython.utils.text import LSString, SList

            output = self._command(self.shell.var_expand(command, depth=depth + 1), capture=True)
            return SList(output.splitlines()) if split else LSString(output)

        for name, function in (("system", system), ("getoutput", getoutput)):
            setattr(self.shell, name, function)
        for name in ("pip", "conda", "mamba", "uv"):
            self.shell.register_magic_function(self._skip_magic(name), "line", name)

    def _command(self, command: str, *, capture: bool) -> str:
        """Runs a shell line, and records a failure."""
        self.shell.user_ns["_exit_code"] = 0
        if INSTALL.search(command):
            add_skip(self._skips, install_missing(command))
            return ""
        if asks_container(command, self._container_ports):
            add_skip(self._skips, f"{command} (asks the container that docker was to run)")
            return ""
        sys.stdout.flush()
        # A shell is intended: the line comes from the notebook.
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.STDOUT if capture else None,
            text=True,
            check=False,
        )
        self.shell.user_ns["_exit_code"] = done.returncode
        if done.returncode != 0:
            said = (done.stdout or "").strip().split("\n")[-1][:200]
            self._problems.append(
                f"`{command.strip()[:120]}` ended with exit code {done.returncode}"
                + (f": {said}" if said else "")
            )
        return done.stdout or ""

    def _skip_magic(self, name: str) -> Any:
        def skip(line: str) -> None:
            add_skip(self._skips, install_missing(f"{name} {line}"))

        return skip

    def _refuse_input(self, prompt: object = "", *_: object) -> str:
        self._wanted = str(prompt).strip() or "no prompt"
        raise InputWantedError(self._wanted)


def _refuse_bigquery(line: str, cell: str = "") -> None:
    """Stands for the magic of google-cloud-bigquery, whose request would be refused too."""
    raise NotImplementedError("localvertex does not stand for BigQuery: %%bigquery is not run.")


def main(folder: Path) -> int:
    """Runs the cells of a plan; returns the exit code."""
    plan = Plan.model_validate_json((folder / PLAN).read_text(encoding="utf-8"))
    skips = folder / SKIPS
    os.environ[SKIPS_VARIABLE] = str(skips)
    # As in Jupyter: modules are looked for where the notebook is, also after %cd.
    sys.path.insert(0, "")
    kernel = Kernel(skips)
    failed = False
    for cell in read_cells(plan.notebook):
        state = _run(kernel, cell, plan, folder / REPORTS)
        failed = failed or state == "failed"
        if state == "failed" and not plan.keep_going:
            break
    return _FAILURE_STATUS if failed else 0


def _run(kernel: Kernel, cell: Cell, plan: Plan, reports: Path) -> CellState:
    about: dict[str, Any] = {"number": cell.number, "title": cell.title}
    add_report(reports, CellReport(**about, state="started"))
    start = time.monotonic()
    reason = left_out(cell)
    state: CellState = "skipped"
    if not reason:
        state, reason = kernel.run(prepared(cell.source, plan.values, plan.defaults))
    seconds = round(time.monotonic() - start, 1)
    add_report(reports, CellReport(**about, state=state, seconds=seconds, reason=reason))
    return state


def _first_line(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else ""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
