"""Intervals: right width, paired, and the same for the same seed."""

import numpy as np
import pytest

from doctune.evaluation.bootstrap import Bootstrap, p_value
from doctune.evaluation.samples import mean_sample, perplexity_sample

BOOTSTRAP = Bootstrap(resamples=10_000, confidence=0.95, seed=3)


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(0).normal(5, 2, size=400)
    drawn = BOOTSTRAP.distributions({"mean": mean_sample(values)})["mean"]
    interval = BOOTSTRAP.interval(drawn, len(values))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.02)


def test_resamples_are_paired_across_models() -> None:
    values = np.random.default_rng(1).normal(0, 10, size=50)
    drawn = BOOTSTRAP.distributions({"a": mean_sample(values), "b": mean_sample(values + 0.5)})
    np.testing.assert_allclose(drawn["b"] - drawn["a"], 0.5)


def test_perplexity_is_resampled_as_a_ratio_of_sums() -> None:
    sample = perplexity_sample([1.0, 40.0], [1, 20])
    drawn = Bootstrap(resamples=200, confidence=0.9, seed=0).distributions({"p": sample})["p"]
    allowed = np.exp([1.0, 41 / 21, 2.0])
    assert all(np.isclose(value, allowed).any() for value in drawn)


def test_the_same_seed_gives_the_same_interval_and_another_does_not() -> None:
    sample = {"m": mean_sample(np.arange(30.0))}
    first, again, other = (
        Bootstrap(resamples=500, confidence=0.95, seed=seed).distributions(sample)["m"]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_blocks_do_not_change_the_number_of_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doctune.evaluation.bootstrap.BLOCK_CELLS", 700)
    drawn = Bootstrap(resamples=101, confidence=0.95, seed=1).distributions(
        {"m": mean_sample(np.arange(100.0))}
    )["m"]
    assert drawn.shape == (101,)


def test_p_values_are_counted_and_go_on_where_counting_ends() -> None:
    random = np.random.default_rng(0)
    near, far = random.normal(1, 1, size=999), random.normal(10, 1, size=999)
    assert p_value(near, 10**6) == pytest.approx(2 * ((near <= 0).sum() + 1) / 1000, rel=1e-3)
    assert p_value(far, 10**6) < 1e-15  # far beyond what 999 resamples can count
    assert p_value(-far, 10**6) == pytest.approx(p_value(far, 10**6))
    assert p_value(np.linspace(-1, 1, 999), 50) == 1.0
    assert p_value(np.zeros(999), 50) == 1.0
    assert p_value(np.array([np.nan]), 50) == 1.0


@pytest.mark.parametrize("examples", [8, 20, 100])
def test_few_examples_widen_intervals_as_students_t_does(examples: int) -> None:
    # Two-sided 95 % points of Student's t for 7, 19 and 99 degrees of freedom.
    student = {8: 2.3646, 20: 2.0930, 100: 1.9842}[examples]
    spread = np.sqrt((examples - 1) / examples)  # that of resampled means of unit variance
    drawn = np.random.default_rng(2).normal(0, spread, size=400_000)
    interval = BOOTSTRAP.interval(drawn, examples)
    assert interval.high == pytest.approx(student, abs=0.04)
    assert p_value(drawn + interval.high, examples) == pytest.approx(0.05, abs=0.004)


def test_intervals_of_few_examples_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(3)
    bootstrap = Bootstrap(resamples=1000, confidence=0.95, seed=0)
    held = 0
    for _ in range(400):
        drawn = bootstrap.distributions({"m": mean_sample(random.normal(1, 1, size=8))})["m"]
        interval = bootstrap.interval(drawn, 8)
        held += interval.low <= 1 <= interval.high
    assert held / 400 >= 0.93


def test_an_undefined_metric_has_an_undefined_interval() -> None:
    drawn = BOOTSTRAP.distributions({"m": mean_sample([None, None])})["m"]
    assert np.isnan(BOOTSTRAP.interval(drawn, 2).low)
