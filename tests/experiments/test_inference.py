"""The statistics: equal to the libraries that compute the same, and held against simulation."""

import json
import subprocess
import sys

import numpy as np
import pytest
from numpy.random import Generator, default_rng

from doctune.experiments.corrections import benjamini_yekutieli, holm
from doctune.experiments.intervals import (
    asymptotic_sequence,
    fixed_interval,
    mixture_sprt,
    one_sided_bound,
)
from doctune.experiments.moments import Difference, Moments, compare, ratio_value
from doctune.experiments.power import smallest_effect, users_needed
from doctune.experiments.quantiles import quantile_value
from doctune.experiments.sample_ratio import mismatch_p_value, users_to_detect
from doctune.experiments.simulate import (
    ALPHA,
    KINDS,
    coverage_and_power,
    cuped_variance_left,
    false_positives,
    sample_ratio_mismatch,
)
from doctune.experiments.simulated import CORRELATION, Course, activity

SMALL = Course(experiments=60, users=4000, batch=200)


@pytest.fixture
def rng() -> Generator:
    return default_rng(7)


@pytest.fixture
def arms(rng: Generator) -> list[dict[str, np.ndarray]]:
    """Two arms of users: requests and thumbs, now and before the experiment."""
    found = []
    for size, chance in ((900, 0.5), (1100, 0.55)):
        requests, before = activity(rng, (size,)), activity(rng, (size,))
        liked = rng.beta(2, 2, size)
        found.append(
            {
                "thumbs": rng.binomial(requests, chance * liked),
                "ratings": requests,
                "thumbs_before": rng.binomial(before, 0.5 * liked),
                "ratings_before": before,
            }
        )
    return found


def moments(arm: dict[str, np.ndarray], ratio: bool, before: bool) -> Moments:
    return Moments.of(
        arm["thumbs"],
        arm["ratings"] if ratio else None,
        arm["thumbs_before"] if before else None,
        arm["ratings_before"] if ratio and before else None,
    )


@pytest.mark.parametrize("ratio", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_equal_to_tea_tasting(arms, ratio, before) -> None:
    import pyarrow
    import tea_tasting

    columns = {"variant": np.repeat([0, 1], [900, 1100])} | {
        name: np.concatenate([arm[name] for arm in arms]) for name in arms[0]
    }
    covariates = {
        "numer_covariate": "thumbs_before" if before else None,
        "denom_covariate": "ratings_before" if before and ratio else None,
    }
    metric = tea_tasting.RatioOfMeans("thumbs", "ratings" if ratio else None, **covariates)
    expected = tea_tasting.Experiment(metric=metric).analyze(pyarrow.table(columns))["metric"]

    difference = compare(*(moments(arm, ratio, before) for arm in arms), cuped=before)
    interval = fixed_interval(difference)
    found = [
        difference.control.value,
        difference.treatment.value,
        difference.effect,
        interval.lower,
        interval.upper,
        interval.p_value,
    ]
    assert found == pytest.approx(
        [
            expected.control,
            expected.treatment,
            expected.effect_size,
            expected.effect_size_ci_lower,
            expected.effect_size_ci_upper,
            expected.pvalue,
        ],
        rel=1e-6,
    )


def test_equal_to_statsmodels(arms) -> None:
    from statsmodels.stats.power import NormalIndPower
    from statsmodels.stats.weightstats import CompareMeans

    data = [arm["thumbs"] for arm in arms]
    compared = CompareMeans.from_data(data[1], data[0])
    interval = fixed_interval(compare(*(Moments.of(values) for values in data)))
    expected = compared.tconfint_diff(usevar="unequal")
    assert [interval.lower, interval.upper] == pytest.approx(expected, rel=1e-6)
    assert interval.p_value == pytest.approx(compared.ttest_ind(usevar="unequal")[1], rel=1e-6)

    need = users_needed(0.1, unit_variance=4.0)
    assert need.fixed == np.ceil(2 * NormalIndPower().solve_power(0.1, alpha=0.05, power=0.8))


def test_moments_of_parts_add_up_to_those_of_the_whole(arms) -> None:
    arm = arms[0]
    halves = [{name: values[part] for name, values in arm.items()}
              for part in (slice(0, 400), slice(400, None))]  # fmt: skip
    whole = moments(arm, ratio=True, before=True)
    added = moments(halves[0], True, True) + moments(halves[1], True, True)
    assert np.allclose(added.covariance, whole.covariance)
    assert np.allclose(added.mean, whole.mean)
    columns = np.stack([arm["thumbs"], arm["ratings"], arm["thumbs_before"], arm["ratings_before"]])
    summed = Moments.from_sums(900, columns.sum(axis=1), columns @ columns.T)
    assert np.allclose(summed.covariance, whole.covariance)


def test_the_sequence_is_the_papers(rng: Generator) -> None:
    """Theorem 2.2: 2 (t rho^2 + 1) / (t^2 rho^2) log(sqrt(t rho^2 + 1) / alpha), the root of it."""
    arm = Moments.of(rng.standard_normal(500))
    difference = compare(arm, Moments.of(rng.standard_normal(500)))
    interval = asymptotic_sequence(difference, 0.05, tightest_at=1000)
    time = float(difference.unit_variance / difference.variance)
    rho2 = (-2 * np.log(0.05) + np.log(-2 * np.log(0.05) + 1)) / 1000
    half = np.sqrt(float(difference.unit_variance)) * np.sqrt(
        2 * (time * rho2 + 1) / (time**2 * rho2) * np.log(np.sqrt(time * rho2 + 1) / 0.05)
    )
    assert interval.upper - interval.lower == pytest.approx(2 * half)


def test_the_sprts_p_value_falls_under_alpha_where_its_interval_leaves_zero(rng) -> None:
    for shift in np.linspace(0, 0.4, 30):
        arms = [Moments.of(rng.random(800) < 0.3), Moments.of(rng.random(800) < 0.3 + shift)]
        interval = mixture_sprt(compare(*arms), 0.05)
        assert bool(interval.excludes_zero) == bool(interval.p_value < 0.05)


def test_a_one_sided_bound_is_tighter_than_a_two_sided_interval(arms) -> None:
    difference = compare(*(moments(arm, True, False) for arm in arms))
    both = asymptotic_sequence(difference, tightest_at=2000)
    upper = one_sided_bound(difference, tightest_at=2000, side="upper")
    lower = one_sided_bound(difference, tightest_at=2000, side="lower")
    assert both.lower < lower < difference.effect < upper < both.upper


@pytest.mark.parametrize("kind", KINDS)
def test_looking_often_fools_the_fixed_horizon_test_and_not_the_sequence(kind) -> None:
    course = Course(80, 4000, 200) if kind == "quantile" else Course(200, 6000, 200)
    found = false_positives(kind, course, default_rng(3))
    allowed = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / course.experiments)
    assert found.false_positives <= allowed
    assert found.fixed_horizon_peeked > 3 * ALPHA


