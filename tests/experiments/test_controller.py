"""A controller takes an experiment to its end, on a real database."""

from datetime import UTC, datetime, timedelta

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
from doctune.experiments.plan import ArmPlan, Plan
from doctune.experiments.report import render_report
from doctune.experiments.status import standing_of
from tests.experiments.records import NOW, Recording, fill
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


def test_a_dead_treatment_is_rolled_back_by_its_errors_though_another_answered(engine, log) -> None:
    declared = load_experiment_options(ROOT / "config").metrics["error_rate"]
    metrics = {**PLAN.metrics, "error_rate": declared}
    plan = PLAN.model_copy(update={"metrics": metrics, "guardrails": ("error_rate",)})
    add_experiment(engine, plan.name, plan.model, plan.layer, plan.model_dump(mode="json"), NOW)
    controller = Controller(engine, "tone", Recording(), "one", clock=lambda: NOW)
    controller.step()
    for number in range(120):
        for arm, exposure in (("control", "given"), ("treatment", "fallback")):
            row = log.ask(arm, f"{arm}{number}", exposure)
            log.say(row, "rating", rating="up" if number % 3 else "down")
    decided = controller.step()
    assert decided.action == "end"
    assert "guardrail is breached: error_rate 1 against 0" in decided.sentence
    state = get_experiment(engine, "tone")
    assert (state.verdict, state.shares) == ("lose", {})


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
