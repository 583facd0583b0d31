"""Hyperparameter search on this machine with Optuna: minimises the validation loss.

A trial is a whole training run without outputs. It reports each validation, and is pruned when it
is worse than the median of earlier trials at the same step. A trial that fails with one of
doctune's errors is recorded, and the search goes on; it fails only if all trials do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from doctune.errors import TrainingError
from doctune.files import write_json
from doctune.training.history import TrainingHistory
from doctune.training.options import TrainingOptions
from doctune.training.search_options import (
    Range,
    SearchOptions,
    SearchSpace,
    with_parameters,
)
from doctune.training.search_report import write_search_report
from doctune.training.trial_record import TrialRecord
from doctune.training.tune import train_adapter

logger = logging.getLogger("doctune.training")


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The trials of a search, and the best of them."""

    best_options: TrainingOptions
    best_loss: float
    trials: list[TrialRecord]
    importance: dict[str, float]  # share of the loss's variance that a hyperparameter explains


class BestParameters(NamedTuple):
    """Hyperparameters for `tune_model`: its named parameters, and the others in `advanced`."""

    base_model: str
    learning_rate: float
    num_train_epochs: float
    per_device_train_batch_size: int
    max_length: int
    lora_r: int
    lora_alpha: int
    advanced: dict[str, Any]


class BestTrial(NamedTuple):
    """The best trial."""

    parameters: BestParameters
    loss: float  # lowest validation loss, in nats per label token
    trials: int


def search_hyperparameters(
    train_path: Path,
    validation_path: Path,
    base: TrainingOptions | None = None,
    options: SearchOptions | None = None,
    *,
    result_path: Path | None = None,
    report_path: Path | None = None,
) -> SearchResult:
    """Searches for the best hyperparameters.

    Args:
        base: The options that all trials share.
        result_path: Where to write the result as JSON; None writes no file.
        report_path: Where to write the analysis as HTML; None writes no file.

    Raises:
        TrainingError: No trial gave a model.
        DatasetError, ModelError: The data sets or the base model cannot be used.
    """
    import torch

    if (gpus := torch.cuda.device_count()) > 1:
        logger.warning("The search uses only one of this machine's %s GPUs", gpus)
    common, chosen = base or TrainingOptions(), options or SearchOptions()
    study = _study(chosen)
    reasons: dict[int, str] = {}

    def objective(trial: Any) -> float:
        parameters = propose(trial, chosen.space)
        logger.info("Trial %s of %s: %s", trial.number + 1, chosen.max_trials, parameters)
        try:
            return _run_trial(
                trial, train_path, validation_path, with_parameters(common, parameters)
            )
        except TrainingError as error:
            reasons[trial.number] = str(error)
            raise

    study.optimize(objective, n_trials=chosen.max_trials, catch=(TrainingError,))
    trials = [_record(trial, reasons) for trial in study.trials]
    result = search_result(trials, common, chosen.space)
    write_search(result, result_path, report_path)
    return result


