"""What users did, added up in SQL from the log and the feedback, on a real database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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
from doctune.database.feedback import Said, keep_feedback
from doctune.database.predictions import delete_predictions, write_predictions
from doctune.database.tables import Prediction
from doctune.errors import UsageError
from doctune.experiments.analysis import evaluate
from doctune.experiments.controller import Controller
from doctune.experiments.moments import Moments, ratio_value
from doctune.experiments.options import (
    Prices,
    QuantileMetric,
    SumMetric,
    load_experiment_options,
)
from doctune.experiments.plan import ArmPlan, Plan
from doctune.experiments.planning import plan_experiment
from doctune.experiments.quantiles import quantile_value
from doctune.experiments.report import render_report
from doctune.experiments.sources import DatabaseSource, ParquetSource, write_exposures
from doctune.experiments.status import standing_of
from doctune.knowledge.prompt import REFUSAL
from tests.database.rows import prediction_row
from tests.experiments.test_decision import PLAN
from tests.feedback.conftest import engine, prepared_postgres, sqlite, sqlite_template
from tests.gateway.conftest import ROOT

__all__ = ["engine", "prepared_postgres", "sqlite", "sqlite_template"]  # fixtures

NOW = datetime.now(UTC)


class Log:
    """Writes the log of an experiment."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._moment = NOW

    def ask(self, arm: str | None, unit: str, exposure: str | None = "given", **more: Any) -> str:
        self._moment += timedelta(milliseconds=1)
        at = more.pop("at", self._moment)
        experiment = "tone" if arm else None
        row = prediction_row(
            at=at, experiment=experiment, arm=arm, unit=unit, exposure=exposure, **more
        )
        write_predictions(self.engine, [row])
        return row["id"]

    def say(self, prediction: str, kind: str, user: str = "u", **value: Any) -> None:
        said = Said(
            prediction_id=prediction,
            predicted_at=self._moment,
            key_id="key1",
            owner="ana",
            end_user=user,
            kind=kind,
            value=value,
            reason=None,
            source="end_user",
            idempotency_key=None,
        )
        keep_feedback(self.engine, said)


@pytest.fixture
def log(engine: Engine) -> Log:
    return Log(engine)


def sums(engine: Engine, numerator: Any, denominator: Any) -> dict[str, float]:
    """Returns a metric's value in each arm."""
    metric = SumMetric(kind="ratio", numerator=numerator, denominator=denominator, better="higher")
    moments = DatabaseSource(engine, PLAN, NOW).moments(metric)
    return {arm: float(ratio_value(found).value) for arm, found in moments.items()}


def test_ratings_count_by_their_last_version_and_each_person_once(engine, log) -> None:
    first = log.ask("control", "u1")
    log.say(first, "rating", rating="down")
    log.say(first, "rating", rating="up")
    log.say(first, "rating", user="other", rating=2)
    second = log.ask("control", "u2")
    log.say(second, "rating", rating=5)
    log.ask("control", "u3")
    assert sums(engine, "thumbs_up", "rated") == {"control": pytest.approx(2 / 3)}


def test_only_what_the_arm_answered_is_the_arms(engine, log) -> None:
    log.ask("treatment", "u1")
    fallback = log.ask("treatment", "u1", "fallback")
    log.say(fallback, "rating", rating="up")
    log.ask("treatment", "u2", "failed", status=503)
    log.ask("treatment", "u3", "forced")
    log.ask("treatment", "u4", None, status=499)
    assert sums(engine, "answers", "requests") == {"treatment": pytest.approx(1 / 3)}
    assert sums(engine, "errors", "requests") == {"treatment": pytest.approx(2 / 3)}
    assert sums(engine, "fallbacks", "requests") == {"treatment": pytest.approx(1 / 3)}
    assert DatabaseSource(engine, PLAN, NOW).users() == {"treatment": 2}


