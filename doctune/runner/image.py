"""A container image as a program: what may stand for a serving image on this machine.

    python -m doctune.runner.image IMAGE [COMMAND...]

The container runs on the host's network with this process's Vertex AI variables (`AIP_HTTP_PORT`
among them). It ends with this process, and this process with its exit code.
"""

import os
import sys

from doctune.errors import DoctuneError, UsageError
from doctune.runner import engine


def main(arguments: list[str]) -> int:
    """Runs the image until it ends; returns its exit code."""
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
