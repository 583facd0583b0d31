"""VizierService: the trials of a study, suggested and measured."""

import asyncio
from collections.abc import Mapping
from typing import Any

from doctune.localvertex import names
from doctune.localvertex.api import filters
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import invalid, precondition
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.jobs import suggestions
from doctune.localvertex.jobs.search_space import check_point
from doctune.localvertex.services import studies
from doctune.localvertex.store import Transaction
from doctune.localvertex.vertex import Vertex

KIND = "Trial"
_COMPLETED = ("SUCCEEDED", "INFEASIBLE")


@handles("VizierService.CreateTrial")
def create_trial(call: Call, request: Document) -> Document:
    """Adds a trial that the user chose; one with a final measurement is a completed one."""
    study = call.transaction.get(studies.KIND, request["parent"])
    given = request.get("trial", {})
    values = {item["parameter_id"]: item.get("value") for item in given.get("parameters", ())}
    check_point(study["study_spec"]["parameters"], values)
    trial = _new_trial(call.transaction, study, values, state="REQUESTED")
    if "final_measurement" in given:
        _complete(study, trial, given["final_measurement"])
    call.transaction.put(KIND, trial["name"], trial)
    return trial


@handles("VizierService.GetTrial")
def get_trial(call: Call, request: Document) -> Document:
    """Returns a trial."""
    return call.transaction.get(KIND, request["name"])


@handles("VizierService.ListTrials")
def list_trials(call: Call, request: Document) -> Document:
    """Lists the trials of a study, oldest first."""
    call.transaction.get(studies.KIND, request["parent"])
    shown, token = filters.page(
        _trials(call.transaction, request["parent"]),
        int(request.get("page_size", 0)),
        request.get("page_token", ""),
    )
    return {"trials": shown} | ({"next_page_token": token} if token else {})


@handles("VizierService.SuggestTrials")
def suggest_trials(call: Call, request: Document) -> Document:
    """Gives a worker trials: first those that it has not completed, then new ones."""
    study = call.transaction.get(studies.KIND, request["parent"])
    count = int(request.get("suggestion_count", 0))
    if count < 1:
        raise invalid("suggestion_count must be at least 1.")
    client = request.get("client_id", "")
    vertex = call.vertex

    async def work() -> Document:
        moment = names.timestamp()
        trials, state = await _suggested(vertex, study, count, client)
        ended = names.timestamp()
        return {"trials": trials, "study_state": state, "start_time": moment, "end_time": ended}

    return call.start(study["name"], work)


@handles("VizierService.AddTrialMeasurement")
def add_measurement(call: Call, request: Document) -> Document:
    """Adds what a trial has reached at a step."""
    trial = _open_trial(call.transaction, request["trial_name"])
    measurement = request.get("measurement", {})
    if not measurement.get("metrics"):
        raise invalid("measurement.metrics must not be empty.")
    trial["measurements"] = [*trial.get("measurements", ()), measurement]
    call.transaction.put(KIND, trial["name"], trial)
    return trial


@handles("VizierService.CompleteTrial")
def complete_trial(call: Call, request: Document) -> Document:
    """Completes a trial, or marks it as infeasible."""
    trial = _open_trial(call.transaction, request["name"])
    study = _study(call.transaction, trial)
    if request.get("trial_infeasible"):
        trial |= {"state": "INFEASIBLE", "end_time": names.timestamp()}
        trial["infeasible_reason"] = request.get("infeasible_reason", "")
    else:
        _complete(study, trial, request.get("final_measurement"))
    call.transaction.put(KIND, trial["name"], trial)
    return trial


@handles("VizierService.StopTrial")
def stop_trial(call: Call, request: Document) -> Document:
    """Tells the worker of a trial to stop."""
    trial = _open_trial(call.transaction, request["name"])
    trial["state"] = "STOPPING"
    call.transaction.put(KIND, trial["name"], trial)
    return trial


