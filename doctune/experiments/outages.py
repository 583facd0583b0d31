"""Leaves an arm's worst period out of the guardrails, since an outage is a single event.

The guardrails' intervals assume that users are independent. While a model server restarts or warms
up, all its users are served badly at once, so one such minute looks like strong evidence against
the version. So a guardrail is breached only if it is breached without the worst period of
`outage_seconds` too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np


@dataclass(frozen=True)
class Stretch:
    """A period of time, both ends included."""

    start: datetime
    end: datetime


def worst_stretch(bad_requests: Sequence[tuple[datetime, float]], seconds: float) -> Stretch | None:
    """Returns the period with the largest sum of badness; None if there are no bad requests.

    Args:
        bad_requests: The time of each bad request, oldest first, and how bad it was.
        seconds: Length of the period.
    """
    if not bad_requests:
        return None
    times = np.array([moment.timestamp() for moment, _ in bad_requests])
    until = np.concatenate([[0.0], np.cumsum([badness for _, badness in bad_requests])])
    after = np.searchsorted(times, times + seconds, side="right")
    first = int(np.argmax(until[after] - until[:-1]))
    start = bad_requests[first][0]
    return Stretch(start, start + timedelta(seconds=seconds))
