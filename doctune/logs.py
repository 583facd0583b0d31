"""Logging: plain lines for a person, one JSON object a line in containers."""

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
