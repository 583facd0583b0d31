"""The gateway's settings: `gateway.yaml` beside the other two files, then flags.

Addresses that hold passwords come by environment variable only: `DATABASE_URL`, `REDIS_URL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from doctune.agent import AgentOptions
from doctune.configuration.yaml_file import check_keys, read_yaml_file
from doctune.errors import ConfigurationError
from doctune.feedback.request import LABELS
from doctune.vertex.serving_state import VERTEX, EndpointAddress

GATEWAY_CONFIG_FILE = "gateway.yaml"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_GEMINI = "gemini:"


def _check_upstream(upstream: str) -> None:
    if not upstream.startswith((VERTEX, "http://", "https://")):
        raise ValueError(f"upstream {upstream!r}: use vertex:ENDPOINT or http(s)://…")
    if upstream.startswith(VERTEX):
        EndpointAddress.parse(upstream)


class LimitOptions(_Section):
    """What one key may ask of one model. None: no limit. A key's own limits win."""

    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_day: int | None = Field(default=None, ge=1)
    requests_in_flight: int | None = Field(default=None, ge=1)


class ModelOptions(_Section):
    """One model that clients can name."""

    upstreams: list[str] = Field(
        min_length=1,
        description="Where it is asked, in order: vertex:ENDPOINT, or an OpenAI-compatible "
        "http(s)://HOST/v1#MODEL. The next one answers where the first is down or slow.",
    )
    max_in_flight: int = Field(64, ge=1, description="Most requests that its upstreams see.")
    max_waiting: int = Field(128, ge=0, description="Most requests that wait for a place.")
    queue_seconds: float = Field(10.0, gt=0, description="Longest wait for a place.")
    first_token_seconds: float = Field(
        60.0, gt=0, description="Longest wait for an upstream's answer to begin."
    )
    hedge_seconds: float | None = Field(
        default=None,
        gt=0,
        description="After so long without an answer the next upstream is asked as well, and the "
        "first answer counts. None never does. Streams are never hedged.",
    )

    @model_validator(mode="after")
    def _upstreams_are_addresses(self) -> ModelOptions:
        for upstream in self.upstreams:
            _check_upstream(upstream)
        return self


class CacheOptions(_Section):
    """The cache of answers to deterministic requests."""

    max_mebibytes: int = Field(64, ge=0, description="0 turns it off.")
    seconds: float = Field(3600, gt=0, description="How long an answer is kept.")
    wait_seconds: float = Field(
        60.0,
        gt=0,
        description="Longest wait for the answer to an equal request; then it is computed again.",
    )


class LogOptions(_Section):
    """What is kept of each request."""

    content: Literal["full", "redacted", "sampled", "off"] = Field(
        "full", description="redacted leaves out e-mail, phone, card and IBAN numbers."
    )
    sample_share: float = Field(0.1, ge=0, le=1, description="Of what is sampled.")
    redact_patterns: list[str] = Field(
        default_factory=list, description="Regular expressions of your own to redact."
    )
    hash_end_users: bool = Field(True, description="Keep a keyed hash of `user`, not the name.")
    retention_days: int | None = Field(default=None, ge=1, description="None keeps everything.")


class FeedbackOptions(_Section):
    """What may be said of answers."""

    labels: list[str] = Field(
        default_factory=lambda: list(LABELS),
        description="Labels that are taken; an empty list takes any.",
    )


class OidcOptions(_Section):
    """An issuer of identity tokens that are taken instead of keys."""

    issuer: str
    audience: str
    jwks_url: str
    header: str = Field("authorization", description="IAP: x-goog-iap-jwt-assertion.")
    algorithms: list[str] = Field(default_factory=lambda: ["RS256", "ES256"])
    scopes: list[str] = Field(default_factory=lambda: ["chat", "feedback"])
    groups_claim: str = Field("", description="The claim that names a person's access groups.")


class StageOptions(_Section):
    """A model that an agent asks."""

    upstream: str = Field(
        description="As an upstream of a model; or gemini:MODEL, where allow_gemini is true."
    )
    seconds: float = Field(20.0, gt=0, description="Its time limit; then the next one is asked.")
    tokenizer: str = Field(
        "",
        description="Folder of its model's tokenizer: where the chat template there shows tools, "
        "the model is offered the agent's.",
    )

    @model_validator(mode="after")
    def _is_an_address(self) -> StageOptions:
        if not self.is_gemini:
            _check_upstream(self.upstream)
        elif not self.upstream.removeprefix(_GEMINI):
            raise ValueError("a stage of Gemini names its model: gemini:gemini-2.5-flash")
        return self

    @property
    def is_gemini(self) -> bool:
        """Whether it is a model of Google's that serves everybody."""
        return self.upstream.startswith(_GEMINI)


