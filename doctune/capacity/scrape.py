"""Reads a server's or gateway's /metrics: rates, waiting times and memory between two readings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from doctune import limits
from doctune.errors import DeploymentError

_PREFIXES = ("doctune_server", "doctune_gateway")

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True, kw_only=True)
class MetricsDelta:
    """The changes between two readings; NaN if nothing happened or it is not counted."""

    service: str  # server or gateway
    requests: float  # a second
    errors: float  # a second, 5xx
    tokens: float  # completion tokens a second
    first_token_p50: float
    first_token_p95: float
    whole_p95: float
    waiting: float
    running: float
    batch: float  # mean rows of a step
    reused: float  # share of prompt tokens that were known
    cache: float  # share of its budget
    memory_mb: float


def read_metrics(url: str) -> Samples:
    """Reads the current metrics of a service.

    Args:
        url: Its address, http://HOST:PORT.

    Raises:
        DeploymentError: It does not answer, or its answer is not metrics.
    """
    import requests

    try:
        answer = requests.get(f"{url.rstrip('/')}/metrics", timeout=limits.HEALTH_CHECK.seconds)
        answer.raise_for_status()
        return parse(answer.text)
    except (OSError, ValueError) as error:
        raise DeploymentError(f"{url} shows no metrics: {error}.") from error


def parse(text: str) -> Samples:
    """Returns the samples of a page of /metrics."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def glance(before: Samples, after: Samples, seconds: float) -> MetricsDelta:
    """Returns the changes between two readings of the same service."""
    prefix = next((p for p in _PREFIXES if any(n.startswith(p) for n, _ in after)), _PREFIXES[0])

    def grown(name: str, **labels: str) -> float:
        wanted, full = set(labels.items()), f"{prefix}_{name}"
        return sum(
            # A counter that is smaller than before was reset.
            value - (old if (old := before.get(key, 0.0)) <= value else 0.0)
            for key, value in after.items()
            if key[0] == full and wanted <= key[1]
        )

    def now(name: str) -> float:
        values = [value for (n, _), value in after.items() if n == f"{prefix}_{name}"]
        return sum(values) if values else math.nan

    def quantile(name: str, share: float) -> float:
        full = f"{prefix}_{name}_bucket"
        bounds = sorted({float(dict(ls)["le"]) for n, ls in after if n == full})
        counts = [
            sum(
                value - before.get((n, ls), 0.0)
                for (n, ls), value in after.items()
                if n == full and float(dict(ls)["le"]) == bound
            )
            for bound in bounds
        ]
        return _at(share, bounds, counts)

    errors = sum(
        value - before.get((name, labels), 0.0)
        for (name, labels), value in after.items()
        if name == f"{prefix}_requests_total" and dict(labels).get("status", "").startswith("5")
    )
    steps, prompts = grown("steps_total"), grown("tokens_total", kind="prompt")
    return MetricsDelta(
        service=prefix.removeprefix("doctune_"),
        requests=grown("requests_total") / seconds,
        errors=errors / seconds,
        tokens=grown("tokens_total", kind="completion") / seconds,
        first_token_p50=quantile("first_token_seconds", 0.5),
        first_token_p95=quantile("first_token_seconds", 0.95),
        whole_p95=quantile("seconds", 0.95),
        waiting=now("waiting"),
        running=now("running") if prefix == _PREFIXES[0] else now("in_flight"),
        batch=grown("rows_total") / steps if steps else math.nan,
        reused=grown("tokens_total", kind="reused") / prompts if prompts else math.nan,
        cache=now("cache_bytes") / now("cache_budget_bytes"),
        memory_mb=now("memory_bytes") / 2**20,
    )


def _at(share: float, bounds: list[float], counts: list[float]) -> float:
    """Returns a quantile of a histogram, interpolated linearly within the bucket."""
    if not counts or not counts[-1]:
        return math.nan
    lower, below = 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count >= share * counts[-1]:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * (share * counts[-1] - below) / (count - below)
        lower, below = bound, count
    return lower
