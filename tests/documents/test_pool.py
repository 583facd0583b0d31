"""Worker processes under limits: what goes wrong costs one file."""

import signal
from collections.abc import Iterable
from pathlib import Path

import psutil

from doctune.documents import ParseOptions, PdfError
from doctune.documents.pool import Outcome, Task, WorkerPool


def run(paths: Iterable[Path], options: ParseOptions) -> dict[int, Outcome]:
    outcomes: dict[int, Outcome] = {}

    def keep(task: Task, outcome: Outcome) -> list[Task]:
        outcomes[task.index] = outcome
        return []

    with WorkerPool(1, options) as pool:
        pool.run([Task(i, path, 0, 5) for i, path in enumerate(paths)], keep)
    return outcomes


def reason(outcome: Outcome) -> str:
    return outcome.reason if isinstance(outcome, PdfError) else ""


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_read(manual: Path) -> None:
    outcomes = run([manual, manual], ParseOptions(timeout_seconds=0.001))
    assert [reason(outcome) for outcome in outcomes.values()] == ["timeout", "timeout"]


def test_a_crashed_worker_costs_one_file(manual: Path) -> None:
    outcomes: dict[int, Outcome] = {}

    def keep(task: Task, outcome: Outcome) -> list[Task]:
        outcomes[task.index] = outcome
        return []

    others = set(psutil.Process().children())
    with WorkerPool(1, ParseOptions()) as pool:
        pool.run([Task(0, manual, 0, 5)], keep)
        (worker,) = set(psutil.Process().children()) - others
        worker.send_signal(signal.SIGSEGV)
        worker.wait(10)
        pool.run([Task(1, manual, 0, 5), Task(2, manual, 0, 5)], keep)
    assert [reason(outcome) for outcome in outcomes.values()] == ["", "crashed", ""]


def test_no_process_is_left_behind(manual: Path) -> None:
    others = set(psutil.Process().children())

    run([manual], ParseOptions())

    assert set(psutil.Process().children()) <= others
