"""The files that take long are started first."""

from pathlib import Path

from tests.plugins.scheduling import LONG_FILES
from tests.plugins.test_lost_workers import passing, run

ROOT = Path(__file__).parents[2]


def test_each_file_that_is_said_to_take_long_is_there() -> None:
    assert [file for file in LONG_FILES if not (ROOT / file).is_file()] == []


def test_a_file_that_takes_long_starts_before_those_with_more_tests(tmp_path: Path) -> None:
    long_file = tmp_path / LONG_FILES[0]
    long_file.parent.mkdir(parents=True)
    long_file.write_text(passing("long"))

    done = run(
        tmp_path,
        "--numprocesses=1",
        "--dist=loadfile",
        "-p",
        "xdist",
        test_a=passing("one", "two"),
        test_b=passing("three", "four", "five"),
    )

    order = [
        line.rsplit("::", 1)[1].strip() for line in done.stdout.splitlines() if "PASSED" in line
    ]
    assert order == ["test_long", "test_one", "test_two", "test_three", "test_four", "test_five"]
