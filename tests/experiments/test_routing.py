"""The gateway gives users to arms as the database says, and logs who was really exposed."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from doctune.database.experiments import (
    RUNNING,
    Decided,
    add_experiment,
    advance,
    take_lease,
)
from doctune.database.tables import Prediction
from doctune.experiments.assignment import Allocation, assign
from doctune.experiments.options import SumMetric
from doctune.experiments.plan import ArmPlan, Plan
from tests.gateway.conftest import Gateway, faulty, spare, start_gateway, stop_gateway
from tests.gateway.upstream import FakeUpstream

__all__ = ["faulty", "spare"]  # fixtures

HELPFUL = SumMetric(kind="share", numerator="thumbs_up", denominator="rated", better="higher")
SETTLE_SECONDS = 20


@pytest.fixture
def gateway(spare: FakeUpstream, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose model is served by `spare`."""
    options = {
        "models": {"handbook": {"upstreams": [spare.address]}},
        "cache": {"max_mebibytes": 0},
    }
    started = start_gateway(tmp_path, options)
    try:
        yield started
    finally:
        stop_gateway(started)


def begin(engine: Engine, upstream: str = "", shares: int = 5000, **more: Any) -> Plan:
    """Writes an experiment that runs."""
    plan = Plan(
        name="tone",
        model="handbook",
        arms=(ArmPlan(name="control"), more.pop("arm", ArmPlan(name="treatment"))),
        metric="helpful",
        metrics={"helpful": HELPFUL},
        ramp=(50,),
        salt="salt",
        **more,
    )
    now = datetime.now(UTC)
    document = plan.model_dump(mode="json")
    add_experiment(engine, plan.name, plan.model, plan.layer, document, now)
    assert take_lease(engine, plan.name, "test", now, 60)
    changes = {
        "state": RUNNING,
        "started_at": now,
        "stage_at": now,
        "shares": {"control": shares, "treatment": shares},
        "upstreams": {"treatment": upstream} if upstream else {},
    }
    advance(engine, plan.name, "test", Decided(now, "start", "It runs.", {}), changes)
    time.sleep(1.5)  # experiments are read every second
    return plan


def rows(engine: Engine, least: int) -> list[Prediction]:
    """Returns what was logged, once there is so much."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        with Session(engine) as session:
            found = list(session.scalars(select(Prediction).order_by(Prediction.created_at)))
        if len(found) >= least:
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {least} predictions were logged"
        time.sleep(0.05)


def test_users_stay_with_their_arm_and_its_upstream(gateway: Gateway, faulty: FakeUpstream) -> None:
    plan = begin(gateway.engine, faulty.address)
    for _ in range(2):
        for number in range(15):
            assert gateway.chat(user=f"u{number}").status_code == 200
    found = rows(gateway.engine, 30)
    arms: dict[str | None, set[str | None]] = {}
    for row in found:
        assert row.exposure == "given"
        assert row.experiment == "tone"
        assert row.upstream == (faulty.address if row.arm == "treatment" else row.upstream)
        arms.setdefault(row.unit, set()).add(row.arm)
    assert len(arms) == 15
    assert all(len(of_user) == 1 for of_user in arms.values())
    allocation = Allocation("salt", ("control", "treatment"), {"control": 5000, "treatment": 5000})
    assert arms == {unit: {assign(allocation, str(unit)).arm} for unit in arms}
    assert faulty.requests == sum(row.arm == "treatment" for row in found)
    assert plan.name == "tone"


def test_arms_may_be_two_models_of_one_server(gateway: Gateway, spare: FakeUpstream) -> None:
    adapter = spare.address.replace("#fake", "#adapter-b")
    begin(gateway.engine, adapter, arm=ArmPlan(name="treatment", upstream=adapter))
    for number in range(12):
        assert gateway.chat(user=f"u{number}").status_code == 200
    found = Counter(row.arm for row in rows(gateway.engine, 12))
    assert Counter(spare.models) == {"fake": found["control"], "adapter-b": found["treatment"]}
    assert min(found.values()) > 0


def test_an_answer_in_an_arms_place_is_a_fallback_and_not_its_own(
    gateway: Gateway, faulty: FakeUpstream
) -> None:
    begin(gateway.engine, faulty.address)
    faulty.mode = "error"
    answers = [gateway.chat(user=f"u{number}") for number in range(12)]
    assert {answer.status_code for answer in answers} == {200}
    exposures = Counter((row.arm, row.exposure) for row in rows(gateway.engine, 12))
    assert set(exposures) == {("control", "given"), ("treatment", "fallback")}


def test_a_request_that_nobody_answers_is_the_arms_failure(
    gateway: Gateway, faulty: FakeUpstream, spare: FakeUpstream
) -> None:
    begin(gateway.engine, faulty.address)
    faulty.mode = spare.mode = "error"
    assert {gateway.chat(user=f"u{number}").status_code for number in range(8)} == {503}
    assert {row.exposure for row in rows(gateway.engine, 8)} == {"failed"}


def test_a_tester_with_the_right_key_meets_an_arm_with_its_settings_and_is_not_counted(
    gateway: Gateway,
) -> None:
    arm = ArmPlan(name="treatment", parameters={"temperature": 0.25}, system_prompt="Be brief.")
    begin(gateway.engine, shares=1, arm=arm)
    assert gateway.chat(headers={"x-doctune-arm": "treatment"}).status_code == 200
    tester = gateway.new_key("plain", owner="tests", scopes=("chat",))
    assert gateway.chat(tester, headers={"x-doctune-arm": "treatment"}).status_code == 200
    forced, plain = rows(gateway.engine, 2)
    assert (forced.arm, forced.exposure) == ("treatment", "forced")
    assert forced.parameters["temperature"] == 0.25
    assert forced.messages[0] == {"role": "system", "content": "Be brief."}
    assert plain.exposure is None


def test_a_shadow_answers_out_of_sight_and_costs_no_time(
    gateway: Gateway, faulty: FakeUpstream
) -> None:
    begin(gateway.engine, faulty.address, shadow=True, shares=10_000)
    faulty.delay = 1.0
    started = time.monotonic()
    for number in range(3):
        assert gateway.chat(user=f"u{number}").status_code == 200
    assert time.monotonic() - started < 3.0
    found = rows(gateway.engine, 6)
    assert Counter((row.arm, row.exposure) for row in found) == {
        ("control", "shadowed"): 3,
        ("treatment", "shadow"): 3,
    }
    shadows = [row for row in found if row.exposure == "shadow"]
    assert {row.unit for row in shadows} == {row.unit for row in found}
    assert all(row.status == 200 and row.total_ms >= 1000 for row in shadows)


def test_an_administrator_sees_how_experiments_stand_and_nobody_else(gateway: Gateway) -> None:
    begin(gateway.engine)
    for number in range(4):
        assert gateway.chat(user=f"u{number}").status_code == 200
    rows(gateway.engine, 4)
    listed = gateway.get("/v1/experiments").json()["data"]
    assert [one["name"] for one in listed] == ["tone"]
    assert gateway.get("/v1/experiments/tone").json()["percent"] == {"control": 50, "treatment": 50}
    page = gateway.get("/v1/experiments/tone/report")
    assert page.status_code == 200
    assert "helpful over time" in page.text
    assert gateway.get("/v1/experiments/other").status_code == 404
    plain = gateway.new_key("plain", owner="tests", scopes=("chat",))
    for route in ("", "/tone", "/tone/report"):
        assert gateway.get(f"/v1/experiments{route}", plain).status_code == 403
