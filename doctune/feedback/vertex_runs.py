"""Retrainings as runs of Vertex AI Pipelines: snapshots in the bucket, runs by their names."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctune.database.engine import Engine
from doctune.errors import PipelineError, RegistryError
from doctune.feedback.snapshot import write_snapshot
from doctune.feedback.start import StartFrom
from doctune.vertex import find_version, rollback, upload_folder
from doctune.vertex.history import ModelVersion
from doctune.vertex.jobs import RunSettings, cancel, runs, status, submit

SNAPSHOT = "feedback.jsonl"
PIPELINE = "retrain"
_MOST_RUNS = 200


@dataclass(frozen=True)
class VertexRuns:
    """Where retrainings run; a session with Vertex AI must be open.

    Attributes:
        parameters: Gives the pipeline's parameters, but for those of the snapshot, by where the
            training begins.
        on_champion: Is told when another version has become the champion.
    """

    engine: Engine
    spec: str
    staging_bucket: str
    model_name: str
    endpoint: str
    parameters: Callable[[StartFrom], Mapping[str, Any]]
    settings: RunSettings
    on_champion: Callable[[ModelVersion], None] | None = None

    def state(self, run: str) -> str:
        """Returns "none", "running", "succeeded" or "failed"."""
        if not self._exists(run):
            return "none"
        found = status(run)
        if not found.is_over:
            return "running"
        return "succeeded" if found.state == "succeeded" else "failed"

    def snapshot(self, retraining_id: str) -> dict[str, str]:
        """Writes the feedback as it is now to the bucket."""
        uri = f"{self.staging_bucket}/feedback/{retraining_id}"
        with tempfile.TemporaryDirectory() as folder:
            digest = write_snapshot(self.engine, Path(folder) / SNAPSHOT)
            # A trigger that was killed here wrote another one, which no run has been told of.
            upload_folder(Path(folder), uri)
        return {"snapshot": f"{uri}/{SNAPSHOT}", "snapshot_digest": digest}

    def submit(self, run: str, parameters: dict[str, str], start_from: StartFrom) -> None:
        """Starts a run, unless one of that name is there."""
        if self._exists(run):
            return
        try:
            given = {**self.parameters(start_from), **parameters}
            submit(self.spec, given, job_id=run, settings=self.settings)
        except PipelineError:
            # Another trigger may have been quicker between the look and the start.
            if not self._exists(run):
                raise

    def released(self, run: str) -> bool:
        """Returns whether the run's model is the champion."""
        try:
            return find_version(self.model_name, "champion").text("run") == run
        except RegistryError:
            return False

    def serve_champion(self) -> None:
        """Tells who serves the champion's index which version that is."""
        if self.on_champion is not None:
            self.on_champion(find_version(self.model_name, "champion"))

    def cancel(self, run: str) -> None:
        """Asks a run to stop."""
        cancel(run)

    def roll_back(self, run: str) -> None:
        """Gives the traffic back to the version before, where the run's model still has it."""
        if self.released(run):
            rollback(self.endpoint)

    def _exists(self, run: str) -> bool:
        return any(found.job_id == run for found in runs(pipeline=PIPELINE, limit=_MOST_RUNS))
