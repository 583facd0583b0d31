"""Canary releases: a new version's share of the traffic rises in steps, with its errors watched.

A client cannot address one deployed model behind a traffic split, and a failed prediction does not
say which of them failed. So the release sends predictions of its own through the endpoint, and
compares how many of them fail with how many would fail if the new version were as good as
`max_error_rate` allows and the others failed as often as before (a one-sided binomial test, looked
at after every prediction). Errors of the users' own requests are held against the same test where
somebody counts them, as the gateway's log does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from doctune.errors import DeploymentError
from doctune.progress import progress
from doctune.vertex.errors import explain, google_error_types
from doctune.vertex.smoke_test import check_answers, predict

# The chance that a prediction's look rolls a version back that fails no more often than allowed.
_FALSE_ALARM = 1e-4
# How many predictions a step sends to the new version itself, on average.
_PREDICTIONS_OF_ITS_OWN = 20
_LEAST_PREDICTIONS = 20
_BEFORE = timedelta(hours=1)  # how far back the users' errors are counted that were there before


# Returns how many requests users have sent since a moment, and how many the endpoint failed.
UserCounts = Callable[[datetime], tuple[int, int]]


@dataclass(frozen=True)
class Canary:
    """How a canary release goes up.

    Attributes:
        steps: Percent of the traffic at each step, rising; all of it follows the last one.
        seconds: How long each step lasts at least.
        max_error_rate: The share of its predictions that the new version may fail.
    """

    steps: tuple[int, ...] = (10, 25, 50)
    seconds: float = 300.0
    max_error_rate: float = 0.05

    def check(self) -> None:
        """Refuses what is no canary release.

        Raises:
            DeploymentError: The message says what is wrong.
        """
        rising = list(self.steps) == sorted(set(self.steps))
        if not self.steps or not rising or self.steps[0] < 1 or self.steps[-1] > 99:
            raise DeploymentError(
                "canary_steps must be percents that rise from 1 to 99 at most, as in [10, 25, 50]; "
                f"they are {list(self.steps)}."
            )
        if self.seconds < 0 or not 0 < self.max_error_rate < 1:
            raise DeploymentError(
                "canary_seconds must be 0 or more and canary_error_rate between 0 and 1; they are "
                f"{self.seconds:g} and {self.max_error_rate:g}."
            )


class Watch:
    """Predictions of the release's own through an endpoint, and how many of them fail."""

    def __init__(
        self,
        endpoint: str,
        instances: Sequence[Mapping[str, Any]],
        parameters: Mapping[str, Any] | None,
        canary: Canary,
        users: UserCounts | None = None,
    ) -> None:
        """Prepares it.

        Args:
            endpoint: Resource name.
            users: Counts the users' own requests; None where nobody does.
        """
        from google.cloud import aiplatform

        self._endpoint = aiplatform.Endpoint(endpoint)
        self._instances, self._parameters, self._canary = instances, parameters, canary
        self._users = users
        self._others_rate = self._users_rate = 0.0

    def see_others(self) -> None:
        """Counts the errors before the new version has traffic."""
        failed = sum(self._ask() is not None for _ in range(_LEAST_PREDICTIONS))
        self._others_rate = failed / _LEAST_PREDICTIONS
        if self._users is not None:
            asked, failed = self._users(datetime.now(UTC) - _BEFORE)
            self._users_rate = failed / max(asked, 1)

    def see(self, deployed_id: str, share: int) -> None:
        """Watches one step.

        Args:
            share: The new version's, in percent.

        Raises:
            DeploymentError: It fails more often than allowed, or answers without a text.
        """
        part = share / 100
        allowed = part * self._canary.max_error_rate + (1 - part) * self._others_rate
        needed = max(_LEAST_PREDICTIONS, math.ceil(_PREDICTIONS_OF_ITS_OWN / part))
        pause, end = self._canary.seconds / needed, time.monotonic() + self._canary.seconds
        began = datetime.now(UTC)
        asked = failed = 0
        with progress(f"Watching {share} % of the traffic", None, "predictions") as bar:
            while asked < needed or time.monotonic() < end:
                error = self._ask(deployed_id)
                asked, failed = asked + 1, failed + (error is not None)
                bar.advance()
                if error is not None and binomial_tail(failed, asked, allowed) < _FALSE_ALARM:
                    raise DeploymentError(
                        f"with {share} % of the traffic for the new version, {failed} of {asked} "
                        f"predictions failed; {allowed:.1%} were allowed: {explain(error)}"
                    )
                time.sleep(pause)
                self._see_users(began, share)

    def _see_users(self, began: datetime, share: int) -> None:
        if self._users is None:
            return
        asked, failed = self._users(began)
        part = share / 100
        allowed = part * self._canary.max_error_rate + (1 - part) * self._users_rate
        if failed and binomial_tail(failed, asked, allowed) < _FALSE_ALARM:
            raise DeploymentError(
                f"with {share} % of the traffic for the new version, {failed} of {asked} requests "
                f"of users failed; {allowed:.1%} were allowed."
            )

    def _ask(self, deployed_id: str = "") -> BaseException | None:
        """Sends one prediction; returns its error. An answer of the new version is checked."""
        try:
            who, predictions = predict(self._endpoint, self._instances, self._parameters)
        except google_error_types() as error:
            return error
        if who == deployed_id:
            check_answers(self._instances, predictions)
        return None


def binomial_tail(failed: int, asked: int, rate: float) -> float:
    """Returns the probability of this many events or more, if each occurs at a rate."""
    # By logarithms: of many thousands of requests, the factors are beyond what a float holds.
    fewer = sum(
        math.exp(
            math.lgamma(asked + 1)
            - math.lgamma(count + 1)
            - math.lgamma(asked - count + 1)
            + count * math.log(rate)
            + (asked - count) * math.log1p(-rate)
        )
        for count in range(failed)
    )
    return max(0.0, 1.0 - fewer)
