"""TensorboardService: the time series of Experiments.

Tensorboards hold experiments, these runs, these time series; the points of a series are kept beside
it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.dispatch import HANDLERS, Call, handles
from doctune.localvertex.services import resources

POINTS = "TensorboardTimeSeriesPoints"

_MUTABLE = frozenset({"display_name", "description", "labels", "is_default"})


@dataclass(frozen=True)
class _Level:
    kind: str
    field: str
    collection: str
    plural: str
    long_running: bool = False


_TENSORBOARD = _Level("Tensorboard", "tensorboard", "tensorboards", "tensorboards", True)
_EXPERIMENT = _Level(
    "TensorboardExperiment", "tensorboard_experiment", "experiments", "tensorboard_experiments"
)
_RUN = _Level("TensorboardRun", "tensorboard_run", "runs", "tensorboard_runs")
_SERIES = _Level(
    "TensorboardTimeSeries",
    "tensorboard_time_series",
    "timeSeries",
    "tensorboard_time_series",
)


def _register(level: _Level) -> None:
    """Registers create, get, list, update and delete of one level."""

    def create(call: Call, request: Document) -> Document:
        made = _create(call, level, request)
        return call.finished(made["name"], made) if level.long_running else made

    def get(call: Call, request: Document) -> Document:
        return call.transaction.get(level.kind, request["name"])

    def list_level(call: Call, request: Document) -> Document:
        found = call.transaction.list(level.kind, parent=request["parent"])
        return resources.list_response(call, request, level.plural, level.kind, found)

    def update(call: Call, request: Document) -> Document:
        change = request.get(level.field, {})
        updated = resources.update(
            call, level.kind, change, request.get("update_mask", []), _MUTABLE
        )
        return call.finished(updated["name"], updated) if level.long_running else updated

    def delete(call: Call, request: Document) -> Document:
        call.transaction.delete(level.kind, request["name"])
        call.transaction.delete_below(request["name"])
        if call.transaction.find(POINTS, request["name"]):
            call.transaction.delete(POINTS, request["name"])
        return call.finished(names.location_name(request["name"]), {})

    plural = level.kind if level is _SERIES else f"{level.kind}s"
    handlers: tuple[tuple[str, Callable[[Call, Document], Document]], ...] = (
        (f"Create{level.kind}", create),
        (f"Get{level.kind}", get),
        (f"List{plural}", list_level),
        (f"Update{level.kind}", update),
        (f"Delete{level.kind}", delete),
    )
    for verb, handler in handlers:
        HANDLERS[f"TensorboardService.{verb}"] = handler


def _create(call: Call, level: _Level, request: Document) -> Document:
    given = request.get(level.field, {})
    resources.check_labels(given)
    chosen = request.get(f"{level.field}_id", "") or names.new_id()
    name = f"{request['parent']}/{level.collection}/{chosen}"
    resources.check_new(call, level.kind, name)
    made = resources.stamp(given, call.type(level.kind)) | {"name": name}
    if level is _TENSORBOARD:
        made["blob_storage_path_prefix"] = f"cloud-ai-platform-{chosen}"
    call.transaction.put(level.kind, name, made)
    return made


for _level in (_TENSORBOARD, _EXPERIMENT, _RUN, _SERIES):
    _register(_level)


@handles("TensorboardService.BatchCreateTensorboardRuns")
def batch_create_tensorboard_runs(call: Call, request: Document) -> Document:
    """Creates several runs."""
    made = [_create_below(call, _RUN, each) for each in request.get("requests", [])]
    return {"tensorboard_runs": made}


@handles("TensorboardService.BatchCreateTensorboardTimeSeries")
def batch_create_tensorboard_time_series(call: Call, request: Document) -> Document:
    """Creates several time series."""
    made = [_create_below(call, _SERIES, each) for each in request.get("requests", [])]
    return {"tensorboard_time_series": made}


def _create_below(call: Call, level: _Level, request: Document) -> Document:
    request["parent"] = call.vertex.projects.canonical(request["parent"])
    return _create(call, level, request)


@handles("TensorboardService.WriteTensorboardRunData")
def write_tensorboard_run_data(call: Call, request: Document) -> Document:
    """Adds points to the time series of a run."""
    call.transaction.get(_RUN.kind, request["tensorboard_run"])
    _write(call, request["tensorboard_run"], request.get("time_series_data", []))
    return {}


@handles("TensorboardService.WriteTensorboardExperimentData")
def write_tensorboard_experiment_data(call: Call, request: Document) -> Document:
    """Adds points to the time series of several runs."""
    for part in request.get("write_run_data_requests", []):
        run = call.vertex.projects.canonical(part["tensorboard_run"])
        call.transaction.get(_RUN.kind, run)
        _write(call, run, part.get("time_series_data", []))
    return {}


def _write(call: Call, run: str, data: list[Document]) -> None:
    for part in data:
        name = f"{run}/timeSeries/{part['tensorboard_time_series_id']}"
        call.transaction.get(_SERIES.kind, name)
        kept = call.transaction.find(POINTS, name) or {"values": []}
        kept["value_type"] = part.get("value_type", "SCALAR")
        kept["values"] += part.get("values", [])
        call.transaction.put(POINTS, name, kept, parent=run)


@handles("TensorboardService.ReadTensorboardTimeSeriesData")
def read_tensorboard_time_series_data(call: Call, request: Document) -> Document:
    """Returns the points of a time series."""
    return {"time_series_data": _read(call, request["tensorboard_time_series"])}


@handles("TensorboardService.BatchReadTensorboardTimeSeriesData")
def batch_read_tensorboard_time_series_data(call: Call, request: Document) -> Document:
    """Returns the points of several time series."""
    series = [call.vertex.projects.canonical(name) for name in request.get("time_series", [])]
    return {"time_series_data": [_read(call, name) for name in series]}


def _read(call: Call, name: str) -> Document:
    series = call.transaction.get(_SERIES.kind, name)
    kept = call.transaction.find(POINTS, name) or {"values": []}
    return {
        "tensorboard_time_series_id": names.identifier(name),
        "value_type": kept.get("value_type", series.get("value_type", "SCALAR")),
        "values": sorted(kept["values"], key=lambda point: int(point.get("step", 0))),
    }