class AgentModelOptions(_Section):
    """A model that finds, asks and cites."""

    index: str = Field(
        description="Folder of a knowledge index, or a JSON file that names it as `index`: "
        "the file is read every few seconds, and what it names is taken without a restart."
    )
    pdfs: str = Field("", description="Folder of the PDFs, for pictures of their pages.")
    stages: list[StageOptions] = Field(
        default_factory=list,
        description="Who is asked, in order; the documents' own words come last in any case.",
    )
    tools: str = Field(
        "",
        description="What the model may call: a doctune.agent.Toolbox of Python, as module:name.",
    )
    allow_gemini: bool = Field(
        False, description="Whether stages of Gemini are allowed: they see questions and passages."
    )
    settings: AgentOptions = AgentOptions()
    max_in_flight: int = Field(16, ge=1, description="Most requests that are answered at once.")
    max_waiting: int = Field(128, ge=0, description="Most requests that wait for a place.")
    queue_seconds: float = Field(10.0, gt=0, description="Longest wait for a place.")

    @model_validator(mode="after")
    def _gemini_is_allowed(self) -> AgentModelOptions:
        if not self.allow_gemini and any(stage.is_gemini for stage in self.stages):
            raise ValueError("a stage of Gemini needs allow_gemini: true")
        return self


class ConversationOptions(_Section):
    """What agents remember."""

    retention_days: int | None = Field(
        default=None, ge=1, description="Days after the last turn; None keeps everything."
    )
    wait_seconds: float = Field(
        10.0, ge=0, description="How long a second turn waits for the first, before 409."
    )


class GatewayOptions(_Section):
    """All settings of the gateway."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    port: int = Field(8080, ge=0, le=65535)
    models: dict[str, ModelOptions] = Field(min_length=1)
    agents: dict[str, AgentModelOptions] = Field(default_factory=dict)
    conversations: ConversationOptions = ConversationOptions()
    limits: LimitOptions = LimitOptions()
    cache: CacheOptions = CacheOptions()
    log: LogOptions = LogOptions()
    feedback: FeedbackOptions = FeedbackOptions()
    identity: list[OidcOptions] = Field(default_factory=list)
    max_body_bytes: int = Field(1_000_000, ge=1000)
    max_messages: int = Field(200, ge=1)
    head_seconds: float = Field(15.0, gt=0, description="Longest time that headers may take.")
    body_seconds: float = Field(20.0, gt=0, description="Longest time that a body may take.")
    unread_seconds: float = Field(
        60.0, gt=0, description="Longest time that a client may leave an answer unread."
    )
    shutdown_seconds: int = Field(30, ge=1)

    @model_validator(mode="after")
    def _names_differ(self) -> GatewayOptions:
        if both := self.models.keys() & self.agents.keys():
            raise ValueError(f"{min(both)} is a model and an agent: give them different names")
        return self

    @property
    def public(self) -> bool:
        """Whether others than this machine can reach it."""
        return self.host not in LOOPBACK


@dataclass(frozen=True)
class Documents:
    """An index, its PDFs, and the folder of the model's tokenizer; "" for what is not here."""

    index: str
    pdfs: str = ""
    tokenizer: str = ""


def _agents_beside(models: Any, documents: Documents) -> dict[str, Any]:
    if not isinstance(models, dict):
        return {}  # what is wrong with it is said when it is checked
    return {
        f"{name}-agent": {
            "index": documents.index,
            "pdfs": documents.pdfs,
            "stages": [{"upstream": upstream} for upstream in model.get("upstreams", [])],
            "settings": {"tokenizer": documents.tokenizer},
        }
        for name, model in models.items()
        if isinstance(model, dict) and f"{name}-agent" not in models
    }


def load_gateway_options(
    folder: Path,
    default_model: str,
    flags: Mapping[str, Any] | None = None,
    documents: Documents | None = None,
) -> GatewayOptions:
    """Returns the settings of a configuration folder.

    Args:
        folder: May hold `gateway.yaml`; without `models` in it there is one, for an endpoint.
        default_model: That model's name and its endpoint's.
        flags: Settings that win over the file; those that are None are left out.
        documents: What agents answer from where the file has no `agents`: one beside each model.

    Raises:
        ConfigurationError: A key is unknown or a value is wrong; the message names it.
    """
    path = folder / GATEWAY_CONFIG_FILE
    values = read_yaml_file(path) if path.is_file() else {}
    if "models" not in values and not default_model:
        raise ConfigurationError(
            f"no model is named: give models in {path}, or DOCTUNE_VERTEX_ENDPOINT__NAME."
        )
    values.setdefault("models", {default_model: {"upstreams": [f"vertex:{default_model}"]}})
    if documents is not None:
        values.setdefault("agents", _agents_beside(values["models"], documents))
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    return check_keys(GatewayOptions, values, path)