@pytest.mark.parametrize(("kind", "effect"), [("ratio", 0.06), ("share", 0.08), ("cuped", 0.15)])
def test_the_interval_has_the_truth_at_all_times_and_finds_a_known_effect(kind, effect) -> None:
    found = coverage_and_power(kind, effect, SMALL, default_rng(5))
    assert found.coverage >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / SMALL.experiments)
    assert found.power >= 0.8
    assert found.power_fixed_horizon >= found.power


def test_a_mismatch_of_52_to_48_is_caught_when_theory_says_so() -> None:
    found = sample_ratio_mismatch(300, 200, default_rng(1))
    assert found.caught == 1.0
    assert found.median_users == pytest.approx(found.theory_users, rel=0.15)
    assert found.false_positives <= 0.001 + 3 * np.sqrt(0.001 / 300)
    assert users_to_detect((60, 40), (50, 50)) < found.theory_users / 10


def test_a_ramp_of_one_percent_has_no_mismatch() -> None:
    assert mismatch_p_value([100, 103], [1, 1]) > 0.5
    assert mismatch_p_value([9900, 100], [99, 1]) > 0.5


def test_cuped_leaves_one_minus_r_squared() -> None:
    left = cuped_variance_left(50_000, default_rng(2))
    assert left == pytest.approx(1 - CORRELATION**2, abs=0.01)


def test_the_error_of_a_quantile_is_that_of_repeated_samples(rng) -> None:
    estimates, errors, naive = [], [], []
    for _ in range(150):
        slow = rng.standard_normal(300)
        users = np.repeat(np.arange(300), 5)
        values = np.exp(slow[users] + 0.2 * rng.standard_normal(1500))
        seen = quantile_value(values, users, 0.9)
        alone = quantile_value(values, np.arange(1500), 0.9)
        estimates.append(seen.value)
        errors.append(np.sqrt(seen.variance / seen.count))
        naive.append(np.sqrt(alone.variance / alone.count))
    assert np.median(errors) == pytest.approx(np.std(estimates), rel=0.2)
    assert np.median(naive) < 0.7 * np.std(estimates)


def test_a_non_inferiority_margin_scales_the_control(rng) -> None:
    control, treatment = (ratio_value(Moments.of(rng.normal(m, 1, 2000))) for m in (100, 105))
    assert float(Difference(control, treatment, factor=1.1).effect) == pytest.approx(-5, abs=0.2)
    assert float(Difference(control, treatment).effect) == pytest.approx(5, abs=0.2)


def test_correction_over_many() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert benjamini_yekutieli([0.001, 0.8])[0] == pytest.approx(0.003)
    assert holm([]) == []


def test_a_plan_says_how_many_users_an_effect_needs() -> None:
    need = users_needed(0.05, unit_variance=1.0)
    assert need.sequential > need.fixed
    assert smallest_effect(need.sequential, 1.0) == pytest.approx(0.05, rel=1e-3)
    with pytest.raises(ValueError, match="endless"):
        users_needed(0.0, 1.0)


def test_the_command_prints_one_line_and_repeats_itself() -> None:
    command = [sys.executable, "-m", "doctune.experiments.simulate", "--json", "--seed", "4"]
    command += ["--experiments", "4", "--with-effect", "2", "--users", "1000", "--batch", "250"]
    lines = [subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
             for _ in range(2)]  # fmt: skip
    reports = [json.loads(line) for line in lines]
    assert lines[0].count("\n") == 1
    for report in reports:
        report.pop("seconds")
    assert reports[0] == reports[1]
    assert {row["kind"] for row in reports[0]["without_effect"]} == set(KINDS)
