"""The `doctune` command. A module a group of verbs; importing it adds them."""

from doctune.cli import (
    answers,
    config,
    data,
    doctor,
    local,
    main_job,
    pipelines,
    quota,
    schedule,
    stages,
    training,
    versions,
)
from doctune.cli.app import app, main

__all__ = [
    "answers",
    "app",
    "config",
    "data",
    "doctor",
    "local",
    "main",
    "main_job",
    "pipelines",
    "quota",
    "schedule",
    "stages",
    "training",
    "versions",
]
