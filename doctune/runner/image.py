"""Runs a container image as a program, to serve a model from its image on this machine.

    python -m doctune.runner.image IMAGE [COMMAND...]

The container uses the host network and gets this process's Vertex AI variables (`AIP_HTTP_PORT`
among them). It is stopped when this process ends; this process returns its exit code.
"""

import os
import sys

from doctune.errors import DoctuneError, UsageError
from doctune.runner import engine


def main(arguments: list[str]) -> int:
    """Runs the image until its container exits; returns the exit code."""
    try:
        return _run(arguments)
    except DoctuneError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _run(arguments: list[str]) -> int:
    if not arguments:
        raise UsageError("Name an image: python -m doctune.runner.image IMAGE [COMMAND...]")
    image, *command = arguments
    with engine.connect() as client, engine.ended_by_signals(client):
        engine.require_images(client, [image])
        return engine.wait(engine.start(client, image, command or None, environment=os.environ))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
