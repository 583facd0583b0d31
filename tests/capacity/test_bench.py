"""Open-loop load on a server whose capacity is known, and the command around it."""

import itertools
import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from doctune.capacity.bench import BenchOptions, measure
from doctune.capacity.client import Sample
from doctune.capacity.load import arrivals
from doctune.capacity.measure import Percentiles, measurement_from, summarize
from doctune.capacity.slo import parse_rate, parse_slo
from doctune.capacity.targets import AddressTarget
from doctune.cli import app, capacity
from doctune.errors import DeploymentError, UsageError
from tests.capacity.fake_model import TOKENS, slow_server

PROMPTS = [[{"role": "user", "content": "How?"}]]
SLO = parse_slo("ttft_p95=300ms,e2e_p95=1s")


def sample(due: float, first: float, ended: float, tokens: int = 5, error: str = "") -> Sample:
    return Sample(due=due, first_token=first, ended=ended, completion_tokens=tokens, error=error)


def test_arrivals_are_a_poisson_process_that_a_seed_repeats() -> None:
    times = arrivals(50, 100, seed=3)
    assert times == arrivals(50, 100, seed=3) != arrivals(50, 100, seed=4)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(1 / 50, rel=0.05)
    assert deviation == pytest.approx(mean, rel=0.08)  # as an exponential distribution has
    assert arrivals(0.001, 1, seed=0) == [0.0]


def test_percentiles_are_by_nearest_rank() -> None:
    assert Percentiles.of([float(n) for n in range(1, 101)]) == Percentiles(50, 90, 99)
    assert Percentiles.of([2.0]) == Percentiles(2, 2, 2)
    assert math.isnan(Percentiles.of([]).p50)


def test_a_stage_counts_what_users_saw() -> None:
    samples = [sample(0, 0.1, 0.5), sample(1, 1.5, 2.2), sample(2, 2.1, 2.5, error="429")]
    stage = summarize(samples, rate=1, seconds=3, slo=SLO)
    assert stage.requests == 3
    assert stage.errors == {"429": 1}
    assert stage.goodput == pytest.approx(1 / 3)  # the second came late, the third not at all
    assert not stage.meets_slo
    assert stage.saturated
    assert stage.tokens_rate == pytest.approx(10 / 3)
    assert stage.ttft.p50 == pytest.approx(0.1)
    assert stage.per_token.p99 == pytest.approx(0.7 / 4)


def test_finds_the_knee_of_a_server_of_known_speed(tmp_path, monkeypatch) -> None:
    """A server that takes 50 ms, one at a time, carries 20 requests a second."""
    monkeypatch.setattr(capacity, "ROOT", tmp_path)
    page = tmp_path / "load.html"
    with slow_server(0.05) as address:
        arguments = ["bench", "endpoint", "--url", address, "--seconds", "2", "--out", str(page)]
        arguments += ["--rates", "4,10,40", "--slo", "ttft_p95=400ms,e2e_p95=400ms"]
        ran = CliRunner().invoke(app, [*arguments, "--max-tokens", "8", "--json"])
    assert ran.exit_code == 0, ran.output
    document = json.loads(ran.stdout)
    alone = document["alone"]
    assert 0.04 < alone["e2e"]["p50"] < 0.12
    assert alone["ttft"]["p50"] < alone["e2e"]["p50"]
    assert (alone["prompt_tokens"], alone["completion_tokens"]) == (7, TOKENS)
    assert document["stages"][-1]["rate"] == 40
    assert document["stages"][-1]["answered_rate"] < 25
    assert document["stages"][-1]["ttft"]["p99"] > 0.5  # the wait counts, from when users asked
    assert document["knee"] == 10
    assert document["capacity_at_slo"] in (4, 10)
    assert json.loads((tmp_path / ".doctune" / "bench.json").read_text()) == document
    assert measurement_from(document).document() == document
    html = page.read_text()
    assert "<svg" in html
    assert "http://" not in html.replace(address, "")


def test_rates_double_until_the_server_falls_behind() -> None:
    with slow_server(0.05) as address:
        _, stages = measure(
            AddressTarget(address), PROMPTS, SLO, BenchOptions(seconds=1.0, max_tokens=8)
        )
    rates = [stage.rate for stage in stages]
    assert rates == sorted(rates)
    assert stages[-1].saturated or not stages[-1].meets_slo
    assert not stages[0].saturated


def test_a_server_that_refuses_everything_is_an_error() -> None:
    with slow_server(0.01, refuse=True) as address, pytest.raises(DeploymentError, match="429"):
        measure(AddressTarget(address), PROMPTS, SLO, BenchOptions(seconds=1.0))


@pytest.mark.parametrize("text", ["", "ttft=1s", "ttft_p95=0s", "ttft_p95=1s,", "speed_p95=1s"])
def test_a_wrong_objective_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="ttft_p95=1s"):
        parse_slo(text)


def test_rates_have_units() -> None:
    assert [parse_rate(text) for text in ("20rps", "20", "90rpm", "3/s")] == [20, 20, 1.5, 3]
    for text in ("", "0rps", "-1", "many"):
        with pytest.raises(UsageError, match="20rps"):
            parse_rate(text)


def test_questions_come_from_a_file(tmp_path: Path) -> None:
    from doctune.capacity.prompts import read_prompts

    path = tmp_path / "test.jsonl"
    turns = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "So."}]
    lines = [{"messages": turns}, {"question": "Why?"}, {"prompt": "Who?"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [prompt[-1]["content"] for prompt in read_prompts(path)] == ["How?", "Why?", "Who?"]
    path.write_text('{"text": "?"}\n')
    with pytest.raises(UsageError, match="line 1 has no messages"):
        read_prompts(path)
