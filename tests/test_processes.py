"""Child processes: started safely from threads, and gone when their parent is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from doctune import processes
from doctune.processes import launcher, start_process, stop_process
from tests.waiting import next_line, wait_for

linux = pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
_LIMIT_SECONDS = 30

# The death of a parent with many threads, each of which starts children while others hold locks.
_START_MANY = """
import logging, os, signal, subprocess, sys, threading, time
from doctune.processes import start_process

starters, children, marker = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
logging.basicConfig(stream=open(os.devnull, "w"))
ended, sleeping = [], []
over = threading.Event()

def hold_locks():
    while not over.is_set():
        logging.warning("%s", bytearray(100_000))

def start():
    for number in range(children):
        process = start_process(["sh", "-c", "exit 7"], stdout=subprocess.DEVNULL)
        ended.append(process.wait(30))
    sleeping.append(start_process(["sleep", marker]))
    over.wait(60)

for target in [hold_locks] * 2 + [start] * starters:
    threading.Thread(target=target, daemon=True).start()
deadline = time.monotonic() + float(sys.argv[4])
while len(sleeping) < starters and time.monotonic() < deadline:
    time.sleep(0.01)
print(len(ended), set(ended), len(sleeping), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@linux
def test_two_thousand_children_start_from_sixteen_threads_and_none_is_left() -> None:
    marker = f"98{os.getpid()}.5"  # seconds that no other process sleeps

    done = _python(_START_MANY, 16, 124, marker, 120, timeout=150)

    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split("\n")[0] == "1984 {7} 16", done.stderr
    wait_for(
        lambda: _sleepers(marker) == [], _LIMIT_SECONDS, "the children to end with their parent"
    )


@linux
@pytest.mark.parametrize("tool", ["setpriv", "python"])
def test_a_child_ends_when_its_parent_is_killed(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = f"97{os.getpid()}.5"
    script = (
        "import os, signal, sys\n"
        "from doctune.processes import start_process\n"
        "start_process(['sleep', sys.argv[1]])\n"
        "sys.stdin.readline()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    if tool == "python":  # a name that no shell can hold
        monkeypatch.setenv("not.a-name", "x")
    parent = _popen(script, marker)
    wait_for(lambda: len(_sleepers(marker)) == 1, _LIMIT_SECONDS, "the child to start")

    parent.communicate(b"\n", timeout=_LIMIT_SECONDS)

    wait_for(lambda: _sleepers(marker) == [], _LIMIT_SECONDS, "the child to end with its parent")


@linux
@pytest.mark.parametrize("environment", [{}, {"not.a-name": "x"}], ids=["setpriv", "python"])
def test_a_program_is_not_run_when_its_parent_has_died_already(
    environment: dict[str, str], tmp_path: Path
) -> None:
    another = os.getppid()  # not who starts it
    command = [*launcher(another, environment), "touch", str(tmp_path / "ran")]

    done = subprocess.run(command, check=False, timeout=_LIMIT_SECONDS)

    assert done.returncode == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("die_with_parent", [True, False])
@pytest.mark.parametrize("extra", [{}, {"a.b-c": "1"}], ids=["plain", "unusual"])
def test_a_child_gets_the_environment_and_arguments_as_given(
    die_with_parent: bool, extra: dict[str, str], tmp_path: Path
) -> None:
    environment = {"PATH": os.environ["PATH"], "PWD": str(tmp_path), "X": "a b\n$HOME", **extra}
    code = "import os, sys; print(sorted(os.environ.items()), sys.argv[1:], os.getcwd())"
    arguments = ["", "a b", '"$HOME" `id`; exit 3', "*"]

    process = start_process(
        [sys.executable, "-c", code, *arguments],
        environment=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        die_with_parent=die_with_parent,
    )
    out, _ = process.communicate(timeout=_LIMIT_SECONDS)

    if "LC_CTYPE" in out:  # Python's own, in the C locale
        environment["LC_CTYPE"] = "C.UTF-8"
    assert out.strip() == f"{sorted(environment.items())} {arguments} {tmp_path}"


@pytest.mark.parametrize("die_with_parent", [True, False])
def test_a_child_leads_a_session_under_the_id_that_is_returned(die_with_parent: bool) -> None:
    code = "import os; print(os.getpid(), os.getsid(0), os.getpgid(0), os.getppid())"

    process = start_process(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        die_with_parent=die_with_parent,
    )
    out, _ = process.communicate(timeout=_LIMIT_SECONDS)

    assert out.split() == [*[str(process.pid)] * 3, str(os.getpid())]


@pytest.mark.parametrize("die_with_parent", [True, False])
def test_a_program_that_cannot_be_run_is_an_error_of_the_system(
    die_with_parent: bool, tmp_path: Path
) -> None:
    (tmp_path / "plain").write_text("no program")

    for program, error in [
        ("no-such-program", FileNotFoundError),
        ("./no-such-program", FileNotFoundError),
        (tmp_path / "plain", PermissionError),
        ("./plain", PermissionError),
        (tmp_path, PermissionError),
    ]:
        with pytest.raises(error):
            start_process([program], cwd=tmp_path, die_with_parent=die_with_parent)
    with pytest.raises(FileNotFoundError):
        start_process(["true"], cwd=tmp_path / "none", die_with_parent=die_with_parent)


def test_a_program_is_found_by_the_path_of_its_own_environment(tmp_path: Path) -> None:
    program = tmp_path / "only-here"
    program.write_text("#!/bin/sh\nexit 5\n")
    program.chmod(0o755)

    process = start_process(
        ["only-here"], environment={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    )

    assert process.wait(_LIMIT_SECONDS) == 5


def test_elsewhere_than_on_linux_a_program_is_started_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes.sys, "platform", "darwin")

    process = start_process(["sh", "-c", "exit 3"])

    assert process.args == ["sh", "-c", "exit 3"]
    assert process.wait(_LIMIT_SECONDS) == 3


def test_stopping_ends_the_whole_tree() -> None:
    process = start_process(["sh", "-c", "sleep 300 & sleep 300; true"])
    wait_for(lambda: len(psutil.Process(process.pid).children()) == 2, _LIMIT_SECONDS)
    tree = psutil.Process(process.pid).children()

    stop_process(process.pid)

    assert process.wait(_LIMIT_SECONDS) == -signal.SIGTERM
    wait_for(
        lambda: not any(child.is_running() for child in tree), _LIMIT_SECONDS, "its children to end"
    )


def test_stopping_kills_who_does_not_heed_sigterm() -> None:
    process = start_process(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], stdout=subprocess.PIPE
    )
    next_line(process.stdout, "the shell to be ready")

    stop_process(process.pid, grace_seconds=0.5)

    assert process.wait(_LIMIT_SECONDS) == -signal.SIGKILL


def test_stopping_what_has_ended_does_nothing() -> None:
    process = start_process(["true"])
    process.wait(_LIMIT_SECONDS)

    stop_process(process.pid)


def _popen(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
    )


def _python(script: str, *arguments: object, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _sleepers(marker: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["cmdline"] == ["sleep", marker]
    ]
