"""A time limit that needs no interpreter lock, for all of a run of pytest.

pytest's own (`faulthandler_timeout` with `faulthandler_exit_on_timeout`) prints where each thread
stands and ends the process, even if it is blocked in C with the lock held, where pytest-timeout
cannot run. It covers a test as long as nothing fails. This adds what comes after a failure, the
collection and the end of the session and of the process, all with the same limit.
"""

import faulthandler
import os
import sys

import pytest

_MARGIN_SECONDS = 60  # in which pytest-timeout, if it can run, fails the test alone
_STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keeps standard error, which is redirected while tests run."""
    stderr = sys.__stderr__
    if stderr is not None:
        config.stash[_STDERR] = os.dup(stderr.fileno())


def pytest_sessionstart(session: pytest.Session) -> None:
    """Limits the collection, which is the workers' where there are any."""
    if not session.config.pluginmanager.hasplugin("dsession"):
        _start(session.config)


def pytest_collection_finish() -> None:
    """Ends the collection's limit: from here on each test has its own."""
    faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Gives a test that may take longer (`@pytest.mark.timeout`) a limit above its own."""
    marker = item.get_closest_marker("timeout")
    if marker is not None:
        _start(item.config, at_least=float(marker.args[0]) + _MARGIN_SECONDS)


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Starts the limit anew, which pytest takes away at each failure, for the sake of debuggers."""
    if not node.config.getvalue("usepdb"):
        _start(node.config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Limits the end of the session."""
    _start(session.config)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Limits the end of the process: what runs at exit, and threads that are waited for."""
    _start(config)


def _start(config: pytest.Config, at_least: float = 0) -> None:
    seconds = float(config.getini("faulthandler_timeout") or 0)
    if seconds > 0 and _STDERR in config.stash:
        exit_then = bool(config.getini("faulthandler_exit_on_timeout"))
        faulthandler.dump_traceback_later(
            max(seconds, at_least), exit=exit_then, file=config.stash[_STDERR]
        )
