"""Child processes that do not outlive their parent.

Each child leads a process group of its own, so that the whole tree can be ended at once, and asks
the kernel (Linux) to be terminated when its parent dies, however that happens.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

_PR_SET_PDEATHSIG = 1


def start_process(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    cwd: Path | None = None,
    text: bool = False,
    die_with_parent: bool = True,
) -> subprocess.Popen[Any]:
    """Starts a program as the leader of a new session.

    Args:
        command: The program and its arguments; never a shell line.
        environment: The whole environment of the child; None for that of this process.
        die_with_parent: Whether the child gets SIGTERM when the thread that started it ends.
    """
    parent = os.getpid()

    def before_exec() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

    return subprocess.Popen(
        [str(part) for part in command],
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        text=text,
        bufsize=1 if text else -1,
        start_new_session=True,
        preexec_fn=before_exec if die_with_parent else None,
    )


def stop_process(pid: int, grace_seconds: float = 5.0) -> None:
    """Ends a process and all its descendants: SIGTERM first, SIGKILL to what is left after."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in tree:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(tree, timeout=grace_seconds)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=grace_seconds)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
