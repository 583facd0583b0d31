"""The gateway of the experiments' tests, which can be killed, and the controllers beside it."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL
from subprocess import DEVNULL, Popen

import pytest
import yaml
from sqlalchemy import Engine

from doctune.processes import start_process, stop_process
from tests.gateway.conftest import ROOT, Gateway, start_gateway, stop_gateway
from tests.vertex.conftest import BUCKET, LOCATION, PROJECT

SETTINGS = {
    "DOCTUNE_VERTEX_PROJECT": PROJECT,
    "DOCTUNE_VERTEX_LOCATION": LOCATION,
    "DOCTUNE_VERTEX_STAGING_BUCKET": BUCKET,
}
SECOND = 1 / 86_400
RULES = {
    "min_users": 30,
    "min_days": 2 * SECOND,
    "max_days": 200 * SECOND,
    "stage_days": 0.5 * SECOND,
    "evaluate_seconds": 0.3,
    "outage_seconds": 40,
    "tightest_at": 100,
    "before_days": 0,
}
METRICS = {
    "helpful": {"kind": "share", "numerator": "thumbs_up", "denominator": "rated",
                "better": "higher"},
    "error_rate": {"kind": "share", "numerator": "errors", "denominator": "requests",
                   "better": "lower", "margin": 0.25},
}  # fmt: skip


class Front:
    """The gateway, which can be killed and comes back, and the controllers beside it."""

    def __init__(self, folder: Path, models: Sequence[str], database_url: str) -> None:
        """Starts it.

        Args:
            models: Their names, which are those of their endpoints.
        """
        self._folder = folder
        self._options = {"models": {name: {"upstreams": [f"vertex:{name}"]} for name in models}}
        self.now = self._start(database_url)
        self.set_rules()
        self._controllers: list[Popen] = []

    def _start(self, database_url: str) -> Gateway:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in SETTINGS.items():
                patch.setenv(name, value)
            return start_gateway(self._folder, self._options, database_url)

    @property
    def config(self) -> Path:
        return self._folder / "config"

    def set_rules(self, **more: object) -> None:
        settings = {"rules": RULES | more, "metrics": METRICS, "drain_seconds": 1.5}
        (self.config / "experiments.yaml").write_text(yaml.safe_dump(settings))

    @property
    def engine(self) -> Engine:
        return self.now.engine

    def kill_and_restart(self) -> None:
        """Kills the gateway as a lost machine does, and starts another one."""
        self.now.process.kill()
        self.now.process.wait(20)
        self.now = self._start(self.now.database_url)

    def control(self, name: str) -> Popen:
        """Starts a controller as a process."""
        command = [sys.executable, "-m", "doctune", "experiment", "watch", name, "--cloud"]
        process = start_process(
            [*command, "--lease-seconds", "4"],
            environment={
                **os.environ,
                **SETTINGS,
                "DOCTUNE_CONFIG": str(self.config),
                "DATABASE_URL": self.now.database_url,
                "PYTHONPATH": str(ROOT),
            },
            cwd=self._folder,
            stdout=DEVNULL,
            stderr=(self._folder / "controller.log").open("ab"),
        )
        self._controllers.append(process)
        return process

    @property
    def is_controlled(self) -> bool:
        """Whether no controller has failed; those that the test killed do not count."""
        return all(controller.poll() in (None, 0, -SIGKILL) for controller in self._controllers)

    def log(self) -> str:
        return (self._folder / "controller.log").read_text()[-4000:]

    def close(self) -> None:
        for controller in self._controllers:
            if controller.poll() is None:
                stop_process(controller.pid)
        stop_gateway(self.now)