@handles("VizierService.CheckTrialEarlyStoppingState")
def check_early_stopping(call: Call, request: Document) -> Document:
    """Tells whether a trial should stop by the study's rule."""
    moment = names.timestamp()
    trial = _open_trial(call.transaction, request["trial_name"])
    study = _study(call.transaction, trial)
    others = [
        other
        for other in _trials(call.transaction, study["name"])
        if other["name"] != trial["name"]
    ]
    stop = trial["state"] == "STOPPING" or suggestions.should_stop(
        study["study_spec"], trial, others
    )
    if stop:
        trial["state"] = "STOPPING"
        call.transaction.put(KIND, trial["name"], trial)
    answer = {"start_time": moment, "end_time": names.timestamp(), "should_stop": stop}
    return call.finished(study["name"], answer)


@handles("VizierService.ListOptimalTrials")
def list_optimal_trials(call: Call, request: Document) -> Document:
    """Lists the best trial, or with several metrics all that none other dominates."""
    study = call.transaction.get(studies.KIND, request["parent"])
    trials = _trials(call.transaction, study["name"])
    return {"optimal_trials": suggestions.optimal(study["study_spec"], trials)}


@handles("VizierService.DeleteTrial")
def delete_trial(call: Call, request: Document) -> Document:
    """Deletes a trial."""
    call.transaction.delete(KIND, request["name"])
    return {}


async def _suggested(
    vertex: Vertex, study: Document, count: int, client: str
) -> tuple[list[Document], str]:
    """Returns the trials of a worker, and the state of the study."""
    with vertex.store.transaction() as transaction:
        known = _trials(transaction, study["name"])
        mine = [
            trial for trial in known if trial["state"] == "ACTIVE" and trial["client_id"] == client
        ]
        requested = [trial for trial in known if trial["state"] == "REQUESTED"]
        for trial in requested[: max(0, count - len(mine))]:
            trial |= {"state": "ACTIVE", "client_id": client}
            transaction.put(KIND, trial["name"], trial)
            mine.append(trial)
    missing = count - len(mine)
    if missing <= 0:
        return mine[:count], study["state"]
    points = await asyncio.to_thread(suggestions.suggest, study["study_spec"], known, missing)
    with vertex.store.transaction() as transaction:
        current = transaction.get(studies.KIND, study["name"])
        for point in points:
            trial = _new_trial(transaction, current, point, state="ACTIVE", client=client)
            transaction.put(KIND, trial["name"], trial)
            mine.append(trial)
        if not mine:  # the grid is at its end
            current["state"] = "COMPLETED"
            transaction.put(studies.KIND, current["name"], current)
    return mine, current["state"]


def _new_trial(
    transaction: Transaction,
    study: Document,
    values: Mapping[str, Any],
    *,
    state: str,
    client: str = "",
) -> Document:
    taken = [int(trial["id"]) for trial in _trials(transaction, study["name"])]
    number = str(max(taken, default=0) + 1)
    return {
        "name": f"{study['name']}/trials/{number}",
        "id": number,
        "state": state,
        "client_id": client,
        "parameters": [{"parameter_id": name, "value": value} for name, value in values.items()],
        "start_time": names.timestamp(),
    }


def _complete(study: Document, trial: Document, given: Document | None) -> None:
    """Completes a trial with a measurement, by default one of its own.

    Raises:
        ApiError: INVALID_ARGUMENT: a metric of the study was not measured.
    """
    spec = study["study_spec"]
    final = given or suggestions.select_measurement(spec, trial.get("measurements", ()))
    missing = suggestions.missing_metrics(spec, final or {})
    if final is None or missing:
        raise invalid(
            f"{trial['name']} cannot be completed: it has no measurement of {', '.join(missing)}."
        )
    trial |= {"state": "SUCCEEDED", "final_measurement": final, "end_time": names.timestamp()}


def _open_trial(transaction: Transaction, name: str) -> Document:
    trial = transaction.get(KIND, name)
    if trial["state"] in _COMPLETED:
        raise precondition(f"{name} is {trial['state']}: it takes no changes.")
    return trial


def _study(transaction: Transaction, trial: Document) -> Document:
    return transaction.get(studies.KIND, trial["name"].partition("/trials/")[0])


def _trials(transaction: Transaction, study: str) -> list[Document]:
    """Returns the trials of a study, oldest first."""
    return transaction.list(KIND, parent=study)[::-1]
