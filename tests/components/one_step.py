"""Runs one component the way a pipeline does: compiled, loaded from its YAML, through kfp.local."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kfp import compiler, dsl
from kfp.dsl.base_component import BaseComponent

from doctune.runner.events import Event
from doctune.runner.run import RunResult, run_pipeline


@dataclass(frozen=True)
class Artifact:
    """An input artifact: where it is, and what the step that made it logged on it."""

    path: Path | str
    artifact_class: type[dsl.Artifact] = dsl.Artifact
    metadata: dict[str, Any] = field(default_factory=dict)


class Silent:
    """A watcher that shows nothing."""

    def on_event(self, event: Event) -> None:
        """Shows nothing."""

    def on_progress(self, line: str) -> None:
        """Shows nothing."""

    def on_tick(self) -> None:
        """Shows nothing."""


def run_component(
    component: BaseComponent,
    folder: Path,
    *,
    artifacts: Mapping[str, Artifact] | None = None,
    environment: Mapping[str, str] | None = None,
    **parameters: Any,
) -> dict[str, Any]:
    """Runs a component with imported artifacts; returns its outputs.

    Artifacts come back as {uri, metadata, schema_title}.
    """
    given = artifacts or {}

    @dsl.pipeline(name="one-step")
    def one_step() -> None:
        inputs = {
            name: dsl.importer(
                artifact_uri=str(artifact.path),
                artifact_class=artifact.artifact_class,
                metadata=artifact.metadata or None,
            ).output
            for name, artifact in given.items()
        }
        component(**inputs, **parameters)

    return run_spec(one_step, folder, environment).outputs(component.name)


def run_spec(
    pipeline: BaseComponent, folder: Path, environment: Mapping[str, str] | None = None
) -> RunResult:
    """Compiles a pipeline without parameters and runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "spec.yaml"
    compiler.Compiler().compile(pipeline, str(spec))
    return run_pipeline(
        spec,
        {},
        root=folder,
        environment={**os.environ, **(environment or {})},
        watcher=Silent(),
        enable_caching=False,
    )
