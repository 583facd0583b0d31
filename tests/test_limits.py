"""Waiting for what is outside: what comes is returned, what does not come is one clear error."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from doctune import limits
from doctune.errors import ConfigurationError, TimeLimitError
from doctune.limits import Limit
from tests.waiting import next_line

SHORT = Limit("short", 0.2, "For tests.")
LONG = Limit("long", 30, "For tests.")


def test_what_becomes_true_is_returned() -> None:
    answers = iter(["", "", "here"])

    assert limits.wait_until(lambda: next(answers), LONG, "an answer") == "here"


def test_a_limit_that_is_exceeded_is_named_with_the_variable_that_raises_it() -> None:
    start = time.monotonic()

    with pytest.raises(
        TimeLimitError,
        match=r"^Waited 0\.2 s for an answer, then gave up\. Set DOCTUNE_LIMIT_SHORT to wait",
    ):
        limits.wait_until(lambda: False, SHORT, "an answer")

    assert 0.2 <= time.monotonic() - start < 5


def test_a_condition_is_asked_even_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_LIMIT_SHORT", "0.000001")

    assert limits.wait_until(lambda: "at once", SHORT, "an answer") == "at once"


def test_the_environment_changes_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SHORT.seconds == 0.2
    monkeypatch.setenv("DOCTUNE_LIMIT_SHORT", "7.5")
    assert SHORT.seconds == 7.5


@pytest.mark.parametrize("value", ["", "soon", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_LIMIT_SHORT", value)

    with pytest.raises(ConfigurationError, match=f"DOCTUNE_LIMIT_SHORT is '{value}'") as caught:
        _ = SHORT.seconds

    assert caught.value.exit_code == 2


def test_a_lock_is_held_by_one_process_at_a_time_and_freed_by_its_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.lock"
    hold = (
        "import sys, time; from pathlib import Path; from doctune import limits\n"
        "with limits.locked(Path(sys.argv[1]), 'a test'):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    next_line(holder.stdout, "the lock to be taken")
    monkeypatch.setenv("DOCTUNE_LIMIT_LOCK", "0.3")
    with (
        pytest.raises(TimeLimitError, match=f"for another test, which holds {path}, then gave up"),
        limits.locked(path, "another test"),
    ):
        pass

    holder.kill()
    holder.wait(30)

    with limits.locked(path, "another test"):
        assert path.exists()


def test_a_lock_waits_for_its_turn(tmp_path: Path) -> None:
    turns: list[str] = []

    def take(name: str) -> None:
        with limits.locked(tmp_path / "a.lock", "another thread"):
            turns.append(f"{name} in")
            time.sleep(0.1)
            turns.append(f"{name} out")

    threads = [threading.Thread(target=take, args=[name]) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [turn.split()[1] for turn in turns] == ["in", "out"] * 3


def test_a_program_that_ends_gives_its_exit_code() -> None:
    process = subprocess.Popen(["sh", "-c", "exit 3"])

    assert limits.wait_for_end(process, LONG, "the shell") == 3


def test_a_program_that_does_not_end_is_named() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        with pytest.raises(TimeLimitError, match=rf"the sleeper \(process {process.pid}\) to end"):
            limits.wait_for_end(process, SHORT, "the sleeper")
    finally:
        process.kill()
        process.wait(30)


def test_a_call_within_its_limit_returns_or_raises_what_it_does() -> None:
    def fail() -> None:
        raise KeyError("gone")

    assert limits.call_within(LONG, "a number", lambda: 4) == 4
    assert limits.call_within(LONG, "nothing", lambda: None) is None
    with pytest.raises(KeyError, match="gone"):
        limits.call_within(LONG, "a number", fail)


def test_a_call_that_never_returns_is_given_up() -> None:
    never = threading.Event()

    with pytest.raises(TimeLimitError, match=r"Waited 0\.2 s for the deployment, then gave up"):
        limits.call_within(SHORT, "the deployment", lambda: never.wait(60))

    never.set()


def test_the_documentation_names_every_limit_with_its_default() -> None:
    page = (Path(__file__).parents[1] / "docs/run.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `DOCTUNE_LIMIT_")]

    assert rows == [f"| `{one.variable}` | {one.default:g} | {one.what} |" for one in limits.ALL]
