"""Services that the routes share, opened when the gateway starts and closed when it stops."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from doctune.database.conversations import expire_conversations
from doctune.database.engine import DatabaseError, Engine
from doctune.errors import ConfigurationError
from doctune.feedback.collect import StorageRules
from doctune.gateway.cache import AnswerCache
from doctune.gateway.experiments import Experiments
from doctune.gateway.identity import Identities
from doctune.gateway.keys import KeyStore
from doctune.gateway.limits import Limiter
from doctune.gateway.metrics import Metrics
from doctune.gateway.options import GatewayOptions
from doctune.gateway.prediction_log import SPILL_FILE, PredictionLog
from doctune.gateway.records import Exchange, Recorder
from doctune.gateway.routing import Model
from doctune.gateway.tracing import open_traces
from doctune.gateway.upstreams import OpenAIAddress, Upstream, VertexAddress
from doctune.vertex.http_session import open_session
from doctune.vertex.serving_state import VERTEX

if TYPE_CHECKING:
    import aiohttp

    from doctune.knowledge import Answerer

UPSTREAM_KEY_VARIABLE = "DOCTUNE_GATEWAY_UPSTREAM_KEY"

_HOUSEKEEPING_SECONDS = 3600.0

logger = logging.getLogger("doctune.gateway")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the gateway depends on besides its settings."""

    engine: Engine
    state_dir: Path
    project: str
    location: str
    redis_url: str = ""
    user_key: bytes = b""


class Services:
    """Everything that the routes share."""

    def __init__(self, options: GatewayOptions, surroundings: Surroundings) -> None:
        self.options = options
        self.engine = surroundings.engine
        self.keys = KeyStore(surroundings.engine)
        self.identities = Identities(self.keys, options.identity)
        self.limiter = Limiter(options.limits, surroundings.redis_url)
        self.cache = AnswerCache(options.cache, surroundings.redis_url)
        self.recorder = Recorder(options.log, surroundings.user_key)
        self.keeping = StorageRules(
            self.recorder.text, self.recorder.end_user, options.feedback.labels
        )
        self.metrics = Metrics()
        self.traces = open_traces()
        self.experiments = Experiments(
            surroundings.engine, options.models, self._upstream, self._log_hidden
        )
        self.log: PredictionLog
        self.models: dict[str, Model] = {}
        self._surroundings = surroundings
        self._session: aiohttp.ClientSession
        self._housekeeping: asyncio.Task[None]
        self._following: asyncio.Task[None]

    async def open(self) -> None:
        """Starts what needs a running loop.

        Raises:
            ConfigurationError: There are no credentials for an endpoint.
        """
        self._session = open_session()
        self.log = PredictionLog(
            self.engine,
            self._surroundings.state_dir / SPILL_FILE,
            self.options.log.retention_days,
        )
        await asyncio.to_thread(self.keys.refresh)
        for name, model in self.options.models.items():
            upstreams = [await self._upstream(address) for address in model.upstreams]
            self.models[name] = Model(name, model, upstreams)
        await self._open_agents()
        await self.experiments.open()
        self._housekeeping = asyncio.create_task(self._keep_house())
        self._following = asyncio.create_task(self._follow_indexes())

    async def close(self) -> None:
        """Writes the log and releases all resources."""
        self._housekeeping.cancel()
        self._following.cancel()
        await self.experiments.close()
        await asyncio.to_thread(self.log.close, self.options.shutdown_seconds)
        await self.cache.close()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)
        await self._session.close()

    async def _open_agents(self) -> None:
        if not self.options.agents:
            return
        # The image without torch holds nothing of what reads an index.
        from doctune.agent import Agent
        from doctune.agent.conversations import Conversations
        from doctune.agent.gemini_stage import GeminiStage
        from doctune.agent.model_facts import read_model_facts
        from doctune.agent.toolbox import load_toolbox
        from doctune.gateway.agents import AgentModel, UpstreamStage
        from doctune.gateway.followed_index import open_index, read_place

        conversations = Conversations(self.engine, self.options.conversations.wait_seconds)
        opened: dict[str, Answerer] = {}
        for name, options in self.options.agents.items():
            if options.index not in opened:
                opened[options.index] = await open_index(read_place(options.index))
            stages = [
                await asyncio.to_thread(GeminiStage, stage.upstream, stage.seconds)
                if stage.is_gemini
                else UpstreamStage(
                    await self._upstream(stage.upstream),
                    stage.seconds,
                    calls_tools=read_model_facts(stage.tokenizer).calls_tools,
                )
                for stage in options.stages
            ]
            tools = load_toolbox(options.tools) if options.tools else None
            agent = Agent(opened[options.index], stages, options.settings, tools)
            self.models[name] = AgentModel(name, options, agent, stages, conversations)

    async def _keep_house(self) -> None:
        for model in self.models.values():
            # An encoder takes seconds to load: better before a question than with it.
            await asyncio.to_thread(model.warm_up)
        days = self.options.conversations.retention_days
        while days is not None:
            before = datetime.now(UTC) - timedelta(days=days)
            try:
                await asyncio.to_thread(expire_conversations, self.engine, before)
            except DatabaseError as error:
                logger.warning("No conversation expires now: %s", type(error).__name__)
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)

    async def _follow_indexes(self) -> None:
        if not self.options.agents:
            return
        from doctune.gateway.agents import AgentModel
        from doctune.gateway.followed_index import follow

        agents = [model for model in self.models.values() if isinstance(model, AgentModel)]
        await follow(agents)

    def _log_hidden(self, exchange: Exchange) -> None:
        self.log.add(self.recorder.row(exchange))

    async def _upstream(self, name: str) -> Upstream:
        if not name.startswith(VERTEX):
            return Upstream(
                OpenAIAddress(name, os.environ.get(UPSTREAM_KEY_VARIABLE, "")), self._session
            )
        if not self._surroundings.project:
            raise ConfigurationError(f"the upstream {name} needs a Google Cloud project.")
        from doctune.vertex.serving_state import EndpointReader

        reader = await asyncio.to_thread(
            EndpointReader, self._surroundings.project, self._surroundings.location
        )
        return Upstream(VertexAddress(name, reader), self._session)
