"""Steps in containers: failures stay failures, and no container outlives its run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kfp import compiler, dsl

from components import images
from doctune.errors import PipelineError, UsageError
from doctune.runner import engine
from doctune.runner.run import RunResult, run_pipeline
from tests.containers.conftest import Engine
from tests.runner.conftest import Recorder

if TYPE_CHECKING:
    from docker.models.containers import Container


@dsl.component(base_image=images.OPS, install_kfp_package=False)
def check_number(number: int, checked: dsl.Output[dsl.Dataset]) -> int:
    import os
    from pathlib import Path

    from doctune.errors import DatasetError

    if number < 0:
        raise DatasetError(f"{number} is negative: give a number from 0.")
    if number == 0:
        os.kill(1, 9)  # from inside, this ends nothing but what the engine would
        os._exit(137)
    Path(checked.path).write_text(str(number))
    return 2 * number


@dsl.pipeline(name="check")
def check(number: int) -> None:
    check_number(number=number).set_display_name("Check number")


Run = Callable[[int], RunResult]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def run(tmp_path: Path, recorder: Recorder) -> Run:
    compiler.Compiler().compile(check, str(tmp_path / "check.yaml"))

    def run_once(number: int) -> RunResult:
        return run_pipeline(
            tmp_path / "check.yaml",
            {"number": number},
            root=tmp_path,
            environment=dict(os.environ),
            watcher=recorder,
            runner="docker",
        )

    return run_once


@pytest.mark.containers
def test_a_step_gives_its_outputs_and_is_reused(containers: Engine, run: Run) -> None:
    first, second = run(21), run(21)

    assert first.outputs("check-number")["Output"] == 42
    assert Path(first.outputs("check-number")["checked"]["uri"]).read_text() == "21"
    assert (first.cached_steps, second.cached_steps) == ([], ["check-number"])


@pytest.mark.containers
def test_a_step_that_fails_fails_the_run_with_its_own_words(containers: Engine, run: Run) -> None:
    with pytest.raises(PipelineError, match=r"^Check number failed: -1 is negative: give a number"):
        run(-1)


@pytest.mark.containers
def test_a_step_that_is_killed_fails_the_run(
    containers: Engine, run: Run, recorder: Recorder
) -> None:
    with pytest.raises(PipelineError, match="the step was ended by signal 9"):
        run(0)

    assert [event.kind for event in recorder.events][-2:] == ["task_failed", "run_failed"]


@pytest.mark.containers
def test_a_container_that_ends_at_once_keeps_its_exit_code(containers: Engine) -> None:
    codes = [
        engine.wait(
            engine.start(
                containers.client, images.OPS, ["sh", "-c", "exit 3"], environment=os.environ
            )
        )
        for _ in range(10)
    ]

    assert codes == [3] * 10
    assert _ours(containers) == []


@pytest.mark.containers
def test_a_program_takes_its_container_with_it(containers: Engine) -> None:
    process, _ = _sleeping(containers)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert _ours(containers) == []


@pytest.mark.containers
def test_what_a_killed_program_leaves_is_removed_by_the_next_run(
    containers: Engine, run: Run
) -> None:
    process, container = _sleeping(containers)

    process.kill()
    process.wait(timeout=60)
    assert [left.id for left in _ours(containers)] == [container.id]
    run(1)

    assert _ours(containers) == []


def test_a_machine_without_an_engine_is_told_what_to_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Run
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    with pytest.raises(UsageError, match=r"No container engine answers at unix:///.*none\.sock"):
        run(1)


@pytest.mark.containers
def test_a_missing_image_is_named(containers: Engine) -> None:
    with pytest.raises(UsageError, match=r"example/none:1 is not on this machine.*make images"):
        engine.require_images(containers.client, ["example/none:1"])


def _sleeping(containers: Engine) -> tuple[subprocess.Popen[bytes], "Container"]:
    """Starts a container by the program that stands for an image."""
    process = subprocess.Popen(
        [sys.executable, "-m", "doctune.runner.image", images.OPS, "sleep", "300"]
    )
    deadline = time.monotonic() + 60
    while not (found := [c for c in _ours(containers) if c.status == "running"]):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    return process, found[0]


def _ours(containers: Engine) -> "list[Container]":
    return containers.client.containers.list(
        all=True, filters={"label": engine.OWNER_LABEL}, ignore_removed=True
    )
