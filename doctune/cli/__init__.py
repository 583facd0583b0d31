"""The `doctune` command. One module a group of subcommands; importing it registers them."""

from doctune.cli import (
    agent,
    answers,
    config,
    data,
    doctor,
    experiment,
    feedback,
    gateway,
    local,
    main_job,
    pipelines,
    quota,
    retrain,
    schedule,
    stages,
    training,
    versions,
)
from doctune.cli.app import app, main

__all__ = [
    "agent",
    "answers",
    "app",
    "config",
    "data",
    "doctor",
    "experiment",
    "feedback",
    "gateway",
    "local",
    "main",
    "main_job",
    "pipelines",
    "quota",
    "retrain",
    "schedule",
    "stages",
    "training",
    "versions",
]
