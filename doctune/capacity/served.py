"""Recent statistics of an endpoint's versions, from the gateway's log of predictions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from doctune.capacity.measure import Percentiles

# The default thresholds of the alerts in infra/modules/monitoring.
MOST_ERRORS = 0.02
MOST_P99_SECONDS = 10.0
_LEAST_REQUESTS = 20


class Logged(Protocol):
    """A row of the log."""

    model_version: str | None
    status: int
    first_token_ms: float | None
    total_ms: float
    completion_tokens: int
    cache: str


@dataclass(frozen=True, kw_only=True)
class Served:
    """The statistics of one version."""

    model_version: str
    requests: int
    requests_a_minute: float
    error_rate: float
    tokens_a_second: float
    first_token: Percentiles  # seconds; of streams alone
    whole: Percentiles

    @property
    def alerts(self) -> tuple[str, ...]:
        """Returns the alerts that the log would raise; none for only a few requests."""
        if self.requests < _LEAST_REQUESTS:
            return ()
        found = []
        if self.error_rate > MOST_ERRORS:
            found.append(f"{self.error_rate:.0%} errors: docs/runbook.md#errors")
        if self.whole.p99 > MOST_P99_SECONDS:
            found.append(f"p99 {self.whole.p99:.1f} s: docs/runbook.md#latency")
        return tuple(found)


def served(rows: Iterable[Logged], seconds: float) -> list[Served]:
    """Returns the statistics of each version, busiest first; cached answers do not count.

    Args:
        seconds: The period that the rows cover.
    """
    by_version: dict[str, list[Logged]] = defaultdict(list)
    for row in rows:
        # Refused requests and disconnected clients are not failures.
        if row.cache != "hit" and (row.status == 200 or row.status >= 500):
            by_version[row.model_version or ""].append(row)
    found = [_of(version, logged, seconds) for version, logged in by_version.items()]
    return sorted(found, key=lambda one: -one.requests)


def _of(version: str, rows: list[Logged], seconds: float) -> Served:
    good = [row for row in rows if row.status == 200]
    firsts = [row.first_token_ms / 1000 for row in good if row.first_token_ms is not None]
    return Served(
        model_version=version,
        requests=len(rows),
        requests_a_minute=60 * len(rows) / seconds,
        error_rate=1 - len(good) / len(rows),
        tokens_a_second=sum(row.completion_tokens for row in good) / seconds,
        first_token=Percentiles.of(firsts),
        whole=Percentiles.of([row.total_ms / 1000 for row in good]),
    )
