"""Child processes that are killed when their parent exits.

Each child leads its own process group, so that the whole tree can be killed at once. On Linux the
kernel sends it SIGTERM when its parent dies, however that happens.

The parent's death signal (`PR_SET_PDEATHSIG`) can only be asked for by the child itself, between
fork and exec. No Python code may run there (`preexec_fn`): in a process with threads, the child may
deadlock on a lock that another thread held at the fork. So a launcher asks, and then becomes the
program, which keeps the process id. setpriv and sh do it in about 2 ms; Python, which does it where
these cannot, takes about 15 ms.
"""

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

# Both are given the parent's process id and the command. A parent that died before the death signal
# was asked for never causes one: then the child has another parent by now, and ends.
_SHELL_LAUNCHER = '[ "$PPID" = "$0" ] || exit 1; exec "$@"'
_PYTHON_LAUNCHER = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, {int(signal.SIGTERM)})  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""
_POLL_SECONDS = 0.02
_SHELL_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
        die_with_parent: Whether the child gets SIGTERM when the thread that started it ends (on
            Linux; elsewhere it outlives its parent).

    Raises:
        OSError: There is no such program or folder, or it is not executable.
    """
    parts = [str(part) for part in command]
    variables = dict(os.environ if environment is None else environment)
    if die_with_parent and sys.platform == "linux":
        _require_executable(parts[0], variables, cwd)
        parts = launcher(os.getpid(), variables) + parts
    return subprocess.Popen(
        parts,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        text=text,
        bufsize=1 if text else -1,
        start_new_session=True,
    )


def launcher(parent: int, environment: Mapping[str, str]) -> list[str]:
    """Returns a command prefix that makes a program end with its parent (Linux).

    Args:
        parent: The process that starts it. The program is not run if that has ended.
        environment: The program's environment. A shell would drop names that are not identifiers.
    """
    setpriv, shell = shutil.which("setpriv"), shutil.which("sh")
    if setpriv and shell and all(map(_SHELL_VARIABLE.fullmatch, environment)):
        tie = [setpriv, "--pdeathsig", "TERM", "--"]
        return [*tie, shell, "-c", _SHELL_LAUNCHER, str(parent)]
    return [sys.executable, "-I", "-S", "-c", _PYTHON_LAUNCHER, str(parent)]


def _require_executable(program: str, environment: Mapping[str, str], cwd: Path | None) -> None:
    """Raises the errors that Popen would raise without a launcher, which only sets a status."""
    if os.sep in program:
        candidates = [(cwd or Path()) / program]
    else:
        candidates = [Path(folder, program) for folder in os.get_exec_path(environment)]
    found = [candidate for candidate in candidates if candidate.exists()]
    if not any(candidate.is_file() and os.access(candidate, os.X_OK) for candidate in found):
        number = errno.EACCES if found else errno.ENOENT
        raise OSError(number, os.strerror(number), program)


def stop_process(pid: int, grace_seconds: float = 5.0) -> None:
    """Ends a process and its descendants: SIGTERM first, then SIGKILL to those that are left."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    _stop(tree, grace_seconds)


def stop_children(grace_seconds: float = 5.0) -> None:
    """Ends all descendants of this process: SIGTERM first, then SIGKILL to those that are left."""
    _stop(psutil.Process().children(recursive=True), grace_seconds)


def _stop(processes: list[psutil.Process], grace_seconds: float) -> None:
    for process in processes:
        _signal(process, signal.SIGTERM)
    for process in _outlasting(processes, grace_seconds):
        _signal(process, signal.SIGKILL)
    _outlasting(processes, grace_seconds)


def ignore_signals() -> None:
    """Ignores SIGTERM and SIGINT from now on, for a handler that shuts this process down.

    A second signal would re-enter the handler. That does happen: the kernel sends the parent's
    death signal once for each thread of the parent.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not SIG_IGN, which child processes would inherit.
        signal.signal(number, lambda *_: None)


def _outlasting(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Waits for processes to end; returns those that did not.

    It does not reap the exit status, as `psutil.wait_procs` would: Popen would then report 0.
    """
    deadline = time.monotonic() + seconds
    while (alive := [process for process in processes if _is_alive(process)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(_POLL_SECONDS)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
