"""A small compiled pipeline to run: two steps, of which the second needs the first."""

import os
from pathlib import Path

import pytest
from kfp import compiler, dsl

from doctune.runner.events import Event


@dsl.component(base_image="example/python:1", install_kfp_package=False)
def write_number(number: int, written: dsl.Output[dsl.Dataset]) -> None:
    from pathlib import Path

    from doctune.errors import DatasetError
    from doctune.files import write_text

    if number < 0:
        raise DatasetError(f"{number} is negative: give a number from 0.")
    write_text(Path(written.path), str(number))
    written.metadata["number"] = number


@dsl.component(base_image="example/python:1", install_kfp_package=False)
def double_number(written: dsl.Input[dsl.Dataset], seconds: float = 0.0) -> int:
    import subprocess
    import sys
    from pathlib import Path

    subprocess.run([sys.executable, "-c", f"import time; time.sleep({seconds})"], check=True)
    return 2 * int(Path(written.path).read_text())


@dsl.pipeline(name="double")
def double(number: int, seconds: float = 0.0) -> None:
    first = write_number(number=number).set_display_name("Write number")
    double_number(written=first.outputs["written"], seconds=seconds).set_display_name("Double it")


@pytest.fixture(scope="session")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "double.yaml"
    compiler.Compiler().compile(double, str(path))
    return path


class Recorder:
    """A watcher that remembers what it was shown."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.progress: list[str] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def on_progress(self, line: str) -> None:
        self.progress.append(line)

    def on_tick(self) -> None:
        """Nothing to do."""


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def environment() -> dict[str, str]:
    return dict(os.environ)
