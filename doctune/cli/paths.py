"""Paths that the command reads and writes, relative to the working directory."""

from pathlib import Path

SPEC = Path("dist/pipelines/train_and_deploy.yaml")
ROOT = Path(".doctune")
