"""The program of one hyperparameter trial, which a tuning job runs.

    python -m doctune.training.trial --train URI --validation URI [--options JSON] \
        --learning_rate=0.001 --lora_r=8

Every flag after the first three is a hyperparameter that the search has set. Each validation is
reported by cloudml-hypertune as `validation_loss`, by which Vertex AI ranks and stops trials.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from doctune.artifacts import local_file
from doctune.errors import DoctuneError, UsageError
from doctune.logs import configure_logging
from doctune.training.history import TrainingHistory
from doctune.training.options import TrainingOptions
from doctune.training.search_options import SearchSpace, with_parameters
from doctune.validation import first_problem

METRIC = "validation_loss"

logger = logging.getLogger("doctune.training")


def main(arguments: list[str] | None = None) -> int:
    """Runs the trial; returns the exit code: 0, 1 failed, 2 wrong usage."""
    configure_logging()
    try:
        chosen, parameters = _parse(arguments)
        loss = run_trial(local_file(chosen.train), local_file(chosen.validation), parameters)
    except DoctuneError as error:
        logger.error("%s", error)
        return error.exit_code
    sys.stdout.write(json.dumps({METRIC: loss}) + "\n")
    return 0


def run_trial(train_path: Path, validation_path: Path, options: TrainingOptions) -> float:
    """Trains without saving the model, and reports each validation.

    Returns:
        The lowest validation loss, in nats per label token.

    Raises:
        DatasetError, ModelError, TrainingError: As `tune_model`.
    """
    from hypertune import HyperTune

    from doctune.training.tune import train_adapter

    reporter = HyperTune()

    def report(history: TrainingHistory) -> bool:
        step, loss = history.validations[-1]
        reporter.report_hyperparameter_tuning_metric(METRIC, loss, step)
        return False

    return train_adapter(train_path, validation_path, options, report).best_loss


def _parse(arguments: list[str] | None) -> tuple[argparse.Namespace, TrainingOptions]:
    parser = argparse.ArgumentParser(
        prog="python -m doctune.training.trial",
        description="One trial of a hyperparameter search.",
        allow_abbrev=False,
    )
    parser.add_argument("--train", required=True, help="JSONL to train on: a path or gs:// URI")
    parser.add_argument("--validation", required=True, help="JSONL to validate on")
    parser.add_argument(
        "--options", default="{}", help="the options that all trials share, as JSON"
    )
    for name in SearchSpace.model_fields:
        parser.add_argument(f"--{name}", help="set by the search")
    chosen = parser.parse_args(arguments)
    parameters: dict[str, Any] = {
        name: getattr(chosen, name)
        for name in SearchSpace.model_fields
        if getattr(chosen, name) is not None
    }
    try:
        common = TrainingOptions.model_validate_json(chosen.options)
        numbers = {
            name: value if name == "target_modules" else float(value)
            for name, value in parameters.items()
        }
        return chosen, with_parameters(common, numbers)
    except ValidationError as error:
        raise UsageError(first_problem(error, "--options")) from error
    except ValueError as error:
        raise UsageError(f"a hyperparameter is not a number: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
