"""Kills a server's child processes after the server has ended, however it ended.

    python -m doctune.localvertex.watchdog OWNER < PIPE

The server holds the other end of the pipe. When that closes, every process that carries the owner's
mark in its environment (serving programs, jobs, and whatever they started) is ended.
"""

import os
import sys

import psutil

OWNER_VARIABLE = "LOCALVERTEX_OWNER"


def end_owned(owner: str) -> None:
    """Kills all processes with an owner's mark."""
    owned = [process for process in psutil.process_iter() if _is_owned(process, owner)]
    for process in owned:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(owned, timeout=3)
    for process in alive:
        _quietly(process.kill)


def _is_owned(process: psutil.Process, owner: str) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(OWNER_VARIABLE) == owner
    except (psutil.Error, OSError):
        return False


def _quietly(action: object) -> None:
    try:
        action()  # type: ignore[operator]
    except psutil.Error:
        return


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_owned(sys.argv[1])
