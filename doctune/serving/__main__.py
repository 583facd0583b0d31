"""Serves a model over HTTP by the container contract of Vertex AI: `python -m doctune.serving`.

The server listens at once and loads the model in the background; until then, health answers 503
with the reason. If the model cannot be loaded, the process logs the reason in one line and exits
with code 1. On Vertex AI the deployment then fails within minutes, whereas a server that stayed up
would keep it waiting until it times out. On SIGTERM it answers the requests in flight and exits
with code 0.
"""

import argparse
import logging
import os
import signal
import sys
import threading

from doctune.artifacts import local_folder
from doctune.errors import DoctuneError
from doctune.logs import configure_logging, share_with_uvicorn
from doctune.serving.engine import weights_folder
from doctune.serving.options import VERTEX_VARIABLES, ServingOptions, options_from

logger = logging.getLogger("doctune.serving")


def main(arguments: list[str] | None = None) -> int:
    """Runs the server; returns the exit code."""
    configure_logging()
    try:
        options = options_from(os.environ, vars(_parser().parse_args(arguments)))
        if options.engine == "vllm":
            from doctune.serving.vllm_command import run_vllm

            run_vllm(options, weights_folder(local_folder(options.model_uri)))
        if options.engine == "openvino":
            from doctune.inference.openvino_generator import run_without_torch

            run_without_torch()
    except DoctuneError as error:
        logger.error("%s", error)
        return error.exit_code
    return serve(options)


def serve(options: ServingOptions) -> int:
    """Serves until SIGTERM or SIGINT, or until the model fails to load."""
    import uvicorn

    from doctune.serving.app import create_app
    from doctune.serving.readiness import Readiness

    readiness = Readiness()
    failures: list[str] = []

    def load() -> None:
        from doctune.serving.engine import load_engine

        try:
            readiness.begin(load_engine(options))
        except Exception as error:
            reason = str(error) if isinstance(error, DoctuneError) else repr(error)
            logger.error("The model cannot be loaded: %s", reason)
            readiness.reason = f"the model cannot be loaded: {reason}"
            failures.append(reason)
            server.should_exit = True

    loader = threading.Thread(target=load, name="loading", daemon=True)
    app = create_app(options, readiness, loader.start)
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(options.shutdown_seconds) or 1,
    )
    server = uvicorn.Server(config)
    share_with_uvicorn()
    # uvicorn raises the signal again after its shutdown, when it has been handled already.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run()
    if loader.is_alive():
        # An interpreter that ends while torch is being imported in a thread may crash.
        sys.stderr.flush()
        os._exit(0)
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m doctune.serving", description=__doc__)
    variables = {option: variable for variable, option in VERTEX_VARIABLES.items()}
    for name, field in ServingOptions.model_fields.items():
        variable = f" Or {variables[name]}." if name in variables else ""
        default = "" if field.is_required() else f" Default: {field.default}."
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            metavar="VALUE",
            help=f"{field.description or ''}{variable}{default}".strip().replace("%", "%%"),
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
