"""Runs a program with its output in a log, and kills its process tree at the end."""

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from doctune.localvertex.api.errors import precondition
from doctune.localvertex.programs import last_lines
from doctune.processes import start_process, stop_process

_POLL_SECONDS = 0.1


async def run_program(
    command: Sequence[str],
    environment: Mapping[str, str],
    log_path: Path,
    *,
    cwd: Path | None = None,
) -> int:
    """Runs a program; returns its exit code (negative: the signal that killed it).

    Cancelling the waiting task kills the program and its process tree.

    Raises:
        ApiError: FAILED_PRECONDITION: it cannot be started.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        try:
            process = start_process(
                command, environment=environment, stdout=log, stderr=subprocess.STDOUT, cwd=cwd
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise precondition(f"{command[0]} cannot be started: {error}.") from error
    try:
        while (code := process.poll()) is None:
            await asyncio.sleep(_POLL_SECONDS)
        return int(code)
    finally:
        if process.poll() is None:
            # Shielded: a second cancellation must not leave the tree running.
            await asyncio.shield(asyncio.to_thread(stop_process, process.pid))
            process.poll()


def exit_reason(code: int, log_path: Path) -> str:
    """Returns why a program ended, with its last log lines."""
    how = f"was ended by signal {-code}" if code < 0 else f"exited with status {code}"
    return f"{how}. Last log lines:\n{last_lines(log_path)}"
