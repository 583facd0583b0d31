"""Counts of requests and tokens in memory."""

import time

import pytest

from doctune.gateway.windows import Windows


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_as_many_requests_pass_within_any_minute_as_may(clock: Clock) -> None:
    windows = Windows(clock)
    taken = []
    for second in range(180):
        clock.now = 1000.0 + second
        taken += [second for _ in range(3) if windows.hit(("key",), 5, 60)[0]]
    for start in range(120):
        assert sum(start <= second < start + 60 for second in taken) <= 5
    assert len(taken) == 15  # and no fewer than may: five in each of three minutes


def test_a_refused_request_learns_when_the_next_may_come(clock: Clock) -> None:
    windows = Windows(clock)
    windows.hit(("key",), 1, 60)
    clock.now += 10
    taken, remaining, left = windows.hit(("key",), 1, 60)
    assert (taken, remaining, left) == (False, 0, 50)
    clock.now += left
    assert windows.hit(("key",), 1, 60)[0]


def test_a_window_of_tokens_ends(clock: Clock) -> None:
    windows = Windows(clock)
    window, left = windows.fixed(("key", "minute"), 60)
    window.used += 7
    clock.now += 20
    assert windows.fixed(("key", "minute"), 60) == (window, 40)
    clock.now += 40
    assert windows.fixed(("key", "minute"), 60)[0].used == 0
    assert left == 60


def test_what_has_ended_is_forgotten(clock: Clock) -> None:
    windows = Windows(clock)
    for number in range(1000):
        windows.fixed((str(number), "minute"), 60)
        windows.hit((str(number), "r"), 5, 60)
    assert len(windows) == 2000
    clock.now += 61
    windows.hit(("another", "r"), 5, 60)
    assert len(windows) == 1


def test_steps_of_the_machines_clock_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Windows()
    assert windows.hit(("key",), 1, 60)[0]
    real = time.time
    for step in (-86_400, 86_400):
        monkeypatch.setattr(time, "time", lambda step=step: real() + step)
        taken, _, left = windows.hit(("key",), 1, 60)
        assert not taken
        assert 0 < left <= 60