def _study(options: SearchOptions) -> Any:
    """Returns an Optuna study that minimises the loss."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    return optuna.create_study(
        direction="minimize",
        sampler=samplers[options.algorithm](seed=options.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=options.pruning_warmup),
    )


def _run_trial(
    trial: Any, train_path: Path, validation_path: Path, options: TrainingOptions
) -> float:
    """Trains with a trial's options, reporting each validation; returns the lowest loss.

    Raises:
        optuna.TrialPruned: The trial is worse than the others at the same step.
    """
    import optuna

    def should_prune(history: TrainingHistory) -> bool:
        step, loss = history.validations[-1]
        trial.report(loss, step)
        return bool(trial.should_prune())

    history = train_adapter(train_path, validation_path, options, should_prune)
    if history.stopped_early and trial.should_prune():
        raise optuna.TrialPruned
    return history.best_loss


def search_result(
    trials: list[TrialRecord], common: TrainingOptions, space: SearchSpace
) -> SearchResult:
    """Returns the best of the trials, and the importance of each hyperparameter.

    Args:
        common: The options that all trials share.

    Raises:
        TrainingError: No trial gave a model.
    """
    finished = [trial for trial in trials if trial.state == "complete" and trial.loss is not None]
    if not finished:
        last = (
            f"; the last one failed so: {trials[-1].reason or trials[-1].state}" if trials else ""
        )
        raise TrainingError(f"None of the {len(trials)} trials gave a model{last}")
    best = min(finished, key=lambda trial: trial.loss or 0.0)
    return SearchResult(
        best_options=with_parameters(common, best.parameters),
        best_loss=best.loss or 0.0,
        trials=trials,
        importance=_importance(finished, space),
    )


def write_search(result: SearchResult, result_path: Path | None, report_path: Path | None) -> None:
    """Writes the result of a search as JSON, and its analysis as HTML, if paths are given."""
    if result_path is not None:
        best_options = result.best_options.model_dump()
        write_json(result_path, {**asdict(result), "best_options": best_options})
    if report_path is not None:
        write_search_report(result.trials, result.importance, report_path)


def pick_trial(
    trials: list[TrialRecord] | None,
    train_path: Path,
    validation_path: Path,
    *,
    training: Mapping[str, Any],
    search: Mapping[str, Any],
    result_path: Path,
    report_path: Path,
) -> BestTrial:
    """Returns the best of the trials; where None are given, runs the search in this process.

    Args:
        trials: The trials of a search that ran elsewhere, or None.
        training: Fields of `TrainingOptions` that all trials share.
        search: Fields of `SearchOptions`.
        result_path: Where to write all trials as JSON.
        report_path: Where to write the analysis as HTML.

    Raises:
        TrainingError: No trial gave a loss.
    """
    common, options = TrainingOptions.model_validate(training), SearchOptions.model_validate(search)
    if trials is not None:
        result = search_result(trials, common, options.space)
        write_search(result, result_path, report_path)
    else:
        result = search_hyperparameters(
            *(train_path, validation_path, common, options),
            result_path=result_path,
            report_path=report_path,
        )
    return BestTrial(_best(result.best_options), result.best_loss, len(result.trials))


def propose(trial: Any, space: SearchSpace) -> dict[str, Any]:
    """Asks Optuna for a value of each hyperparameter in the space."""
    parameters: dict[str, Any] = {}
    for name in SearchSpace.model_fields:
        values = getattr(space, name)
        if isinstance(values, Range):
            parameters[name] = trial.suggest_float(name, values.low, values.high, log=values.log)
        elif values is not None:
            parameters[name] = trial.suggest_categorical(name, list(values))
    return parameters


def _best(options: TrainingOptions) -> BestParameters:
    values = options.model_dump(mode="json")
    named = {name: values.pop(name) for name in BestParameters._fields if name != "advanced"}
    default = TrainingOptions().model_dump(mode="json")
    others = {name: value for name, value in values.items() if value != default[name]}
    return BestParameters(**named, advanced=others)


def _record(trial: Any, reasons: dict[int, str]) -> TrialRecord:
    states = {"COMPLETE": "complete", "PRUNED": "pruned"}
    state = states.get(trial.state.name, "failed")
    reported = list(trial.intermediate_values.values())
    loss = min(reported) if reported and state != "failed" else trial.value
    duration = trial.duration.total_seconds() if trial.duration else 0.0
    return TrialRecord(
        number=trial.number,
        parameters=dict(trial.params),
        state=state,
        loss=loss,
        seconds=round(duration, 2),
        reason=reasons.get(trial.number, ""),
    )


def _importance(finished: list[TrialRecord], space: SearchSpace) -> dict[str, float]:
    import optuna

    if len(finished) < 2:
        return {}
    distributions = {name: _distribution(getattr(space, name)) for name in finished[0].parameters}
    study = optuna.create_study(direction="minimize")
    for trial in finished:
        study.add_trial(
            optuna.trial.create_trial(
                params=trial.parameters, distributions=distributions, value=trial.loss
            )
        )
    try:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
    except (RuntimeError, ValueError):
        return {}  # all losses are equal: nothing to explain


def _distribution(values: Range | tuple[Any, ...]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(values, Range):
        return FloatDistribution(values.low, values.high, log=values.log)
    return CategoricalDistribution(values)
