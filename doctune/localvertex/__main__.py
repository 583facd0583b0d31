"""Runs a local Vertex AI: `python -m doctune.localvertex --config FILE`."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from doctune.errors import DoctuneError
from doctune.localvertex.config import LocalVertexConfig
from doctune.logs import configure_logging

# The server starts programs while gRPC's threads run; none of them uses gRPC between fork and exec.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


def main() -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m doctune.localvertex", description=__doc__)
    parser.add_argument(
        "--config", type=Path, required=True, help="JSON file with the fields of LocalVertexConfig"
    )
    arguments = parser.parse_args()
    configure_logging()
    from doctune.localvertex.server import serve

    config = LocalVertexConfig.model_validate_json(arguments.config.read_bytes())
    try:
        asyncio.run(serve(config))
    except DoctuneError as error:
        logging.getLogger("doctune.localvertex").error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
