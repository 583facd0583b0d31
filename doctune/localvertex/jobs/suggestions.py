"""What Vizier suggests: the next points of a study, when to stop a trial, which trials are best.

A study is only its trials, as documents: Optuna's study is built anew from them for each request.
Optuna's TPE sampler takes the place of Vertex's default algorithm, and its median rule that of all
three of Vertex's rules of early stopping; random and grid search are what they say.
"""

import itertools
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from doctune.localvertex.api.codec import Document
from doctune.localvertex.jobs.search_space import Values, defaults, draw, grid, suggested_form

if TYPE_CHECKING:
    import optuna

STOPPING_RULES = (
    "decay_curve_stopping_spec",
    "median_automated_stopping_spec",
    "convex_automated_stopping_spec",
)
_OPEN = ("REQUESTED", "ACTIVE", "STOPPING")
_LEAST_OTHERS = 3  # trials that the median rule compares with


def make_sampler(algorithm: str | None, seed: int) -> "optuna.samplers.BaseSampler":
    """Returns the sampler of an algorithm of Vizier."""
    import optuna

    if algorithm == "RANDOM_SEARCH":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def suggest(spec: Document, trials: Sequence[Document], count: int) -> list[Values]:
    """Returns the parameters of the next trials; fewer than `count` at the end of a grid.

    Args:
        trials: All trials of the study so far, oldest first.
    """
    if spec.get("algorithm") == "GRID_SEARCH":
        tried = [_values(trial) for trial in trials]
        points = (values for values in grid(spec["parameters"]) if values not in tried)
        return list(itertools.islice(points, count))
    study = _rebuilt(spec, trials)
    first = defaults(spec["parameters"])
    if first and not trials:
        study.enqueue_trial(first)
    return [draw(study.ask(), spec["parameters"]) for _ in range(count)]


def should_stop(spec: Document, trial: Document, others: Sequence[Document]) -> bool:
    """Whether a trial does worse than the median of the others at its last step.

    A study without a rule of early stopping, or with several metrics, stops none.
    """
    if len(spec["metrics"]) != 1 or not any(rule in spec for rule in STOPPING_RULES):
        return False
    sign = _signs(spec)[0]
    own = _course(trial, sign)
    if not own:
        return False
    last = max(own)
    reached = [course for course in (_course(other, sign) for other in others) if course]
    at_step = [
        max(value for step, value in course.items() if step <= last)
        for course in reached
        if min(course) <= last
    ]
    return len(at_step) >= _LEAST_OTHERS and max(own.values()) < statistics.median(at_step)


def optimal(spec: Document, trials: Sequence[Document]) -> list[Document]:
    """Returns the best trial, or with several metrics all that no other one dominates."""
    signs = _signs(spec)
    scores = {
        trial["name"]: [
            sign * value for sign, value in zip(signs, final_values(spec, trial), strict=True)
        ]
        for trial in trials
        if trial["state"] == "SUCCEEDED"
    }
    done = [trial for trial in trials if trial["name"] in scores]
    if len(signs) == 1:
        return [max(done, key=lambda trial: scores[trial["name"]][0])] if done else []
    return [
        trial
        for trial in done
        if not any(_dominates(scores[other["name"]], scores[trial["name"]]) for other in done)
    ]


def final_values(spec: Document, trial: Document) -> list[float]:
    """Returns the values of a completed trial, in the order of the study's metrics."""
    return _metric_values(spec, trial["final_measurement"])


def select_measurement(spec: Document, measurements: Sequence[Document]) -> Document | None:
    """Returns the measurement that becomes the final one if the caller names none."""
    complete = [
        measurement for measurement in measurements if not missing_metrics(spec, measurement)
    ]
    if not complete:
        return None
    if spec.get("measurement_selection_type") != "BEST_MEASUREMENT":
        return complete[-1]
    sign = _signs(spec)[0]
    return max(complete, key=lambda measurement: sign * _metric_values(spec, measurement)[0])


def missing_metrics(spec: Document, measurement: Document) -> list[str]:
    """Returns the metrics of the study that a measurement lacks."""
    given = {metric["metric_id"] for metric in measurement.get("metrics", ())}
    return [metric["metric_id"] for metric in spec["metrics"] if metric["metric_id"] not in given]


def _rebuilt(spec: Document, trials: Sequence[Document]) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=[metric["goal"].lower() for metric in spec["metrics"]],
        # A fixed seed would draw the same point for every request.
        sampler=make_sampler(spec.get("algorithm"), seed=len(trials)),
    )
    for trial in trials:
        study.enqueue_trial(suggested_form(spec["parameters"], _values(trial)))
        asked = study.ask()
        draw(asked, spec["parameters"])
        if trial["state"] == "SUCCEEDED":
            study.tell(asked, final_values(spec, trial))
        elif trial["state"] not in _OPEN:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
    return study


def _values(trial: Document) -> Values:
    return {item["parameter_id"]: item["value"] for item in trial.get("parameters", ())}


def _metric_values(spec: Document, measurement: Document) -> list[float]:
    given: dict[str, Any] = {
        metric["metric_id"]: metric.get("value", 0.0) for metric in measurement["metrics"]
    }
    return [float(given[metric["metric_id"]]) for metric in spec["metrics"]]


def _signs(spec: Document) -> list[float]:
    return [1.0 if metric["goal"] == "MAXIMIZE" else -1.0 for metric in spec["metrics"]]


def _course(trial: Document, sign: float) -> dict[int, float]:
    """Returns the best value up to each reported step, the higher the better."""
    course: dict[int, float] = {}
    best = float("-inf")
    reported = sorted(
        (int(measurement.get("step_count", 0)), sign * float(metric.get("value", 0.0)))
        for measurement in trial.get("measurements", ())
        for metric in measurement.get("metrics", ())[:1]
    )
    for step, value in reported:
        best = max(best, value)
        course[step] = best
    return course


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)
