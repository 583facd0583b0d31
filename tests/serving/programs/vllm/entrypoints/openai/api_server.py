"""Takes vLLM's place in the tests: an OpenAI app on a real small model, with real middleware.

Started by the command line that vLLM gets, whose flags it takes and checks.
"""

import argparse
import importlib

import uvicorn

from doctune.serving.app import create_app
from doctune.serving.engine import load_engine
from doctune.serving.options import ServingOptions
from doctune.serving.readiness import Readiness


def main() -> None:
    parser = argparse.ArgumentParser()
    for flag in ("host", "model", "served-model-name", "dtype", "generation-config", "middleware"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-num-seqs", type=int, required=True)
    parser.add_argument("--gpu-memory-utilization", type=float)
    parser.add_argument("--enable-prefix-caching", action="store_true")
    given = parser.parse_args()
    # Its own routes are not ours: what the tests reach under /predict is the middleware's.
    options = ServingOptions(model_uri=given.model, predict_route="/not-ours")
    readiness = Readiness()
    app = create_app(options, readiness, lambda: readiness.begin(load_engine(options)))
    module, _, name = given.middleware.rpartition(".")
    app.add_middleware(getattr(importlib.import_module(module), name))
    uvicorn.run(app, host=given.host, port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
