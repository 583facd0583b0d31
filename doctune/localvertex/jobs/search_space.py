"""Samples a study's search space with Optuna.

Discrete values are drawn by their rank, so that the sampler sees their order. The reverse log scale
is the log scale mirrored. Conditional parameters are drawn when their parent has one of the values
that they hang on, as Optuna's define-by-run has it.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import invalid

if TYPE_CHECKING:
    import optuna

Values = dict[str, Any]

_KINDS = (
    "double_value_spec",
    "integer_value_spec",
    "categorical_value_spec",
    "discrete_value_spec",
)
_CONDITIONS = (
    "parent_discrete_values",
    "parent_int_values",
    "parent_categorical_values",
)
_GRID_POINTS = 10


def check_study_spec(study: Document) -> None:
    """Raises if the specification of a study is invalid.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    if not study.get("metrics"):
        raise invalid("study_spec.metrics must not be empty.")
    for metric in study["metrics"]:
        if metric.get("goal") not in ("MAXIMIZE", "MINIMIZE"):
            raise invalid(
                f"Metric {metric.get('metric_id')!r} needs the goal MAXIMIZE or MINIMIZE."
            )
    if not study.get("parameters"):
        raise invalid("study_spec.parameters must not be empty.")
    check_parameters(study["parameters"])


def check_parameters(parameters: Sequence[Document]) -> None:
    """Raises if a search space is invalid.

    Raises:
        ApiError: INVALID_ARGUMENT, naming the parameter.
    """
    seen: set[str] = set()
    for spec in _flat(parameters):
        name = spec.get("parameter_id", "")
        if not name or name in seen:
            raise invalid(f"parameter_id {name!r} is missing or used twice.")
        seen.add(name)
        kind = _kind(spec)
        if kind in ("double_value_spec", "integer_value_spec"):
            low, high = _bounds(spec, kind)
            if low > high:
                raise invalid(f"Parameter {name!r}: min_value {low} is above max_value {high}.")
            if "LOG" in spec.get("scale_type", "") and low <= 0:
                raise invalid(f"Parameter {name!r}: a log scale needs min_value above 0.")
        elif not spec[kind].get("values"):
            raise invalid(f"Parameter {name!r} has no values.")


def _flat(parameters: Sequence[Document]) -> Iterator[Document]:
    for spec in parameters:
        yield spec
        for child in spec.get("conditional_parameter_specs", ()):
            yield from _flat([child.get("parameter_spec", {})])


def _kind(spec: Document) -> str:
    kinds = [kind for kind in _KINDS if kind in spec]
    if len(kinds) != 1:
        raise invalid(f"Parameter {spec.get('parameter_id')!r} needs one of {', '.join(_KINDS)}.")
    return kinds[0]


def _bounds(spec: Document, kind: str) -> tuple[float, float]:
    convert = int if kind == "integer_value_spec" else float
    return convert(spec[kind].get("min_value", 0)), convert(spec[kind].get("max_value", 0))


def draw(trial: "optuna.Trial", parameters: Sequence[Document]) -> Values:
    """Samples values of the active parameters, in the order of the specification."""
    values: Values = {}
    for spec in parameters:
        name = spec["parameter_id"]
        values[name] = _draw_one(trial, spec)
        for child in spec.get("conditional_parameter_specs", ()):
            if _is_met(child, values[name]):
                values |= draw(trial, [child["parameter_spec"]])
    return values


def _draw_one(trial: "optuna.Trial", spec: Document) -> Any:
    name, kind = spec["parameter_id"], _kind(spec)
    scale = spec.get("scale_type", "")
    if kind == "categorical_value_spec":
        return trial.suggest_categorical(name, spec[kind]["values"])
    if kind == "discrete_value_spec":
        values = sorted(spec[kind]["values"])
        return values[trial.suggest_int(f"{name}#rank", 0, len(values) - 1)]
    low, high = _bounds(spec, kind)
    log = scale in ("UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE")
    if kind == "integer_value_spec":
        drawn: float = trial.suggest_int(name, int(low), int(high), log=log)
    else:
        drawn = trial.suggest_float(name, low, high, log=log)
    return low + high - drawn if scale == "UNIT_REVERSE_LOG_SCALE" else drawn


