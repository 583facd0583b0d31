"""Logging: plain text lines by default, one JSON object per line in containers."""

import json
import logging
import os
import sys


def configure_logging(level: int = logging.INFO) -> None:
    """Sends doctune's logs to standard error.

    `DOCTUNE_LOG_FORMAT=json` gives the structured form that Cloud Logging reads (severity, message,
    logger, time); the images set it.
    """
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("DOCTUNE_LOG_FORMAT") == "json":
        handler.setFormatter(_JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger("doctune")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False
    _keep_off_standard_output("google.cloud.aiplatform")


def _keep_off_standard_output(logger: str) -> None:
    """Limits a library's log to warnings, since it prints progress to standard output.

    Google's SDK sets a level on each of its loggers, and adds a handler if there is none above it;
    so the filter is on the handler.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    logging.getLogger(logger).handlers[:] = [handler]


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def share_with_uvicorn() -> None:
    """Applies doctune's log format to uvicorn, and to warnings of all other libraries."""
    handlers = logging.getLogger("doctune").handlers
    for name, level in (("uvicorn", logging.INFO), ("", logging.WARNING)):
        shared = logging.getLogger(name)
        shared.handlers[:] = handlers
        shared.setLevel(level)
    logging.getLogger("uvicorn").propagate = False
    logging.captureWarnings(True)
