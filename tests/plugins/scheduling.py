"""What pytest-xdist does when it loses a worker, with `--dist loadfile`.

The test that the worker ran has failed, and the rest of its files go to other workers. xdist 3.8
itself gives them the failed test as well, which takes the next worker down; files that are finished
already, for which a worker waits for ever; and work to a worker that has not collected its tests
yet, which ends the run with an internal error.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

_LOST = pytest.StashKey[list[str]]()


class ResumingLoadFileScheduling(LoadFileScheduling):
    """Gives each file to one worker, and what a lost worker left of its files to another."""

    def remove_node(self, node: Any) -> str | None:
        """Returns the test that a worker ran when it was lost, if any, and requeues the others."""
        left = {
            file: {test: False for test, completed in unit.items() if not completed}
            for file, unit in self.assigned_work.pop(node).items()
        }
        lost = next(((file, test) for file, unit in left.items() for test in unit), None)
        if lost is None:
            return None
        file, test = lost
        del left[file][test]
        self.workqueue.update({file: unit for file, unit in left.items() if unit})
        for other in self.nodes:
            self._reschedule(other)
        return test

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Takes what a worker has found; one that takes another's place must find the same."""
        super().add_node_collection(node, collection)
        if node not in self.registered_collections:
            raise RuntimeError(f"{node.gateway.id} found other tests than the worker it replaces.")

    def _reschedule(self, node: Any) -> None:
        if node in self.registered_collections:
            super()._reschedule(node)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Takes the place of `--dist loadfile`."""
    if config.getvalue("dist") == "loadfile":
        return ResumingLoadFileScheduling(config, log)
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Notes a worker that was lost, which fails the run even where it ran no test then."""
    if error:
        node.config.stash.setdefault(_LOST, []).append(f"{node.gateway.id} was lost: {error}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a run that lost a worker."""
    if session.config.stash.get(_LOST, []) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which workers were lost."""
    for line in terminalreporter.config.stash.get(_LOST, []):
        terminalreporter.write_line(line, red=True)
