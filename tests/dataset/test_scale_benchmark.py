"""The benchmark of growth says where a limit does not hold."""

import pytest

from benchmarks.scale import Measure, broken_limits


@pytest.mark.parametrize(
    ("part", "seconds", "mib", "says"),
    [
        ("plan", (10.0, 100.0), (100.0, 100.0), []),
        ("plan", (10.0, 1000.0), (100.0, 100.0), ["10.0 s became 1000.0 s at 10 times"]),
        ("plan", (10.0, 100.0), (100.0, 1000.0), ["100.0 MiB became 1000.0 at 10 times"]),
        ("group", (10.0, 100.0), (100.0, 1000.0), ["100.0 MiB became 1000.0 at 10 times"]),
        ("group", (0.001, 0.9), (0.1, 60.0), []),  # noise
    ],
)
def test_growth_over_a_limit_is_said(
    part: str, seconds: tuple[float, float], mib: tuple[float, float], says: list[str]
) -> None:
    one, two = (
        Measure(part, times, 15 * times, seconds[at], mib[at]) for at, times in enumerate((10, 100))
    )

    assert broken_limits(one, two) == [f"{part}: {text}" for text in says]
