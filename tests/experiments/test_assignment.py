"""Who belongs to which arm: stable, sticky, even, apart from other experiments, fast."""

import hashlib
import hmac
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest
from scipy.stats import chisquare

from doctune.experiments.assignment import (
    BUCKETS,
    Allocation,
    Assignment,
    assign,
    bucket_of,
    free_slot,
    unit_of,
)

UNITS = [f"user:acme:{number}" for number in range(20_000)]
ALL = Allocation("salt", ("control", "treatment"), {"control": 5000, "treatment": 5000})


def with_shares(buckets: int) -> Allocation:
    return replace(ALL, shares={"control": buckets, "treatment": buckets})


def test_the_bucket_is_made_of_the_documented_bytes() -> None:
    digest = hmac.new("sält".encode(), "user:acme:zoë".encode(), hashlib.sha256).digest()
    assert bucket_of("sält", "user:acme:zoë") == int.from_bytes(digest[:8], "big") % 10_000
    # For implementations in other languages.
    assert bucket_of("salt", "user:acme:1") == 9223


def test_another_process_says_the_same() -> None:
    source = "from doctune.experiments.assignment import bucket_of; print(bucket_of('s', 'u'))"
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) == bucket_of("s", "u")


def test_users_stay_in_their_arm_while_the_shares_grow() -> None:
    before: dict[str, str] = {}
    for percent in (1, 5, 25, 50):
        allocation = with_shares(percent * 100)
        now = {unit: found.arm for unit in UNITS if (found := assign(allocation, unit))}
        assert before.items() <= now.items()
        before = now
        expected = len(UNITS) * percent / 100
        for count in Counter(now.values()).values():
            assert count == pytest.approx(expected, abs=5 * expected**0.5)
    assert len(before) == len(UNITS)


def test_a_dropped_arm_leaves_the_others_where_they_were() -> None:
    with_all, without = ALL, replace(ALL, shares={"control": 5000})
    for unit in UNITS[:2000]:
        found = assign(with_all, unit)
        assert assign(without, unit) == (found if found.arm == "control" else None)


def test_three_arms_are_even() -> None:
    arms = ("control", "one", "two")
    allocation = Allocation("s", arms, dict.fromkeys(arms, 3333))
    counts = Counter(found.arm for unit in UNITS if (found := assign(allocation, unit)))
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_one_layers_experiments_share_no_user() -> None:
    first = replace(ALL, layer="handbook", slot=(0, 5000))
    second = replace(ALL, salt="other", layer="handbook", slot=(5000, 10_000))
    in_first = {unit for unit in UNITS if assign(first, unit)}
    in_second = {unit for unit in UNITS if assign(second, unit)}
    assert not in_first & in_second
    assert in_first | in_second == set(UNITS)


def test_two_layers_experiments_are_independent() -> None:
    other = replace(ALL, salt="other")
    pairs = Counter((assign(ALL, unit).arm, assign(other, unit).arm) for unit in UNITS)
    assert len(pairs) == 4
    assert chisquare(list(pairs.values())).pvalue > 0.001


def test_the_holdout_is_in_no_experiment_whatever_its_salt() -> None:
    held = replace(ALL, holdout=1000)
    outside = {unit for unit in UNITS if assign(held, unit) is None}
    assert len(outside) == pytest.approx(2000, abs=250)
    assert all(assign(replace(held, salt="other"), unit) is None for unit in outside)


def test_a_tester_is_in_the_arm_that_was_forced() -> None:
    allocation = replace(with_shares(0), forced={"user:acme:1": "treatment"})
    assert assign(allocation, "user:acme:1") == Assignment("treatment", forced=True)
    assert assign(allocation, "user:acme:2") is None


def test_a_unit_is_the_user_else_the_conversation_else_the_key() -> None:
    assert unit_of("acme", "k1", "zoe", "c1") == "user:acme:zoe"
    assert unit_of("acme", "k1", None, "c1") == "conversation:acme:c1"
    assert unit_of("acme", "k1", None, None) == "key:k1"
    assert unit_of("other", "k1", "zoe", None) != unit_of("acme", "k1", "zoe", None)


def test_slots_of_a_layer() -> None:
    assert free_slot([], BUCKETS) == (0, BUCKETS)
    assert free_slot([(0, 2000), (5000, 10_000)], 3000) == (2000, 5000)
    assert free_slot([(0, 2000), (5000, 10_000)], 3001) is None


def test_an_assignment_costs_under_twenty_microseconds() -> None:
    allocation = replace(ALL, slot=(0, 9999), holdout=1)
    started = time.process_time()
    for unit in UNITS:
        assign(allocation, unit)
    assert (time.process_time() - started) / len(UNITS) < 20e-6
