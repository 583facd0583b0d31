"""HyperparameterTuningJobs: trials are custom jobs, suggestions come from Optuna.

Optuna's TPE sampler takes the place of Vertex's default algorithm; random and grid search are what
they say. Trials report through cloudml-hypertune. All three of Vertex's early-stopping rules are
carried out as the median rule: a trial is stopped when its best value so far is worse than the
median of the others at the same step.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import invalid
from doctune.localvertex.jobs.custom import TrialSettings, check_job_spec, run_job_spec
from doctune.localvertex.jobs.search_space import (
    Values,
    check_study_spec,
    defaults,
    draw,
    flags,
    grid,
)
from doctune.localvertex.jobs.suggestions import STOPPING_RULES, make_sampler
from doctune.localvertex.tracker import JobFailedError, JobKind
from doctune.localvertex.vertex import Vertex

if TYPE_CHECKING:
    import optuna

TUNING = JobKind("HyperparameterTuningJob")
CUSTOM = JobKind("CustomJob")

_POLL_SECONDS = 0.25
_SEED = 0
_STARTUP_TRIALS = 3
_FAILURES_WHERE_UNSET = 5


def check_tuning_job(vertex: Vertex, job: Document) -> None:
    """Raises if a job is invalid.

    Raises:
        ApiError: INVALID_ARGUMENT or FAILED_PRECONDITION.
    """
    study = job.get("study_spec", {})
    check_study_spec(study)
    for limit in ("max_trial_count", "parallel_trial_count"):
        if job.get(limit, 0) < 1:
            raise invalid(f"{limit} must be at least 1.")
    if len(study["metrics"]) > 1 and any(rule in study for rule in STOPPING_RULES):
        raise invalid("Early stopping needs a study with one metric.")
    check_job_spec(vertex, job.get("trial_job_spec", {}))


async def run_tuning_job(vertex: Vertex, job: Document) -> Document:
    """Runs the trials; returns the fields to set on the job.

    Raises:
        JobFailedError: Too many trials failed.
    """
    study = await asyncio.to_thread(_Study, job)
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            while len(running) < job["parallel_trial_count"] and not study.is_exhausted():
                trial = study.ask()
                if trial is None:
                    break
                running.add(asyncio.create_task(_run_trial(vertex, job, study, trial)))
            if not running:
                break
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            vertex.jobs.update(TUNING, job["name"], trials=study.documents())
            study.check_failures()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        vertex.jobs.update(TUNING, job["name"], trials=study.documents())
    return {"trials": study.ranked_documents()}


@dataclass
class _Trial:
    document: Document
    values: Values
    suggestion: "optuna.Trial | None"
    reported_steps: set[int] = field(default_factory=set)


class _Study:
    """The trials of one job and the optimiser behind them."""

    def __init__(self, job: Document) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._job = job
        self._spec = job["study_spec"]
        self._trials: list[_Trial] = []
        self._metrics = [metric["metric_id"] for metric in self._spec["metrics"]]
        self._goals = [metric["goal"].lower() for metric in self._spec["metrics"]]
        algorithm = self._spec.get("algorithm")
        self._grid: Iterator[Values] | None = None
        if algorithm == "GRID_SEARCH":
            self._grid = grid(self._spec["parameters"])
        self.stops_early = any(rule in self._spec for rule in STOPPING_RULES)
        self._study = optuna.create_study(
            directions=self._goals,
            sampler=make_sampler(algorithm, _SEED),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS),
        )
        first = defaults(self._spec["parameters"])
        if first:
            self._study.enqueue_trial(first)

    def is_exhausted(self) -> bool:
        return len(self._trials) >= self._job["max_trial_count"]

    def ask(self) -> _Trial | None:
        """Returns the next trial; None at the end of a grid."""
        suggestion = None
        if self._grid is not None:
            values = next(self._grid, None)
            if values is None:
                return None
        else:
            suggestion = self._study.ask()
            values = draw(suggestion, self._spec["parameters"])
        trial_id = str(len(self._trials) + 1)
        document: Document = {
            "id": trial_id,
            "name": f"{self._job['name']}/trials/{trial_id}",
            "state": "ACTIVE",
            "parameters": [{"parameter_id": name, "value": v} for name, v in values.items()],
            "start_time": names.timestamp(),
        }
        trial = _Trial(document, values, suggestion)
        self._trials.append(trial)
        return trial

    def report(self, trial: _Trial, measurements: list[Document]) -> bool:
        """Records a running trial's measurements; returns whether it should stop."""
        trial.document["measurements"] = measurements
        if not self.stops_early or trial.suggestion is None:
            return False
        for measurement in measurements:
            step = int(measurement["step_count"])
            if step not in trial.reported_steps:
                trial.reported_steps.add(step)
                trial.suggestion.report(measurement["metrics"][0]["value"], step)
        return bool(trial.reported_steps) and trial.suggestion.should_prune()

    def tell(self, trial: _Trial, failure: str) -> None:
        """Completes a trial with its measurements, or marks it as infeasible."""
        from optuna.trial import TrialState

        document = trial.document
        document["end_time"] = names.timestamp()
        final = self._final(document.get("measurements", []))
        if not failure and final is None:
            failure = f"The trial reported none of the metrics {', '.join(self._metrics)}."
        if failure or final is None:
            document |= {"state": "INFEASIBLE", "infeasible_reason": failure}
        else:
            document |= {"state": "SUCCEEDED", "final_measurement": final}
        if trial.suggestion is not None:
            if document["state"] == "SUCCEEDED":
                self._study.tell(trial.suggestion, self._numbers(document))
            else:
                self._study.tell(trial.suggestion, state=TrialState.FAIL)

    def check_failures(self) -> None:
        """Fails the job if too many trials have failed.

        Raises:
            JobFailedError: With the reason of the last failure.
        """
        failed = [trial.document for trial in self._trials if _is_failed(trial)]
        limit = self._job.get("max_failed_trial_count", 0)
        over = len(failed) > limit if limit else self._all_have_failed(len(failed))
        if over:
            raise JobFailedError(
                f"{len(failed)} of {len(self._trials)} trials failed; the last: "
                f"{failed[-1]['infeasible_reason']}"
            )

    def _all_have_failed(self, failed: int) -> bool:
        enough = min(_FAILURES_WHERE_UNSET, self._job["max_trial_count"])
        return failed >= enough and failed == len(self._trials)

    def documents(self) -> list[Document]:
        return [trial.document for trial in self._trials]

    def ranked_documents(self) -> list[Document]:
        """Returns the trials, best first by the first metric; those without a result last."""
        sign = -1.0 if self._goals[0] == "maximize" else 1.0

        def rank(document: Document) -> tuple[bool, float]:
            if document["state"] != "SUCCEEDED":
                return True, 0.0
            return False, sign * self._numbers(document)[0]

        return sorted(self.documents(), key=rank)

    def _final(self, measurements: list[Document]) -> Document | None:
        if not measurements:
            return None
        if self._spec.get("measurement_selection_type") != "BEST_MEASUREMENT":
            return measurements[-1]
        best = max if self._goals[0] == "maximize" else min
        return best(measurements, key=lambda measurement: measurement["metrics"][0]["value"])

    def _numbers(self, document: Document) -> list[float]:
        found = {m["metric_id"]: m["value"] for m in document["final_measurement"]["metrics"]}
        return [found[metric] for metric in self._metrics]

    def read(self, path: Path) -> list[Document]:
        """Returns a trial's measurements by cloudml-hypertune so far, by step."""
        by_step: dict[str, dict[str, float]] = {}
        for entry in _entries(path):
            step = str(entry.get("global_step", "0"))
            for metric in self._metrics:
                if metric in entry:
                    by_step.setdefault(step, {})[metric] = float(entry[metric])
        return [
            {
                "step_count": step,
                "metrics": [
                    {"metric_id": metric, "value": values[metric]} for metric in self._metrics
                ],
            }
            for step, values in by_step.items()
            if len(values) == len(self._metrics)
        ]


