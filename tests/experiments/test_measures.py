"""What users did, added up in SQL from the log and the feedback, on a real database."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from doctune.database.usage import endpoint_requests
from doctune.errors import UsageError
from doctune.experiments.analysis import evaluate
from doctune.experiments.moments import Moments, ratio_value
from doctune.experiments.options import (
    Prices,
    QuantileMetric,
    SumMetric,
    load_experiment_options,
)
from doctune.experiments.planning import plan_experiment
from doctune.experiments.quantiles import quantile_value
from doctune.experiments.sources import DatabaseSource, ParquetSource, write_exposures
from doctune.knowledge.prompt import REFUSAL
from tests.experiments.records import NOW
from tests.experiments.test_decision import PLAN
from tests.gateway.conftest import ROOT


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


@pytest.mark.parametrize("treated", [None, 5.0])
def test_exported_answers_without_a_value_have_no_quantile(engine, log, tmp_path, treated) -> None:
    path = tmp_path / "exposures.parquet"
    for number in range(3):
        log.ask("control", f"c{number}", first_token_ms=None)
        log.ask("treatment", f"t{number}", first_token_ms=treated)
    write_exposures(engine, PLAN, path)
    metric = QuantileMetric(
        kind="quantile", measure="first_token_ms", quantile=0.95, better="lower"
    )
    found = ParquetSource(path, "tone").quantiles(metric)
    assert set(found) == set(DatabaseSource(engine, PLAN, NOW).quantiles(metric))
    assert [float(one.value) for one in found.values()] == ([] if treated is None else [treated])


def test_a_canary_counts_the_requests_that_its_endpoint_failed(engine, log) -> None:
    def ask(upstream: str | None, **more: Any) -> None:
        values = {"cache": "miss", "upstream": upstream, **more}
        log.ask(None, "u1", None, **values)

    before = NOW - timedelta(minutes=1)
    ask("vertex:handbook", at=before - timedelta(hours=1))
    ask("vertex:handbook")
    ask("vertex:handbook", cache="hit")
    ask("https://backup", model="other")
    assert endpoint_requests(engine, "handbook", "vertex:handbook", before) == (1, 0)
    ask("https://backup")  # answered in its place
    ask(None, status=503)
    ask(None, status=400)
    log.ask("treatment", "u2", "failed", status=503)
    assert endpoint_requests(engine, "handbook", "vertex:handbook", before) == (4, 2)


def test_files_that_hold_no_exposures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: IO Error: No files found"):
        ParquetSource(tmp_path / "none.parquet", "tone")
    pq.write_table(pa.table({"experiment": ["tone"]}), tmp_path / "other.parquet")
    with pytest.raises(UsageError, match="no column arm"):
        ParquetSource(tmp_path / "other.parquet", "tone")
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(UsageError, match="cannot be read"):
        ParquetSource(tmp_path / "text.parquet", "tone")


def test_a_plan_from_the_logs_own_variance(engine, log) -> None:
    for number in range(100):
        at = NOW - timedelta(hours=number + 1)
        log.ask(None, f"u{number}", None, at=at, completion_tokens=number % 5)
    found = plan_experiment(engine, ROOT / "config", "handbook", "tokens", 0.5, days=5, now=NOW)
    assert found.value_now == 2.0
    assert found.users_needed > found.users_fixed_horizon > 0
    with pytest.raises(UsageError, match="fewer than 30 users"):
        plan_experiment(engine, ROOT / "config", "handbook", "helpful", 0.05, now=NOW)
    with pytest.raises(UsageError, match="never be detected"):
        plan_experiment(engine, ROOT / "config", "handbook", "tokens", 0.0, now=NOW)
    with pytest.raises(UsageError, match="effect of nan can never be detected"):
        plan_experiment(engine, ROOT / "config", "handbook", "tokens", float("nan"), now=NOW)
    with pytest.raises(UsageError, match="share between 0 and 1, which cannot change by 3"):
        plan_experiment(engine, ROOT / "config", "handbook", "helpful", 3.0, now=NOW)
