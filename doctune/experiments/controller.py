"""Controls an experiment from its creation to its end, step by step.

Each step is stored with the numbers behind it, in one transaction with the changes that it makes
and only under the experiment's lease. So there is only one controller at a time, and if it is
killed another resumes where it stopped. Deploying and removing arms is idempotent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from doctune import limits
from doctune.database.engine import DatabaseError, Engine
from doctune.database.experiments import (
    ENDED,
    ENDING,
    PREPARING,
    RUNNING,
    Decided,
    ExperimentState,
    LeaseLostError,
    advance,
    get_experiment,
    release_lease,
    request_stop,
    take_lease,
)
from doctune.errors import DeploymentError, DoctuneError
from doctune.experiments.plan import Plan
from doctune.experiments.platform import Platform

if TYPE_CHECKING:
    from doctune.experiments.analysis import Evaluation
    from doctune.experiments.decision import Decision

LEASE_SECONDS = 30.0

_MOST_WAITS = 500
_PAUSE_SECONDS = 0.5
_MOST_PROMOTIONS = 3
# Time limit for removing the arms, and for waiting for another release before the promotion.
_ENDING_SECONDS = 7200.0

logger = logging.getLogger("doctune.experiments")

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Returns the current time in UTC."""
    return datetime.now(UTC)