def _is_failed(trial: _Trial) -> bool:
    return trial.document["state"] == "INFEASIBLE"


def _entries(path: Path) -> Iterator[Document]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue  # a line that is being written


async def _run_trial(vertex: Vertex, job: Document, study: _Study, trial: _Trial) -> None:
    trial_id = trial.document["id"]
    folder = vertex.log_path("jobs", names.identifier(job["name"]), f"trial-{trial_id}")
    folder.mkdir(parents=True, exist_ok=True)
    metrics = folder / "metrics.jsonl"
    settings = TrialSettings(
        trial_id,
        flags(trial.values),
        {"CLOUD_ML_HP_METRIC_FILE": str(metrics), "CLOUD_ML_TRIAL_ID": trial_id},
    )
    name = _start_job(vertex, job, settings)
    trial.document["custom_job"] = name
    vertex.jobs.update(TUNING, job["name"], trials=study.documents())
    stopped = False
    try:
        while vertex.jobs.is_running(name):
            await asyncio.sleep(_POLL_SECONDS)
            if not stopped and study.report(trial, study.read(metrics)):
                stopped = True
                trial.document["state"] = "STOPPING"
                _cancel(vertex, name)
    except asyncio.CancelledError:
        trial.document |= {"state": "INFEASIBLE", "infeasible_reason": "The job was cancelled."}
        _cancel(vertex, name)
        await vertex.jobs.wait(name)
        raise
    study.report(trial, study.read(metrics))
    with vertex.store.transaction() as transaction:
        ended = transaction.get(CUSTOM.kind, name)
    failed = ended["state"] != CUSTOM.state("SUCCEEDED") and not stopped
    study.tell(trial, ended.get("error", {}).get("message", "It failed.") if failed else "")


def _start_job(vertex: Vertex, job: Document, settings: TrialSettings) -> str:
    moment = names.timestamp()
    location = names.location_name(job["name"])
    name = f"{location}/customJobs/{names.new_id()}"
    spec = job["trial_job_spec"]

    async def run() -> Document:
        await run_job_spec(vertex, name, spec, settings)
        return {}

    custom: Document = {
        "name": name,
        "display_name": f"{job['display_name']}-trial-{settings.trial_id}",
        "job_spec": spec,
        "create_time": moment,
        "update_time": moment,
        "labels": job.get("labels", {}),
    }
    with vertex.store.transaction() as transaction:
        vertex.jobs.create(transaction, CUSTOM, custom, run)
    return name


def _cancel(vertex: Vertex, name: str) -> None:
    with vertex.store.transaction() as transaction:
        vertex.jobs.cancel(transaction, CUSTOM, name)
