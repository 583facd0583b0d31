"""A compiled spec runs in a worker, is watched, cached, and ended without a trace."""

import ast
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from kfp import compiler, dsl

from doctune.errors import PipelineError, UsageError
from doctune.runner.run import run_pipeline
from tests.runner.conftest import Recorder


def test_a_run_gives_each_steps_outputs(
    spec: Path, tmp_path: Path, recorder: Recorder, environment: dict[str, str]
) -> None:
    result = run_pipeline(
        spec, {"number": 21}, root=tmp_path, environment=environment, watcher=recorder
    )

    assert result.outputs("double-number")["Output"] == 42
    written = result.outputs("write-number")["written"]
    assert written["metadata"] == {"number": 21}
    assert Path(written["uri"]).read_text() == "21"
    assert [event.kind for event in recorder.events] == [
        "task_started",
        "task_succeeded",
        "task_started",
        "task_succeeded",
        "run_succeeded",
    ]
    assert recorder.events[0].display_name == "Write number"
    assert set(result.step_seconds) == {"write-number", "double-number"}


def test_steps_are_reused_until_an_argument_changes(
    spec: Path, tmp_path: Path, recorder: Recorder, environment: dict[str, str]
) -> None:
    def run(number: int) -> list[str]:
        result = run_pipeline(
            spec, {"number": number}, root=tmp_path, environment=environment, watcher=recorder
        )
        return result.cached_steps

    assert run(3) == []
    assert run(3) == ["write-number", "double-number"]
    assert run(4) == []


def test_no_step_is_reused_without_caching(
    spec: Path, tmp_path: Path, recorder: Recorder, environment: dict[str, str]
) -> None:
    for _ in range(2):
        result = run_pipeline(
            spec,
            {"number": 3},
            root=tmp_path,
            environment=environment,
            watcher=recorder,
            enable_caching=False,
        )
        assert result.cached_steps == []


def test_a_failed_step_is_reported_with_its_own_message(
    spec: Path, tmp_path: Path, recorder: Recorder, environment: dict[str, str]
) -> None:
    with pytest.raises(PipelineError) as failure:
        run_pipeline(spec, {"number": -1}, root=tmp_path, environment=environment, watcher=recorder)

    assert str(failure.value).startswith(
        "Write number failed: -1 is negative: give a number from 0. (log: "
    )
    assert recorder.events[-1].kind == "run_failed"


def test_arguments_that_do_not_fit_are_a_usage_error(
    spec: Path, tmp_path: Path, recorder: Recorder, environment: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match="number"):
        run_pipeline(spec, {}, root=tmp_path, environment=environment, watcher=recorder)


def test_a_missing_spec_says_how_to_make_it(
    tmp_path: Path, recorder: Recorder, environment: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match=r"python compile\.py"):
        run_pipeline(
            tmp_path / "none.yaml", {}, root=tmp_path, environment=environment, watcher=recorder
        )


# A job in the background, as these tests may be, hands down that SIGINT is ignored.
_RUN_SLOWLY = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from doctune.runner.run import run_pipeline
from tests.runner.conftest import Recorder

run_pipeline(Path(sys.argv[1]), {"number": 1, "seconds": 300}, root=Path(sys.argv[2]),
             environment=dict(os.environ), watcher=Recorder())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ending_the_run_leaves_no_process(
    spec: Path, tmp_path: Path, number: signal.Signals
) -> None:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN_SLOWLY, str(spec), str(tmp_path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
    )
    tree = _wait_for_sleeper(process.pid)

    process.send_signal(number)
    process.wait(timeout=30)

    _, alive = psutil.wait_procs(tree, timeout=15)
    assert alive == []


def test_a_worker_that_is_told_to_end_again_and_again_leaves_no_process(
    spec: Path, tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN_SLOWLY, str(spec), str(tmp_path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
    )
    tree = _wait_for_sleeper(process.pid)
    worker = next(child for child in tree if "doctune.runner.worker" in _command(child))

    # As the kernel does for each thread of a parent that dies.
    for _ in range(200):
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.terminate()
        time.sleep(0.0005)

    _, alive = psutil.wait_procs(tree, timeout=30)
    assert alive == []
    assert process.wait(timeout=30) != 0


def _wait_for_sleeper(pid: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        tree = psutil.Process(pid).children(recursive=True)
        if any("time.sleep(300" in " ".join(_command(child)) for child in tree):
            return tree
        time.sleep(0.2)
    raise AssertionError("the second step did not start")


def _command(process: psutil.Process) -> list[str]:
    """Its words, or none where it has ended since it was listed: psutil raises for a zombie."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_a_null_within_a_struct_reaches_the_step(
    tmp_path: Path, recorder: Recorder, environment: dict[str, str]
) -> None:
    @dsl.component(base_image="python", install_kfp_package=False)
    def tell(options: dict) -> str:
        return repr(options)

    @dsl.pipeline(name="nulls")
    def nulls(options: dict):
        tell(options=options)

    path = tmp_path / "nulls.yaml"
    compiler.Compiler().compile(nulls, str(path))
    options = {"bounds": None, "parts": [1, None], "name": "x"}

    result = run_pipeline(
        path, {"options": options}, root=tmp_path, environment=environment, watcher=recorder
    )

    assert ast.literal_eval(result.outputs("tell")["Output"]) == options


def test_a_step_is_tried_as_often_as_its_retries_say(
    tmp_path: Path, recorder: Recorder, environment: dict[str, str]
) -> None:
    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def fail_first(attempts: str, failures: int) -> int:
        from pathlib import Path

        with Path(attempts).open("a") as file:
            file.write("x")
        made = len(Path(attempts).read_text())
        if made <= failures:
            raise ValueError(f"attempt {made} failed")
        return made

    @dsl.pipeline(name="retries")
    def retries(flaky: str, hopeless: str) -> None:
        for attempts, failures in ((flaky, 1), (hopeless, 9)):
            task = fail_first(attempts=attempts, failures=failures)
            task.set_retry(num_retries=1, backoff_duration="0s").set_caching_options(False)

    compiler.Compiler().compile(retries, str(tmp_path / "retries.yaml"))
    arguments = {name: str(tmp_path / name) for name in ("flaky", "hopeless")}

    with pytest.raises(PipelineError, match="attempt 2 failed"):
        run_pipeline(
            tmp_path / "retries.yaml",
            arguments,
            root=tmp_path / "root",
            environment=environment,
            watcher=recorder,
        )

    assert (tmp_path / "flaky").read_text() == "xx"
    assert (tmp_path / "hopeless").read_text() == "xx"
    ended = {event.task: event for event in recorder.events if event.kind != "task_started"}
    assert ended["fail-first"].kind == "task_succeeded"
    assert ended["fail-first"].outputs == {"Output": 2}
    assert ended["fail-first-2"].kind == "task_failed"
