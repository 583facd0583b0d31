"""Where the command finds and leaves things, from the folder it is called in."""

from pathlib import Path

SPEC = Path("dist/pipelines/train_and_deploy.yaml")
ROOT = Path(".doctune")
