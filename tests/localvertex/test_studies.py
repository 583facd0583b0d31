"""Vizier: studies, and trials that are suggested, measured, stopped and ranked."""

import math

import pytest

from tests.localvertex.conftest import PARENT
from tests.localvertex.wire import ask, call, finished

X = {"parameterId": "x", "doubleValueSpec": {"minValue": -10, "maxValue": 10}}
KIND = {"parameterId": "kind", "categoricalValueSpec": {"values": ["a", "b"]}}
DEPTH = {"parameterId": "depth", "integerValueSpec": {"minValue": 1, "maxValue": 2}}


@pytest.fixture
def make_study(local, unique):
    made = []

    def make(**spec):
        metrics = [{"metricId": "y", "goal": "MAXIMIZE"}]
        given = {"metrics": metrics, "parameters": [X], "algorithm": "RANDOM_SEARCH"} | spec
        body = {"displayName": f"{unique}-{len(made)}", "studySpec": given}
        made.append(call(local, f"{PARENT}/studies", body)["name"])
        return made[-1]

    yield make
    for name in made:
        call(local, name, method="DELETE")


@pytest.fixture
def suggest(local):
    def ask_for(study, count=1, client="w"):
        body = {"suggestionCount": count, "clientId": client}
        return finished(local, call(local, f"{study}/trials:suggest", body))["response"]

    return ask_for


def measured(**values):
    return {"metrics": [{"metricId": name, "value": value} for name, value in values.items()]}


def values_of(trial):
    return {item["parameterId"]: item["value"] for item in trial["parameters"]}


def test_studies_are_listed_looked_up_and_deleted_with_their_trials(local, suggest, unique):
    spec = {"metrics": [{"metricId": "y", "goal": "MINIMIZE"}], "parameters": [X]}
    body = {"displayName": unique, "studySpec": spec}
    study = call(local, f"{PARENT}/studies", body)
    assert study["name"] in [found["name"] for found in call(local, f"{PARENT}/studies")["studies"]]
    found = call(local, f"{PARENT}/studies:lookup", {"displayName": unique})
    assert found["name"] == study["name"]
    assert ask(local, f"/v1/{PARENT}/studies", body)[0] == 409
    (trial,) = suggest(study["name"])["trials"]
    call(local, study["name"], method="DELETE")
    assert ask(local, f"/v1/{study['name']}")[0] == 404
    assert ask(local, f"/v1/{trial['name']}")[0] == 404


def test_a_study_without_parameters_is_refused(local, unique):
    spec = {"metrics": [{"metricId": "y", "goal": "MINIMIZE"}]}
    status, answer = ask(local, f"/v1/{PARENT}/studies", {"displayName": unique, "studySpec": spec})
    assert status == 400
    assert "parameters must not be empty" in answer["error"]["message"]


def test_a_worker_gets_its_open_trials_again_and_another_gets_others(make_study, suggest):
    study = make_study()
    first = suggest(study, 2)["trials"]
    assert [trial["id"] for trial in first] == ["1", "2"]
    assert len({values_of(trial)["x"] for trial in first}) == 2
    again = suggest(study, 3)["trials"]
    assert [trial["id"] for trial in again] == ["1", "2", "3"]
    assert [trial["id"] for trial in suggest(study, 1, "other")["trials"]] == ["4"]


def test_suggestions_approach_the_optimum(local, make_study, suggest):
    study = make_study(algorithm="ALGORITHM_UNSPECIFIED")
    for _ in range(25):
        (trial,) = suggest(study)["trials"]
        result = measured(y=-((values_of(trial)["x"] - 3) ** 2))
        call(local, f"{trial['name']}:complete", {"finalMeasurement": result})
    (best,) = call(local, f"{study}/trials:listOptimalTrials", {})["optimalTrials"]
    assert abs(values_of(best)["x"] - 3) < 1
    late = call(local, f"{study}/trials")["trials"][15:]
    assert sum(abs(values_of(trial)["x"] - 3) < 4 for trial in late) > len(late) / 2


def test_optimal_trials_of_several_metrics_are_those_that_none_dominates(
    local, make_study, suggest
):
    metrics = [{"metricId": "y1", "goal": "MINIMIZE"}, {"metricId": "y2", "goal": "MAXIMIZE"}]
    study = make_study(metrics=metrics)
    results = [(1, 1), (2, 2), (2, 1), (0, 0)]
    for trial, (y1, y2) in zip(suggest(study, 4)["trials"], results, strict=True):
        done = measured(y1=y1, y2=y2)
        call(local, f"{trial['name']}:complete", {"finalMeasurement": done})
    found = call(local, f"{study}/trials:listOptimalTrials", {})["optimalTrials"]
    assert [trial["id"] for trial in found] == ["1", "2", "4"]


