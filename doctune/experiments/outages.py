"""An outage is one event, however many requests it fails: guardrails leave their worst stretch out.

The guardrails' intervals take users as independent of each other. While a model server restarts, or
a cold one warms up, all of its users are served badly at once, so that a minute of it looks like
the certain sign of a version that always fails. So what an arm did in the one stretch of
`outage_seconds` that speaks most against it decides nothing by itself: it has to be as bad at other
times, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np


@dataclass(frozen=True)
class Stretch:
    """A part of the time, both ends included."""

    start: datetime
    end: datetime


def worst_stretch(bad_requests: Sequence[tuple[datetime, float]], seconds: float) -> Stretch | None:
    """Returns the stretch in which most went wrong; None where nothing did.

    Args:
        bad_requests: When each was, oldest first, and how bad it was.
        seconds: How long the stretch is.
    """
    if not bad_requests:
        return None
    times = np.array([moment.timestamp() for moment, _ in bad_requests])
    until = np.concatenate([[0.0], np.cumsum([badness for _, badness in bad_requests])])
    after = np.searchsorted(times, times + seconds, side="right")
    first = int(np.argmax(until[after] - until[:-1]))
    start = bad_requests[first][0]
    return Stretch(start, start + timedelta(seconds=seconds))
