"""What becomes of an experiment: every outcome, from what is known at a look."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from doctune.errors import UsageError
from doctune.experiments.analysis import Evaluation, Finding
from doctune.experiments.decision import Standing, decide
from doctune.experiments.options import QuantileMetric, Rules, SumMetric, load_experiment_options
from doctune.experiments.plan import ArmPlan, Plan, check_plan
from tests.gateway.conftest import ROOT

START = datetime(2026, 11, 2, tzinfo=UTC)
PLAN = Plan(
    name="tone",
    model="handbook",
    arms=(ArmPlan(name="control"), ArmPlan(name="treatment")),
    metric="helpful",
    guardrails=("latency",),
    metrics={
        "helpful": SumMetric(
            kind="share", numerator="thumbs_up", denominator="rated", better="higher"
        ),
        "latency": QuantileMetric(
            kind="quantile", measure="total_ms", quantile=0.95, better="lower", relative_margin=0.2
        ),
    },
    ramp=(1, 5, 25, 50),
    rules=Rules(min_users=100, min_days=7, max_days=28, stage_days=1),
    salt="salt",
)
STANDING = Standing(stage=1, dropped=(), started_at=START, stage_at=START)
HELPFUL = Finding(
    "helpful", "treatment", "primary", "higher", 500, 500, 0.5, 0.52, 0.02, -0.03, 0.07, 0.4
)
LATENCY = Finding(
    "latency", "treatment", "guardrail", "lower", 500, 500, 400, 410, 10, -5, 25, 0.3, guard="held"
)
EVEN = {"control": 500, "treatment": 500}


def known(
    helpful: Finding = HELPFUL, latency: Finding = LATENCY, *, users=EVEN, p: float = 0.8
) -> Evaluation:
    return Evaluation(users, p, (helpful, latency))


def after(days: float, evaluation: Evaluation, standing: Standing = STANDING, plan: Plan = PLAN):
    return decide(plan, standing, evaluation, START + timedelta(days=days))


BETTER = replace(HELPFUL, effect=0.1, lower=0.04, upper=0.16)
WORSE = replace(HELPFUL, effect=-0.1, lower=-0.16, upper=-0.04)


def test_a_broken_assignment_ends_it_whatever_else_is_known() -> None:
    decision = after(10, known(BETTER, p=0.0001, users={"control": 900, "treatment": 500}))
    assert (decision.action, decision.verdict, dict(decision.shares)) == ("end", "broken", {})
    assert "control 900, treatment 500" in decision.sentence


def test_a_breached_guardrail_ends_it_at_once() -> None:
    decision = after(0.01, known(BETTER, replace(LATENCY, guard="breached")))
    assert (decision.verdict, dict(decision.shares)) == ("lose", {})
    assert "latency" in decision.sentence


def test_a_worse_metric_ends_it_at_once() -> None:
    assert after(0.01, known(WORSE)).verdict == "lose"


def test_a_metric_that_should_fall_is_worse_when_it_rises() -> None:
    falling = replace(BETTER, better="lower")
    assert after(10, known(falling)).verdict == "lose"
    assert after(10, known(replace(WORSE, better="lower"))).verdict == "win"


def test_a_better_one_wins_after_a_week_and_keeps_its_users_until_it_is_promoted() -> None:
    assert after(6.9, known(BETTER)).action == "ramp"
    decision = after(7, known(BETTER))
    assert (decision.verdict, decision.winner) == ("win", "treatment")
    assert decision.shares == {"control": 500, "treatment": 500}


def test_a_win_needs_guardrails_that_are_held_not_only_open() -> None:
    still_open = known(BETTER, replace(LATENCY, guard="open"))
    assert after(10, still_open).action == "ramp"
    assert after(28, still_open).verdict == "tie"


def test_too_few_users_decide_nothing() -> None:
    few = {"control": 99, "treatment": 99}
    assert after(10, known(WORSE, replace(LATENCY, guard="breached"), users=few)).action == "hold"


def test_the_end_of_the_budget_is_a_tie() -> None:
    assert after(28, known()).verdict == "tie"
    short = PLAN.model_copy(update={"rules": PLAN.rules.model_copy(update={"max_users": 500})})
    assert after(2, known(), plan=short).verdict == "tie"


def test_the_ramp_waits_for_its_stage_and_ends_at_its_top() -> None:
    assert after(0.9, known()).action == "hold"
    up = after(1, known())
    assert (up.action, up.stage, up.shares["treatment"]) == ("ramp", 2, 2500)
    assert after(20, known(), replace(STANDING, stage=3)).action == "hold"


def test_one_of_two_treatments_is_dropped_and_the_other_goes_on() -> None:
    plan = PLAN.model_copy(
        update={"arms": (*PLAN.arms, ArmPlan(name="second")), "ramp": (1, 5, 25, 33)}
    )
    second = [replace(found, arm="second") for found in (HELPFUL, LATENCY)]
    users = {**EVEN, "second": 500}
    evaluation = Evaluation(users, 0.8, (WORSE, LATENCY, *second))
    decision = after(10, evaluation, plan=plan)
    assert (decision.action, decision.dropped) == ("drop", ("treatment",))
    assert decision.shares == {"control": 500, "second": 500}


def test_a_shadow_never_wins_and_never_loses_by_its_metric() -> None:
    shadow = PLAN.model_copy(update={"shadow": True})
    assert after(10, known(BETTER), plan=shadow).verdict is None
    assert after(10, known(WORSE), plan=shadow).verdict is None
    assert after(10, known(latency=replace(LATENCY, guard="breached")), plan=shadow).verdict


def test_the_settings_that_come_with_doctune_can_be_read() -> None:
    options = load_experiment_options(ROOT / "config")
    plan = PLAN.model_copy(
        update={"metrics": options.metrics, "guardrails": ("latency_p95", "error_rate")}
    )
    check_plan(plan)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "Tone!"}, "a-z"),
        ({"metric": "joy"}, "no metric joy"),
        ({"guardrails": ("helpful",)}, "no non-inferiority margin"),
        ({"ramp": (5, 1)}, "must rise"),
        ({"ramp": (1, 60)}, "to 50 at most"),
        ({"ramp": (float("nan"),)}, "must rise"),
        ({"ramp": (0.001, 50)}, "from 0.01 at least"),
        ({"arms": (ArmPlan(name="control"), ArmPlan(name="control"))}, "same name"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(changes, says) -> None:
    with pytest.raises(UsageError, match=says):
        check_plan(PLAN.model_copy(update=changes))


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_parameter_that_no_model_takes_is_refused(value) -> None:
    arm = ArmPlan(name="treatment", parameters={"temperature": value})
    with pytest.raises(UsageError, match="temperature cannot be"):
        check_plan(PLAN.model_copy(update={"arms": (ArmPlan(name="control"), arm)}))