def test_a_grid_is_walked_once_and_completes_the_study(local, make_study, suggest):
    study = make_study(parameters=[KIND, DEPTH], algorithm="GRID_SEARCH")
    trials = suggest(study, 9)["trials"]
    assert [(values_of(t)["kind"], values_of(t)["depth"]) for t in trials] == [
        ("a", 1), ("a", 2), ("b", 1), ("b", 2),
    ]  # fmt: skip
    for trial in trials:
        call(local, f"{trial['name']}:complete", {"finalMeasurement": measured(y=1)})
    over = suggest(study)
    assert (over.get("trials"), over["studyState"]) == (None, "COMPLETED")


def test_a_trial_without_the_studys_metric_does_not_succeed(local, make_study, suggest):
    study = make_study()
    (trial,) = suggest(study)["trials"]
    for body in ({}, {"finalMeasurement": measured(other=1)}):
        status, answer = ask(local, f"/v1/{trial['name']}:complete", body)
        assert status == 400
        assert "no measurement of y" in answer["error"]["message"]
    assert call(local, trial["name"])["state"] == "ACTIVE"
    assert call(local, f"{study}/trials:listOptimalTrials", {}) == {}
    reason = {"trialInfeasible": True, "infeasibleReason": "it diverged"}
    ended = call(local, f"{trial['name']}:complete", reason)
    assert (ended["state"], ended["infeasibleReason"]) == ("INFEASIBLE", "it diverged")
    late = {"measurement": measured(y=1)}
    assert ask(local, f"/v1/{trial['name']}:addTrialMeasurement", late)[0] == 400
    suggest(study)  # an infeasible trial does not trouble the sampler


def test_the_last_or_the_best_measurement_becomes_the_final_one(local, make_study, suggest):
    for selection, wanted in (("LAST_MEASUREMENT", 2), ("BEST_MEASUREMENT", 5)):
        study = make_study(measurementSelectionType=selection)
        (trial,) = suggest(study)["trials"]
        for step, value in ((1, 5), (2, 2)):
            body = {"measurement": measured(y=value) | {"stepCount": step}}
            call(local, f"{trial['name']}:addTrialMeasurement", body)
        final = call(local, f"{trial['name']}:complete", {})["finalMeasurement"]
        assert final["metrics"][0]["value"] == wanted


def test_a_trial_below_the_median_should_stop_only_under_a_rule(local, make_study, suggest):
    for rule in ({}, {"medianAutomatedStoppingSpec": {}}):
        study = make_study(**rule)
        trials = suggest(study, 4)["trials"]
        for trial, value in zip(trials, (5, 6, 7, 1), strict=True):
            body = {"measurement": measured(y=value) | {"stepCount": 1}}
            call(local, f"{trial['name']}:addTrialMeasurement", body)
        for trial, expected in ((trials[3], bool(rule)), (trials[2], False)):
            checked = call(local, f"{trial['name']}:checkTrialEarlyStoppingState", {})
            answer = finished(local, checked)["response"]
            assert answer.get("shouldStop", False) is expected


def test_a_trial_of_the_users_own_is_handed_out_first_or_learnt_from(local, make_study, suggest):
    study = make_study()
    own = {"parameters": [{"parameterId": "x", "value": 2.5}]}
    asked = call(local, f"{study}/trials", own)
    done = call(local, f"{study}/trials", own | {"finalMeasurement": measured(y=1)})
    assert (asked["state"], done["state"]) == ("REQUESTED", "SUCCEEDED")
    assert [t["id"] for t in suggest(study, 2)["trials"]] == [asked["id"], "3"]
    outside = {"parameters": [{"parameterId": "x", "value": 11}]}
    status, answer = ask(local, f"/v1/{study}/trials", outside)
    assert status == 400
    assert "outside the search space" in answer["error"]["message"]


@pytest.mark.parametrize("scale", ["UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE"])
def test_conditional_parameters_and_scales_come_back_to_the_sampler(
    local, make_study, suggest, scale
):
    rate = {
        "parameterId": "rate",
        "scaleType": scale,
        "doubleValueSpec": {"minValue": 0.001, "maxValue": 1},
    }
    child = {"parentCategoricalValues": {"values": ["b"]}, "parameterSpec": rate}
    steps = {"parameterId": "steps", "discreteValueSpec": {"values": [8, 2, 4]}}
    study = make_study(parameters=[KIND | {"conditionalParameterSpecs": [child]}, steps])
    for trial in suggest(study, 6)["trials"]:
        values = values_of(trial)
        assert ("rate" in values) == (values["kind"] == "b")
        assert values["steps"] in (2, 4, 8)
        score = math.log10(values.get("rate", 1))
        call(local, f"{trial['name']}:complete", {"finalMeasurement": measured(y=score)})
    assert len(suggest(study, 2)["trials"]) == 2