def test_refusals_corrections_follow_ups_faithfulness_tokens_and_cost(engine, log) -> None:
    plan = PLAN.model_copy(update={"prices": Prices(prompt_tokens=1e6, completion_tokens=2e6)})
    one = log.ask("control", "u1", conversation_id="c1", prompt_tokens=10, completion_tokens=4)
    log.ask("control", "u1", conversation_id="c1", answer=REFUSAL)
    log.say(one, "correction", correction="92 mm")
    log.say(one, "label", label="faithfulness", score=0.75)
    assert sums(engine, "refused", "answers") == {"control": 0.5}
    assert sums(engine, "answered", "answers") == {"control": 0.5}
    assert sums(engine, "corrected", "answers") == {"control": 0.5}
    assert sums(engine, "followed_up", "answers") == {"control": 0.5}
    assert sums(engine, "faithful", "judged") == {"control": 0.75}
    assert sums(engine, "completion_tokens", "answers") == {"control": 3.0}
    cost = SumMetric(kind="ratio", numerator="cost", denominator="answers", better="lower")
    found = DatabaseSource(engine, plan, NOW).moments(cost)["control"]
    assert float(ratio_value(found).value) == pytest.approx((10 + 8 + 3 + 4) / 2)


def test_latency_leaves_answers_from_the_cache_out(engine, log) -> None:
    for number in range(20):
        log.ask("control", f"u{number}", total_ms=100.0 + number)
        log.ask("control", f"u{number}", total_ms=1.0, cache="hit")
    metric = QuantileMetric(kind="quantile", measure="total_ms", quantile=0.5, better="lower")
    found = DatabaseSource(engine, PLAN, NOW).quantiles(metric)["control"]
    assert float(found.value) == 109.0


def test_what_users_did_before_makes_the_interval_narrower(engine, log) -> None:
    rng = np.random.default_rng(0)
    for number in range(60):
        chance = rng.random()
        for moment in ("before", "after"):
            for turn in range(6):
                at = NOW - timedelta(days=1, seconds=number * 10 + turn)
                arm = "treatment" if number % 2 else "control"
                row = log.ask(
                    arm if moment == "after" else None,
                    f"u{number}",
                    "given" if moment == "after" else None,
                    answer=REFUSAL if rng.random() < chance else "90 mm",
                    **({"at": at} if moment == "before" else {}),
                )
                assert row
    plan = PLAN.model_copy(update={"metric": "refusals", "guardrails": (), "metrics": {
        "refusals": SumMetric(kind="share", numerator="refused", denominator="answers",
                              better="lower")}})  # fmt: skip
    without = plan.model_copy(update={"rules": plan.rules.model_copy(update={"before_days": 0})})
    widths = [
        found.upper - found.lower
        for found in (
            evaluate(one, DatabaseSource(engine, one, NOW)).primary("treatment")
            for one in (plan, without)
        )
    ]
    assert widths[0] < 0.8 * widths[1]


