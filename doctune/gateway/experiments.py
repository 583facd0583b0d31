"""Which arm of an experiment answers a request, by what the database says of the experiments.

They are read again every second; while the database is away, those go on that were known last. An
arm whose upstream fails is answered for by the model's own upstreams, and the log says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from doctune.chat_schema import ChatRequest, ChatTurn
from doctune.database.engine import DatabaseError, Engine
from doctune.database.experiments import ENDING, RUNNING, ExperimentState, list_experiments
from doctune.database.exposures import SHADOW, SHADOWED
from doctune.errors import DoctuneError
from doctune.experiments.assignment import Allocation, Assignment, assign, bucket_of
from doctune.experiments.plan import ArmPlan, Plan
from doctune.gateway.options import ModelOptions
from doctune.gateway.problems import GatewayError
from doctune.gateway.records import Exchange
from doctune.gateway.routing import Model
from doctune.gateway.upstreams import Upstream

REFRESH_SECONDS = 1.0
MOST_SHADOWS = 8  # requests that are asked out of sight at a time; more are not sampled

logger = logging.getLogger("doctune.gateway")

OpenUpstream = Callable[[str], Awaitable[Upstream]]


@dataclass(frozen=True)
class _Active:
    plan: Plan
    allocation: Allocation
    models: Mapping[str, Model]  # of arms with an upstream of their own


class Experiments:
    """The experiments that run now."""

    def __init__(
        self,
        engine: Engine,
        options: Mapping[str, ModelOptions],
        open_upstream: OpenUpstream,
        log: Callable[[Exchange], None],
    ) -> None:
        """Prepares it.

        Args:
            log: Receives the exchanges of shadow requests.
        """
        self._engine, self._options = engine, options
        self._open_upstream, self._log = open_upstream, log
        self._active: dict[str, list[_Active]] = {}
        self._models: dict[tuple[str, str, str], Model] = {}
        self._shadows: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    async def open(self) -> None:
        """Loads the experiments and starts reloading them."""
        await self._refresh()
        self._task = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stops reloading and cancels shadow requests."""
        for task in (self._task, *self._shadows):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def route(self, exchange: Exchange, unit: str, model: Model, forced_arm: str = "") -> Model:
        """Returns the model that answers, and notes on the exchange whose arm that is.

        Args:
            unit: Who asks, as `unit_of` says.
            forced_arm: A tester's choice.
        """
        exchange.unit = unit
        for active in self._active.get(model.name, ()):
            if active.plan.shadow:
                self._sample(exchange, active)
                return model
            assignment = _forced(active, forced_arm) or assign(active.allocation, unit)
            if assignment is None:
                continue
            arm = active.plan.arm(assignment.arm)
            exchange.experiment, exchange.arm = active.plan.name, arm.name
            exchange.forced = assignment.forced
            exchange.chat = with_settings(exchange.chat, arm)
            return active.models.get(arm.name, model)
        return model

    def ended(self, exchange: Exchange) -> None:
        """Sends the treatment a shadow request if the exchange is sampled and was answered."""
        active = next((a for a in self._active.get(exchange.chat.model, ()) if a.plan.shadow), None)
        sampled = exchange.exposure == SHADOWED
        if active is None or not sampled or exchange.status != 200:
            exchange.exposure = None if sampled else exchange.exposure
            return
        if len(self._shadows) >= MOST_SHADOWS:
            exchange.exposure = None
            return
        task = asyncio.create_task(self._ask_shadow(exchange, active))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    def _sample(self, exchange: Exchange, active: _Active) -> None:
        share = active.allocation.shares.get(active.plan.treatments[0], 0)
        if bucket_of(active.plan.salt, exchange.id) < share:
            exchange.experiment, exchange.arm = active.plan.name, active.plan.control
            exchange.exposure = SHADOWED

    async def _ask_shadow(self, seen: Exchange, active: _Active) -> None:
        arm = active.plan.arm(active.plan.treatments[0])
        model = active.models.get(arm.name)
        if model is None:
            return
        # A row of its own: the moment and the id are new, the user and the question are not.
        hidden = Exchange(seen.principal, with_settings(seen.chat, arm))
        hidden.unit, hidden.experiment, hidden.arm = seen.unit, seen.experiment, arm.name
        hidden.exposure = SHADOW
        try:
            async with model.place():
                answer, hidden.fallback = await model.ask(hidden.chat)
            hidden.take(answer)
            hidden.status = 502 if hidden.fallback else 200
        except GatewayError as error:
            hidden.status = error.status
        self._log(hidden)

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            states = await asyncio.to_thread(list_experiments, self._engine, (RUNNING, ENDING))
            self._active = await self._of(states)
            self._failing = False
        except (DatabaseError, DoctuneError, ValueError) as error:
            # What was known last goes on.
            if not self._failing:
                logger.warning(
                    "The experiments cannot be read from the database; those known stay: %s",
                    type(error).__name__,
                )
            self._failing = True

    async def _of(self, states: list[ExperimentState]) -> dict[str, list[_Active]]:
        found: dict[str, list[_Active]] = {}
        for state in states:
            options = self._options.get(state.model)
            if options is None or not any(state.shares.values()):
                continue
            plan = Plan.model_validate(state.plan)
            models = {
                arm: await self._model(state, arm, upstream, options)
                for arm, upstream in state.upstreams.items()
            }
            allocation = Allocation(
                salt=plan.salt,
                arms=tuple(arm.name for arm in plan.arms),
                shares=dict(state.shares),
                layer=plan.layer,
                slot=plan.slot,
                holdout=plan.holdout,
                forced=plan.forced,
            )
            found.setdefault(state.model, []).append(_Active(plan, allocation, models))
        return found

    async def _model(
        self, state: ExperimentState, arm: str, upstream: str, options: ModelOptions
    ) -> Model:
        key = (state.name, arm, upstream)
        if key not in self._models:
            addresses = [upstream, *options.upstreams]
            upstreams = [await self._open_upstream(address) for address in addresses]
            self._models[key] = Model(
                state.model, options.model_copy(update={"upstreams": addresses}), upstreams
            )
        return self._models[key]


def with_settings(chat: ChatRequest, arm: ArmPlan) -> ChatRequest:
    """Returns a request as an arm asks it: its own parameters and system prompt win."""
    changes: dict[str, object] = dict(arm.parameters)
    if "max_tokens" in changes:
        changes["max_completion_tokens"] = None
    if arm.system_prompt is not None:
        rest = [turn for turn in chat.messages if turn.role not in ("system", "developer")]
        changes["messages"] = [ChatTurn(role="system", content=arm.system_prompt), *rest]
    return chat.model_copy(update=changes) if changes else chat


def _forced(active: _Active, arm: str) -> Assignment | None:
    if arm and arm in active.allocation.arms:
        return Assignment(arm, forced=True)
    return None
