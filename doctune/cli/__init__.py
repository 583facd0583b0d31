"""The `doctune` command. A module a group of verbs; importing it adds them."""

from doctune.cli import config, doctor, local, main_job, stages
from doctune.cli.app import app, main

__all__ = ["app", "config", "doctor", "local", "main", "main_job", "stages"]