def test_parquet_gives_the_same_as_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    user = rng.integers(0, 400, 5000)
    table = pa.table(
        {
            "experiment": ["tone"] * 5000,
            "arm": np.where(user % 2, "treatment", "control"),
            "unit": [f"u{number}" for number in user],
            "thumbs_up": rng.integers(0, 2, 5000),
            "rated": np.ones(5000, dtype=int),
            "answer_total_ms": rng.lognormal(6, 1, 5000),
        }
    )
    pq.write_table(table, tmp_path / "part.parquet")
    source = ParquetSource(tmp_path / "*.parquet", "tone")
    known = evaluate(PLAN, source)
    mine = user % 2 == 0
    up, rated = (np.bincount(user[mine], table[name].to_numpy()[mine], 400)[::2]
                 for name in ("thumbs_up", "rated"))  # fmt: skip
    expected = ratio_value(Moments.of(up, rated))
    found = ratio_value(source.moments(PLAN.metrics["helpful"])["control"])
    assert float(found.value) == pytest.approx(float(expected.value))
    assert float(found.variance) == pytest.approx(float(expected.variance))
    latency = quantile_value(table["answer_total_ms"].to_numpy()[mine], user[mine] // 2, 0.95)
    (quantile,) = [f for f in known.findings if f.metric == "latency"]
    assert quantile.control == pytest.approx(float(latency.value))


def test_what_is_exported_gives_what_the_database_gives(engine, log, tmp_path: Path) -> None:
    declared = load_experiment_options(ROOT / "config").metrics
    plan = PLAN.model_copy(update={
        "metrics": declared, "guardrails": (),
        "rules": PLAN.rules.model_copy(update={"before_days": 0})})  # fmt: skip
    path = tmp_path / "tone.parquet"
    with pytest.raises(UsageError, match="no exposures yet"):
        write_exposures(engine, plan, path)
    rng = np.random.default_rng(0)
    for number in range(60):
        arm = "treatment" if number % 2 else "control"
        for _ in range(1 + number % 3):
            exposure = "fallback" if rng.random() < 0.1 else "given"
            cache = "hit" if rng.random() < 0.2 else "miss"
            row = log.ask(arm, f"u{number}", exposure, cache=cache,
                          total_ms=float(rng.lognormal(6, 1)), first_token_ms=5.0 + number,
                          answer=REFUSAL if rng.random() < 0.3 else "90 mm",
                          completion_tokens=int(rng.integers(1, 9)))  # fmt: skip
            log.say(row, "rating", rating="up" if rng.random() < 0.5 else "down")
    assert write_exposures(engine, plan, path) == 120
    known = [
        evaluate(plan, source, metrics=tuple(declared))
        for source in (DatabaseSource(engine, plan, NOW), ParquetSource(path, "tone"))
    ]
    assert known[0].users == known[1].users
    for one, other in zip(known[0].findings, known[1].findings, strict=True):
        assert one.metric == other.metric
        assert (one.effect is None) == (other.effect is None), one.metric
        if one.effect is not None and other.effect is not None:
            assert other.effect == pytest.approx(one.effect, rel=1e-9, abs=1e-12)
            assert other.lower == pytest.approx(one.lower, rel=1e-6), one.metric


class Recording:
    """A platform that notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def prepare(self, plan: Plan, arm: ArmPlan) -> str:
        self.calls.append(f"prepare {arm.name}")
        return f"vertex:{arm.name}"

    def promote(self, plan: Plan, arm: ArmPlan) -> None:
        self.calls.append(f"promote {arm.name}")

    def remove(self, plan: Plan) -> None:
        self.calls.append("remove")


@pytest.fixture
def created(engine: Engine) -> Plan:
    treatment = ArmPlan(name="treatment", model_version="projects/p/locations/l/models/m@2")
    changes = {"arms": (PLAN.arms[0], treatment), "guardrails": (), "drain_seconds": 0.0}
    plan = PLAN.model_copy(update=changes)
    document = plan.model_dump(mode="json")
    add_experiment(engine, plan.name, plan.model, plan.layer, document, NOW)
    return plan


def fill(log: Log, control: float, treatment: float, users: int = 150) -> None:
    for arm, share in (("control", control), ("treatment", treatment)):
        for number in range(users):
            row = log.ask(arm, f"{arm}{number}")
            log.say(row, "rating", rating="up" if number < share * users else "down")


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
    assert "guardrail error_rate 1 against 0" in decided.sentence
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


def test_a_plan_from_the_logs_own_variance(engine, log) -> None:
    for number in range(100):
        at = NOW - timedelta(hours=number + 1)
        log.ask(None, f"u{number}", None, at=at, completion_tokens=number % 5)
    found = plan_experiment(engine, ROOT / "config", "handbook", "tokens", 0.5, days=5, now=NOW)
    assert found.value_now == 2.0
    assert found.users_needed > found.users_fixed_horizon > 0
    with pytest.raises(UsageError, match="fewer than 30 users"):
        plan_experiment(engine, ROOT / "config", "handbook", "helpful", 0.05, now=NOW)
    with pytest.raises(UsageError, match="endless"):
        plan_experiment(engine, ROOT / "config", "handbook", "tokens", 0.0, now=NOW)


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
