"""A controller takes an experiment to its end, on a real database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from doctune.database.experiments import (
    LeaseLostError,
    add_experiment,
    decisions_of,
    get_experiment,
    list_experiments,
    request_stop,
    take_lease,
)
from doctune.database.predictions import delete_predictions
from doctune.database.tables import Prediction
from doctune.experiments.controller import Controller
from doctune.experiments.options import (
    load_experiment_options,
)
from doctune.experiments.outages import worst_stretch
from doctune.experiments.plan import ArmPlan, Plan
from doctune.experiments.report import render_report
from doctune.experiments.rollout import Release, roll_out
from doctune.experiments.status import standing_of
from doctune.vertex import Canary, Deployment, ServingMachine
from tests.experiments.records import NOW, Log, Recording, fill
from tests.experiments.test_decision import PLAN
from tests.gateway.conftest import ROOT


@pytest.fixture
def created(engine: Engine) -> Plan:
    treatment = ArmPlan(name="treatment", model_version="projects/p/locations/l/models/m@2")
    changes = {"arms": (PLAN.arms[0], treatment), "guardrails": (), "drain_seconds": 0.0}
    plan = PLAN.model_copy(update=changes)
    document = plan.model_dump(mode="json")
    add_experiment(engine, plan.name, plan.model, plan.layer, document, NOW)
    return plan


def test_a_controller_starts_ramps_wins_promotes_and_cleans_up(engine, log, created) -> None:
    platform, now = Recording(), [NOW]
    controller = Controller(engine, "tone", platform, "one", clock=lambda: now[0])
    assert controller.step().action == "start"
    assert get_experiment(engine, "tone").upstreams == {"treatment": "vertex:treatment"}
    fill(log, 0.3, 0.9)
    now[0] += timedelta(days=1)
    assert controller.step().action == "ramp"
    now[0] += timedelta(days=7)
    assert controller.step().action == "end"
    assert get_experiment(engine, "tone").shares == {"control": 500, "treatment": 500}
    state = controller.run()
    assert (state.state, state.verdict, state.winner) == ("ended", "win", "treatment")
    assert platform.calls == ["prepare treatment", "promote treatment", "remove"]
    assert state.shares == {}
    looks = [step for step in decisions_of(engine, "tone") if step.numbers]
    assert looks[-1].numbers["users"] == {"control": 150, "treatment": 150}

    found = standing_of(engine, "tone")
    assert found.verdict == "win"
    page = render_report(engine, "tone")
    assert "treatment wins" in page
    assert "<svg" in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_worse_treatment_has_no_traffic_after_one_look(engine, log, created) -> None:
    platform = Recording()
    controller = Controller(engine, "tone", platform, "one", clock=lambda: NOW)
    controller.step()
    fill(log, 0.9, 0.3)
    assert controller.step().action == "end"
    assert get_experiment(engine, "tone").shares == {}
    assert controller.run().verdict == "lose"
    assert platform.calls == ["prepare treatment", "remove"]


def guarded(engine: Engine, **rules: float) -> None:
    """Adds an experiment with the guardrail on errors that config/experiments.yaml declares."""
    declared = load_experiment_options(ROOT / "config").metrics["error_rate"]
    changes = {
        "metrics": {**PLAN.metrics, "error_rate": declared},
        "guardrails": ("error_rate",),
        "rules": PLAN.rules.model_copy(update=rules),
    }
    plan = PLAN.model_copy(update=changes)
    add_experiment(engine, plan.name, plan.model, plan.layer, plan.model_dump(mode="json"), NOW)


def test_a_dead_treatment_is_rolled_back_by_its_errors_though_another_answered(engine, log) -> None:
    guarded(engine)
    controller = Controller(engine, "tone", Recording(), "one", clock=lambda: NOW)
    controller.step()
    for number in range(120):
        for arm, exposure in (("control", "given"), ("treatment", "fallback")):
            at = NOW + timedelta(seconds=5 * number)
            log.ask(arm, f"{arm}{number}", exposure, at=at)
    decided = controller.step()
    assert decided.action == "end"
    assert "guardrail is breached: error_rate 1 against 0" in decided.sentence
    state = get_experiment(engine, "tone")
    assert (state.verdict, state.shares) == ("lose", {})


def have_an_outage(log: Log) -> None:
    """Twenty minutes of requests; for four of them, the treatment answers none."""
    for number in range(240):
        out = 60 <= number < 108
        for arm in ("control", "treatment"):
            exposure = "fallback" if out and arm == "treatment" else "given"
            at = NOW + timedelta(seconds=5 * number)
            log.ask(arm, f"{arm}{number}", exposure, at=at)


def test_an_outage_shorter_than_the_rule_allows_decides_nothing(engine, log) -> None:
    guarded(engine, outage_seconds=300)
    now = [NOW]
    controller = Controller(engine, "tone", Recording(), "one", clock=lambda: now[0])
    controller.step()
    have_an_outage(log)
    now[0] = NOW + timedelta(minutes=9)
    decided = controller.step()
    assert decided.action == "hold"
    start = NOW + timedelta(minutes=5)
    assert f"beyond the margin of error_rate only from {start:%H:%M:%S} to" in decided.sentence
    now[0] = NOW + timedelta(days=1)
    assert controller.step().action == "ramp"


def test_without_that_rule_it_would_end_the_experiment(sqlite) -> None:
    guarded(sqlite, outage_seconds=0)
    controller = Controller(sqlite, "tone", Recording(), "one", clock=lambda: NOW)
    controller.step()
    have_an_outage(Log(sqlite))
    assert controller.step().action == "end"


def test_the_ramp_waits_while_an_arm_may_still_be_out(sqlite) -> None:
    guarded(sqlite, stage_days=0, outage_seconds=300)
    now = [NOW]
    controller = Controller(sqlite, "tone", Recording(), "one", clock=lambda: now[0])
    controller.step()
    have_an_outage(Log(sqlite))
    now[0] = NOW + timedelta(minutes=9)
    assert controller.step().action == "hold"
    now[0] = NOW + timedelta(minutes=11)
    assert controller.step().action == "ramp"


@pytest.mark.parametrize(
    ("bad", "start"),
    [
        ([0, 1, 50, 51, 52, 100], 50),
        ([0, 10, 20], 0),
        ([7], 7),
    ],
)
def test_the_worst_stretch_is_the_one_with_most_that_went_wrong(bad, start) -> None:
    found = worst_stretch([(NOW + timedelta(seconds=second), 1.0) for second in bad], 20)
    assert found is not None
    assert (found.start - NOW, found.end - found.start) == (
        timedelta(seconds=start),
        timedelta(seconds=20),
    )
    assert worst_stretch([], 20) is None


def test_steps_that_only_waited_are_thinned_out(engine, log, created) -> None:
    now = [NOW]
    controller = Controller(engine, "tone", Recording(), "one", clock=lambda: now[0])
    controller.step()
    for _ in range(30):
        now[0] += timedelta(minutes=10)
        assert controller.step().action == "hold"
    waits = [step for step in decisions_of(engine, "tone") if step.action == "hold"]
    # 28 days / 500 are 80 minutes: one in eight stays, and the newest.
    assert 4 <= len(waits) <= 6
    assert waits[-1].decided_at == now[0]


def test_an_arm_that_is_served_already_is_neither_deployed_nor_promoted(engine) -> None:
    arm = ArmPlan(name="treatment", upstream="vertex:handbook#adapter-b")
    plan = PLAN.model_copy(update={"arms": (PLAN.arms[0], arm), "drain_seconds": 0.0})
    add_experiment(engine, plan.name, plan.model, plan.layer, plan.model_dump(mode="json"), NOW)
    platform = Recording()
    controller = Controller(engine, "tone", platform, "one", clock=lambda: NOW)
    controller.step()
    assert get_experiment(engine, "tone").upstreams == {"treatment": "vertex:handbook#adapter-b"}
    assert platform.calls == []


@pytest.mark.parametrize(
    ("winner", "arm", "says"),
    [
        (None, {"model_version": "m@2"}, "control serves all users"),
        ("treatment", {"model_version": "m@2"}, "treatment serves all users"),
        ("treatment", {"parameters": {"top_p": 0.5}}, "control serves all users until"),
        ("treatment", {"upstream": "https://host/v1#b"}, "control serves all users until"),
        (
            "treatment",
            {"model_version": "m@2", "system_prompt": "Be brief."},
            "the version of treatment serves all users, its other settings are not",
        ),
    ],
)
def test_the_last_step_says_what_users_get(engine, winner, arm, says) -> None:
    arms = (PLAN.arms[0], ArmPlan(name="treatment", **arm))
    plan = PLAN.model_copy(update={"arms": arms, "drain_seconds": 0.0, "endpoint": "handbook"})
    add_experiment(engine, plan.name, plan.model, plan.layer, plan.model_dump(mode="json"), NOW)
    controller = Controller(engine, "tone", Recording(), "one", clock=lambda: NOW)
    controller.step()
    request_stop(engine, "tone", winner or "control")
    controller.run()
    (last,) = decisions_of(engine, "tone", last=1)
    assert f"is removed; {says}" in last.sentence


def test_a_controller_that_has_died_is_not_shown_as_one(engine, created) -> None:
    Controller(engine, "tone", Recording(), "one", lease_seconds=30).step()
    assert "Controller: one." in standing_of(engine, "tone").health
    assert take_lease(engine, "tone", "one", NOW - timedelta(hours=1), 30)
    found = standing_of(engine, "tone")
    assert "Controller: none." in found.health
    assert "until a controller runs" in found.next_step


def test_two_controllers_never_act_at_once_and_the_second_goes_on(engine, created) -> None:
    first = Controller(engine, "tone", Recording(), "one", lease_seconds=0.4)
    second = Controller(engine, "tone", Recording(), "two", lease_seconds=30)
    assert first.step().action == "start"
    assert second.step() is None
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert take_lease(engine, "tone", "two", later, 30)
    assert first.step() is None
    assert second.step().action == "hold"


def test_a_controller_that_has_lost_its_lease_writes_nothing(engine, created, monkeypatch) -> None:
    late = Controller(engine, "tone", Recording(), "one")
    monkeypatch.setattr(late, "_lease", lambda: True)
    assert take_lease(engine, "tone", "two", datetime.now(UTC), 30)
    with pytest.raises(LeaseLostError):
        late.step()
    assert decisions_of(engine, "tone") == []


def test_one_that_is_stopped_keeps_the_arm_that_was_named(engine, created) -> None:
    platform = Recording()
    controller = Controller(engine, "tone", platform, "one", clock=lambda: NOW)
    controller.step()
    request_stop(engine, "tone", "control")
    state = controller.run()
    assert (state.verdict, state.winner) == ("stopped", None)
    assert platform.calls[-1] == "remove"
    assert [one.name for one in list_experiments(engine, ("ended",))] == ["tone"]


def test_retention_leaves_what_an_experiment_still_needs(engine, log, created) -> None:
    def kept() -> set[str]:
        with engine.connect() as connection:
            return set(connection.execute(select(Prediction.unit)).scalars())

    for unit, days, model in (
        ("before it all", 60, "handbook"),
        ("of the time before", 20, "handbook"),
        ("of another model", 20, "other"),
        ("of now", 0, "handbook"),
    ):
        log.ask(None, unit, None, at=NOW - timedelta(days=days), model=model)
    controller = Controller(engine, "tone", Recording(), "one", clock=lambda: NOW)
    controller.step()
    delete_predictions(engine, NOW - timedelta(days=7))
    assert kept() == {"of the time before", "of now"}
    request_stop(engine, "tone", "control")
    controller.run()
    delete_predictions(engine, NOW - timedelta(days=7))
    assert kept() == {"of now"}


def test_a_canary_counts_users_errors_where_the_gateways_database_is_known(
    sqlite, monkeypatch
) -> None:
    given: dict[str, Any] = {}

    def deployed(version: str, **options: Any) -> Deployment:
        given.update(options)
        return Deployment("endpoint", "1", version, (), "", created=True)

    monkeypatch.setattr("doctune.vertex.deploy_model", deployed, raising=False)
    release = Release(
        model_version="projects/p/locations/l/models/m@2",
        endpoint_name="handbook",
        judged_against="",
        owner="run",
        smoke_prompt="?",
        machine=ServingMachine(),
        canary=Canary(),
        traffic_percentage=10,
    )
    declared = load_experiment_options(ROOT / "config").model_dump(mode="json")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    roll_out(release, "canary", declared)
    assert given["user_counts"] is None
    monkeypatch.setenv("DATABASE_URL", str(sqlite.url))
    log = Log(sqlite)
    log.ask(None, "u1", None, upstream="vertex:handbook", cache="miss")
    log.ask(None, "u1", None, upstream=None, cache="miss", status=503)
    roll_out(release, "canary", declared)
    assert given["user_counts"](NOW - timedelta(minutes=1)) == (2, 1)
