"""Which file pytest-xdist starts when, and what it does when it loses a worker (`--dist loadfile`).

xdist itself starts the files with the most tests first, so that one that takes minutes for a few
tests is the last, and the other workers wait for it.

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

# What takes more than a minute and a half, the longest first.
LONG_FILES = (
    "tests/e2e/test_main_job.py",
    "tests/e2e/test_retraining.py",
    "tests/e2e/test_one_spec.py",
    "tests/shipping/test_builds.py",
    "tests/experiments/test_end_to_end.py",
    "tests/localvertex/test_gcpc.py",
    "tests/training/test_checkpoints.py",
    "tests/components/test_evaluate_pipeline.py",
    "tests/localvertex/test_search_pipeline.py",
    "tests/cli/test_versions.py",
    "tests/gateway/test_agent.py",
    "tests/training/test_launch.py",
    "tests/localvertex/test_notebooks.py",
    "tests/cli/test_schedule_and_data.py",
    "tests/training/test_learning.py",
    "tests/vertex/test_two_releases.py",
)


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
        if node not in self.registered_collections:
            return
        super()._reschedule(node)
        # A worker starts a test once it knows of the next one, or that there is none: it would
        # never start the only test of a file.
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)


def pytest_configure(config: pytest.Config) -> None:
    """Keeps xdist from sorting the files by their number of tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take long before the others, whose order stays."""
    places = {file: place for place, file in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.nodeid.split("::")[0], len(LONG_FILES)))


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
