"""The training program, which `torchrun` and Vertex AI's custom jobs start on each worker.

    torchrun --nproc-per-node 2 -m doctune.training \
        --train train.jsonl --validation validation.jsonl --model-dir model \
        --options '{"learning_rate": 0.001}'
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from doctune.errors import DoctuneError, UsageError
from doctune.files import write_text
from doctune.logs import configure_logging
from doctune.training import TrainingOptions, tune_model
from doctune.validation import first_problem

logger = logging.getLogger("doctune.training")


def main(arguments: list[str] | None = None) -> int:
    """Runs training from the command line; returns the exit code: 0, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m doctune.training", description=__doc__)
    parser.add_argument("--train", type=Path, required=True, help="JSONL to train on")
    parser.add_argument("--validation", type=Path, required=True, help="JSONL to validate on")
    parser.add_argument("--model-dir", type=Path, required=True, help="folder for the model")
    parser.add_argument("--curves", type=Path, help="HTML file for the loss curve")
    parser.add_argument("--caps", default="[]", help="limits that left out data, as a JSON list")
    parser.add_argument("--result", type=Path, help="JSON file for the summary, or the error")
    parser.add_argument("--options", default="{}", help="training options as a JSON object")
    chosen = parser.parse_args(arguments)
    configure_logging()
    try:
        summary = tune_model(
            chosen.train,
            chosen.validation,
            chosen.model_dir,
            _options(chosen.options),
            curves_path=chosen.curves,
            caps=json.loads(chosen.caps),
        )
    except DoctuneError as error:
        logger.error("%s", error)
        if chosen.result:
            rank = os.environ.get("RANK", "0")
            write_text(chosen.result.with_name(f"{chosen.result.name}.error-{rank}"), str(error))
        return error.exit_code
    told = json.dumps(asdict(summary)) + "\n"
    sys.stdout.write(told)
    # All workers have the same summary; the first of each machine writes it.
    if chosen.result and os.environ.get("LOCAL_RANK", "0") == "0":
        write_text(chosen.result, told)
    return 0


def _options(text: str) -> TrainingOptions:
    try:
        return TrainingOptions.model_validate_json(text)
    except ValidationError as error:
        raise UsageError(f"--options: {first_problem(error)}") from error


if __name__ == "__main__":
    sys.exit(main())
