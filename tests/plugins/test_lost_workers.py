"""A run of the tests ends, whatever one of them does, and says which it was."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_LIMIT_SECONDS = 5  # enough to collect the tests on a busy machine
_ENOUGH_SECONDS = 90

# With the interpreter's lock held no other thread runs Python, and no signal handler.
_BLOCK = "import ctypes; ctypes.PyDLL(None).sleep(600)"
_INI = """
[pytest]
timeout = 300
faulthandler_timeout = {limit}
faulthandler_exit_on_timeout = true
"""


def run(
    folder: Path, *options: str, limit: float = 0, **modules: str
) -> subprocess.CompletedProcess[str]:
    """Runs pytest with this project's plugins, and no others, over modules of given contents."""
    (folder / "pytest.ini").write_text(_INI.format(limit=limit))
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    plugins = ["pytest_timeout", "tests.plugins.time_limit", "tests.plugins.scheduling"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": ",".join(plugins),
        },
        capture_output=True,
        text=True,
        timeout=_ENOUGH_SECONDS,
        check=False,
    )


def passed(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The names of the tests that passed, each as often as it did."""
    return sorted(re.findall(r"PASSED \S+::(\w+)", done.stdout))


def passing(*names: str) -> str:
    """A module of tests that pass."""
    return "".join(f"def test_{name}(): pass\n" for name in names)


def blocks(name: str) -> str:
    """A test that never ends, and holds the interpreter's lock."""
    return f"def test_{name}():\n    {_BLOCK}\n"


def kills(name: str) -> str:
    """A test whose process dies."""
    return f"import os\ndef test_{name}(): os._exit(9)\n"


XDIST = ("-p", "xdist", "--numprocesses", "2", "--dist", "loadfile")


def test_a_test_that_blocks_with_the_lock_held_costs_only_itself(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        *XDIST,
        limit=_LIMIT_SECONDS,
        test_a=passing("a1", "a2", "a3"),
        test_b=passing("b1") + blocks("stuck") + passing("b2", "b3"),
        test_c=passing("c1", "c2"),
        test_d=passing("d1"),
    )

    assert done.returncode == 1
    assert passed(done) == [
        f"test_{name}" for name in ("a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "d1")
    ]
    assert "crashed while running 'test_b.py::test_stuck'" in done.stdout
    assert "1 failed, 9 passed" in done.stdout
    # Where it stood, which only faulthandler can say.
    assert re.search(r'test_b\.py", line \d+ in test_stuck', done.stderr)


@pytest.mark.parametrize("workers", ["1", "3"])
def test_the_files_of_lost_workers_are_run_by_others(tmp_path: Path, workers: str) -> None:
    done = run(
        tmp_path,
        *("-p", "xdist", "--numprocesses", workers, "--dist", "loadfile"),
        test_a=kills("first") + passing("a1", "a2"),
        test_b=passing("b1", "b2") + kills("last"),
        test_c=passing("c1") + kills("middle") + passing("c2", "c3"),
        test_d=kills("only"),
        test_e=passing("e1"),
    )

    assert done.returncode == 1
    assert passed(done) == [
        f"test_{name}" for name in ("a1", "a2", "b1", "b2", "c1", "c2", "c3", "e1")
    ]
    for name in ("a.py::test_first", "b.py::test_last", "c.py::test_middle", "d.py::test_only"):
        assert done.stdout.count(f"crashed while running 'test_{name}'") >= 1
    assert "4 failed, 8 passed" in done.stdout


def test_a_teardown_that_blocks_after_a_failure_ends(tmp_path: Path) -> None:
    fixture = f"import pytest\n@pytest.fixture\ndef held():\n    yield\n    {_BLOCK}\n"

    done = run(
        tmp_path,
        *XDIST,
        limit=_LIMIT_SECONDS,
        test_a=fixture + "def test_fails(held): assert False\n" + passing("a1"),
        test_b=passing("b1"),
    )

    assert done.returncode == 1
    assert passed(done) == ["test_a1", "test_b1"]
    assert "crashed while running 'test_a.py::test_fails'" in done.stdout


def test_a_worker_lost_outside_of_a_test_fails_the_run(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        *XDIST,
        test_a=passing("a1", "a2"),
        test_b=passing("b1"),
        conftest=(
            "import os\n"
            "def pytest_sessionfinish(session):\n"
            "    if os.environ.get('PYTEST_XDIST_WORKER') == 'gw0': os._exit(9)\n"
        ),
    )

    assert passed(done) == ["test_a1", "test_a2", "test_b1"]
    assert done.returncode == 1
    assert "gw0 was lost" in done.stdout


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("collection", f"{_BLOCK}\n{passing('a1')}"),
        ("exit", f"import atexit\ndef hold(): {_BLOCK}\natexit.register(hold)\n{passing('a1')}"),
        (
            "the end of the session",
            f"{passing('a1')}import pytest\n@pytest.fixture(scope='session', autouse=True)\n"
            f"def held():\n    yield\n    {_BLOCK}\n",
        ),
    ],
    ids=["collection", "exit", "session"],
)
def test_a_run_in_one_process_ends_wherever_it_blocks(
    tmp_path: Path, where: str, text: str
) -> None:
    done = run(tmp_path, limit=_LIMIT_SECONDS, test_a=text)

    assert done.returncode == 1, where
    assert f"Timeout (0:00:0{_LIMIT_SECONDS})!" in done.stderr
    assert "test_a.py" in done.stderr