def _is_met(child: Document, value: Any) -> bool:
    for condition in _CONDITIONS:
        if condition in child:
            wanted = child[condition].get("values", [])
            if condition == "parent_categorical_values":
                return value in wanted
            return float(value) in [float(item) for item in wanted]
    return False


def defaults(parameters: Sequence[Document]) -> Values:
    """Returns the default values for the first trial, in Optuna's form."""
    chosen: Values = {}
    for spec in parameters:
        kind = _kind(spec)
        if "default_value" not in spec[kind]:
            continue
        name, value = spec["parameter_id"], spec[kind]["default_value"]
        if kind == "discrete_value_spec":
            chosen[f"{name}#rank"] = sorted(spec[kind]["values"]).index(value)
        elif kind == "integer_value_spec":
            chosen[name] = int(value)
        else:
            chosen[name] = value
    return chosen


def suggested_form(parameters: Sequence[Document], values: Mapping[str, Any]) -> Values:
    """Returns values that `draw` gave, or that a user gave, in Optuna's form."""
    chosen: Values = {}
    for spec in _flat(parameters):
        name, kind = spec["parameter_id"], _kind(spec)
        if name not in values:
            continue
        value = values[name]
        if kind == "discrete_value_spec":
            chosen[f"{name}#rank"] = sorted(spec[kind]["values"]).index(float(value))
        elif kind == "categorical_value_spec":
            chosen[name] = value
        else:
            low, high = _bounds(spec, kind)
            mirrored = spec.get("scale_type", "") == "UNIT_REVERSE_LOG_SCALE"
            number = low + high - value if mirrored else value
            chosen[name] = int(number) if kind == "integer_value_spec" else float(number)
    return chosen


def check_point(parameters: Sequence[Document], values: Mapping[str, Any]) -> None:
    """Raises unless values, of a trial that a user adds, are a point of the search space.

    Raises:
        ApiError: INVALID_ARGUMENT, naming the parameter.
    """
    wanted: set[str] = set()
    rest = list(parameters)
    while rest:
        spec = rest.pop()
        name, kind = spec["parameter_id"], _kind(spec)
        if name not in values:
            raise invalid(f"The trial has no value for parameter {name!r}.")
        wanted.add(name)
        value = values[name]
        if kind in ("double_value_spec", "integer_value_spec"):
            low, high = _bounds(spec, kind)
            inside = isinstance(value, (int, float)) and low <= value <= high
        else:
            inside = value in spec[kind]["values"]
        if not inside:
            raise invalid(f"Parameter {name!r}: {value!r} lies outside the search space.")
        rest += [
            child["parameter_spec"]
            for child in spec.get("conditional_parameter_specs", ())
            if _is_met(child, value)
        ]
    if strange := sorted(set(values) - wanted):
        raise invalid(f"The study has no parameter {', '.join(strange)} at this point.")


def grid(parameters: Sequence[Document]) -> Iterator[Values]:
    """Yields every point of the grid; a double has ten points on its scale."""
    axes = [_axis(spec) for spec in parameters]
    for point in itertools.product(*axes):
        values: Values = {}
        for branch in point:
            values |= branch
        yield values


def _axis(spec: Document) -> list[Values]:
    """Returns the values of one parameter, each with those of its active children."""
    branches: list[Values] = []
    for value in _points(spec):
        children = [
            child["parameter_spec"]
            for child in spec.get("conditional_parameter_specs", ())
            if _is_met(child, value)
        ]
        branches += [{spec["parameter_id"]: value, **inner} for inner in grid(children)]
    return branches


def _points(spec: Document) -> list[Any]:
    kind = _kind(spec)
    if kind in ("categorical_value_spec", "discrete_value_spec"):
        return list(spec[kind]["values"])
    low, high = _bounds(spec, kind)
    if kind == "integer_value_spec":
        return list(range(int(low), int(high) + 1))
    shares = [step / (_GRID_POINTS - 1) for step in range(_GRID_POINTS)]
    scale = spec.get("scale_type", "")
    if scale == "UNIT_LOG_SCALE":
        return [low * (high / low) ** share for share in shares]
    if scale == "UNIT_REVERSE_LOG_SCALE":
        return [low + high - low * (high / low) ** share for share in shares]
    return [low + (high - low) * share for share in shares]


def flags(values: Mapping[str, Any]) -> list[str]:
    """Returns parameters as command-line flags of a trial."""
    return [f"--{name}={_text(value)}" for name, value in values.items()]


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