class Controller:
    """Controls one experiment while it holds the lease."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        platform: Platform,
        owner: str,
        *,
        clock: Clock = utc_now,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """Prepares it.

        Args:
            owner: A unique name of this controller.
            clock: Returns the time, for the duration of the experiment and its stages.
        """
        self._engine, self._name, self._platform = engine, name, platform
        self._owner, self._clock, self._lease_seconds = owner, clock, lease_seconds
        self._failed_promotions = 0

    def deploy(self) -> ExperimentState:
        """Deploys the arms, without users; `run` continues from there.

        Raises:
            DeploymentError: An arm cannot be deployed; the experiment has ended as broken.
        """
        with self._lease_kept():
            deadline = time.monotonic() + 2 * self._lease_seconds
            while not self._lease():
                if time.monotonic() > deadline:
                    raise DeploymentError(
                        f"{self._name} is controlled by another process: wait for its end, or stop "
                        f"it with doctune experiment stop {self._name}."
                    )
                time.sleep(_PAUSE_SECONDS)
            state = get_experiment(self._engine, self._name)
            if state.state != PREPARING:
                return state
            plan = _plan(state)
            try:
                self._deploy_arms(plan)
            except DoctuneError as error:
                self._end_as_broken(error)
                self._finish(plan, get_experiment(self._engine, self._name))
                raise
            return state

    def run(
        self,
        on_decision: Callable[[Decided], None] | None = None,
        limit_seconds: float | None = None,
    ) -> ExperimentState:
        """Controls the experiment until it ends; waits while another controller has the lease.

        Args:
            on_decision: Called with each step.
            limit_seconds: Maximum duration; then it is stopped and the control is kept.

        Raises:
            DeploymentError: It cannot be ended, long after the limit.
        """
        started = time.monotonic()
        pause = _PAUSE_SECONDS
        with self._lease_kept():
            while True:
                ran = time.monotonic() - started
                if limit_seconds is not None and ran > limit_seconds + _ENDING_SECONDS:
                    raise DeploymentError(
                        f"{self._name} has not ended, although its limit of {limit_seconds:.0f} s "
                        f"is long over: end it with doctune experiment stop {self._name}."
                    )
                try:
                    state = get_experiment(self._engine, self._name)
                    if state.state == ENDED:
                        return state
                    if limit_seconds is not None and ran > limit_seconds:
                        self._stop_for_limit(state, limit_seconds)
                    pause = _plan(state).rules.evaluate_seconds
                    decided = self.step()
                    if decided is not None and on_decision is not None:
                        on_decision(decided)
                    if decided is not None and decided.action != "hold":
                        continue
                except LeaseLostError as error:
                    logger.warning("%s", error)
                except DatabaseError as error:
                    logger.warning(
                        "The database does not answer; trying again: %s", type(error).__name__
                    )
                time.sleep(pause)

    def step(self) -> Decided | None:
        """Takes the next step; returns None if another controller has the lease.

        Raises:
            LeaseLostError: Another controller has taken over; nothing was written.
            DeploymentError: What was deployed cannot be removed.
        """
        if not self._lease():
            return None
        state = get_experiment(self._engine, self._name)
        plan = _plan(state)
        if state.state == PREPARING:
            return self._prepare(plan, state)
        if state.state == RUNNING:
            return self._look(plan, state)
        if state.state == ENDING:
            return self._finish(plan, state)
        return None

    def _stop_for_limit(self, state: ExperimentState, limit: float) -> None:
        if state.state in (PREPARING, RUNNING) and not state.requested:
            logger.warning("%s: the limit of %.0f s is over", self._name, limit)
            request_stop(self._engine, self._name, _plan(state).control)

    def _deploy_arms(self, plan: Plan) -> dict[str, str]:
        return {
            arm.name: arm.upstream or self._platform.prepare(plan, arm)
            for arm in plan.arms[1:]
            if arm.upstream or arm.model_version
        }

    def _prepare(self, plan: Plan, state: ExperimentState) -> Decided:
        if state.requested:
            return self._stop(plan, state)
        try:
            upstreams = self._deploy_arms(plan)
        except DoctuneError as error:
            return self._end_as_broken(error)
        now = self._clock()
        return self._write(
            "start",
            f"All arms are deployed: each gets {plan.ramp[0]:g} % of the users.",
            {},
            state=RUNNING,
            started_at=now,
            stage_at=now,
            stage=0,
            shares=plan.shares_at(0),
            upstreams=upstreams,
        )

    def _end_as_broken(self, error: DoctuneError) -> Decided:
        sentence = f"An arm cannot be deployed: {error}"
        return self._write("end", sentence, {}, state=ENDING, verdict="broken", shares={}, stage=0)

    def _look(self, plan: Plan, state: ExperimentState) -> Decided:
        # The image that only deploys the arms has no statistics.
        from doctune.experiments.analysis import evaluate
        from doctune.experiments.decision import Standing, decide
        from doctune.experiments.sources import DatabaseSource

        if state.requested:
            return self._stop(plan, state)
        started = state.started_at or state.created_at
        stage_at = state.stage_at or started
        known = evaluate(plan, DatabaseSource(self._engine, plan, started), dropped=state.dropped)
        now = self._clock()
        standing = Standing(state.stage, state.dropped, started, stage_at)
        decision = decide(plan, standing, known, now)
        changes: dict[str, Any] = {
            "stage": decision.stage,
            "dropped": list(decision.dropped),
            "shares": dict(decision.shares),
        }
        if decision.stage != state.stage:
            changes["stage_at"] = now
        if decision.action == "end":
            changes |= {"state": ENDING, "verdict": decision.verdict, "winner": decision.winner}
        decided = Decided(now, decision.action, decision.sentence, numbers_of(known, decision))
        # With an evaluation every minute for a month, only some hundred of them are kept.
        spacing = timedelta(days=plan.rules.max_days / _MOST_WAITS)
        advance(self._engine, self._name, self._owner, decided, changes, spacing)
        logger.info("%s: %s", self._name, decided.sentence)
        return decided

    def _stop(self, plan: Plan, state: ExperimentState) -> Decided:
        keep = state.requested or plan.control
        sentence = f"Stopped on request; {keep} is kept."
        winner = keep if keep != plan.control else None
        shares = dict(state.shares) if winner else {}
        return self._write(
            "end", sentence, {}, state=ENDING, verdict="stopped", winner=winner, shares=shares
        )

    def _finish(self, plan: Plan, state: ExperimentState) -> Decided:
        if state.winner is not None:
            try:
                self._platform.promote(plan, plan.arm(state.winner))
            except DoctuneError as error:
                return self._give_up(plan, state.winner, error)
        if state.shares:
            self._write("retire", "The arms get no more requests.", {}, shares={})
        # Let requests that an arm is answering finish.
        time.sleep(plan.drain_seconds)
        self._platform.remove(plan)
        return self._write(
            "ended",
            f"What was deployed for the experiment is removed; {_serving(plan, state.winner)}.",
            {},
            state=ENDED,
            ended_at=self._clock(),
            upstreams={},
        )

    def _give_up(self, plan: Plan, winner: str, error: DoctuneError) -> Decided:
        """Tries to promote the winner again later, or keeps the control after repeated failures."""
        self._failed_promotions += 1
        sentence = f"{winner} cannot be promoted: {error}"
        if self._failed_promotions < _MOST_PROMOTIONS:
            return self._write("hold", sentence, {})
        sentence = f"{sentence} {plan.control} is kept."
        return self._write("end", sentence, {}, verdict="broken", winner=None, shares={})

    def _write(
        self, action: str, sentence: str, numbers: Mapping[str, Any], **changes: Any
    ) -> Decided:
        decided = Decided(self._clock(), action, sentence, numbers)
        advance(self._engine, self._name, self._owner, decided, changes)
        logger.info("%s: %s", self._name, sentence)
        return decided

    def _lease(self) -> bool:
        return take_lease(self._engine, self._name, self._owner, utc_now(), self._lease_seconds)

    @contextmanager
    def _lease_kept(self) -> Iterator[None]:
        """Renews the lease while the block runs, such as during a slow deployment."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(self._lease_seconds / 3):
                try:
                    if get_experiment(self._engine, self._name).lease_owner == self._owner:
                        self._lease()
                except DatabaseError as error:
                    logger.warning("The lease could not be renewed: %s", type(error).__name__)

        thread = threading.Thread(target=renew, name="experiment-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(limits.REQUEST.seconds)  # a daemon: what is left of it harms nothing
            try:
                release_lease(self._engine, self._name, self._owner)
            except DatabaseError as error:
                logger.warning(
                    "The lease could not be released and will expire: %s", type(error).__name__
                )


def numbers_of(known: Evaluation, decision: Decision) -> dict[str, Any]:
    """Returns the numbers of an evaluation that are stored with a decision."""
    return {
        "users": dict(known.users),
        "mismatch_p_value": known.mismatch_p_value,
        "stage": decision.stage,
        "shares": dict(decision.shares),
        "findings": [asdict(found) for found in known.findings],
    }


def _serving(plan: Plan, winner: str | None) -> str:
    """Describes what users get after the end: of a winner, only its version is released."""
    if winner is None:
        return f"{plan.control} serves all users"
    arm = plan.arm(winner)
    if not (plan.endpoint and arm.model_version):
        return f"{plan.control} serves all users until you take over what {winner} had"
    if arm.parameters or arm.system_prompt is not None:
        return f"the version of {winner} serves all users, its other settings are not taken over"
    return f"{winner} serves all users"


def _plan(state: ExperimentState) -> Plan:
    return Plan.model_validate(state.plan)
