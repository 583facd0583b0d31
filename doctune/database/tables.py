"""The tables. `migrations/` creates them; a test checks that both define the same schema."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, DateTime, Double, Index, String, Text, TypeDecorator, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """A date and time with time zone, also on databases without time zones (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Returns the moment in UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Returns the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base class of all tables."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        float: Double,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


class ApiKey(Base):
    """An API key of the gateway. Only its salted digest is stored, never the secret."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), unique=True)
    owner: Mapped[str] = mapped_column(String(128), index=True)
    salt: Mapped[str] = mapped_column(String(32))
    digest: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[Any]]
    models: Mapped[list[Any]]  # names of the models it may ask; empty: all of them
    # The access groups whose documents it may find, besides public ones.
    groups: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    requests_per_minute: Mapped[int | None]
    tokens_per_minute: Mapped[int | None]
    tokens_per_day: Mapped[int | None]
    requests_in_flight: Mapped[int | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Prediction(Base):
    """One request to the gateway and its outcome."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index("ix_predictions_owner_created_at", "owner", "created_at"),
        Index("ix_predictions_model_created_at", "model", "created_at"),
        Index("ix_predictions_end_user", "end_user"),
        Index("ix_predictions_experiment", "experiment"),
    )

    # The partition is chosen by the time, so the time must be part of the primary key.
    created_at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    key_id: Mapped[str] = mapped_column(String(32))
    owner: Mapped[str] = mapped_column(String(128))
    end_user: Mapped[str | None] = mapped_column(String(256))
    conversation_id: Mapped[str | None] = mapped_column(String(64), index=True)
    model: Mapped[str] = mapped_column(String(256))
    model_version: Mapped[str | None] = mapped_column(String(256))
    deployed_model_id: Mapped[str | None] = mapped_column(String(64))
    upstream: Mapped[str | None] = mapped_column(String(256))
    messages: Mapped[list[Any] | None]
    parameters: Mapped[dict[str, Any]]
    answer: Mapped[str | None] = mapped_column(Text)
    finish_reason: Mapped[str | None] = mapped_column(String(32))
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    first_token_ms: Mapped[float | None]
    total_ms: Mapped[float]
    status: Mapped[int]
    cache: Mapped[str] = mapped_column(String(8))  # hit, miss, or off
    experiment: Mapped[str | None] = mapped_column(String(128))
    arm: Mapped[str | None] = mapped_column(String(128))
    sources: Mapped[list[Any] | None]
    unit: Mapped[str | None] = mapped_column(String(512))  # who is assigned to arms
    exposure: Mapped[str | None] = mapped_column(String(16))  # see `exposures`


class Feedback(Base):
    """Feedback on an answer. Nothing is overwritten: the last version counts."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("key_id", "idempotency_key"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    prediction_id: Mapped[str] = mapped_column(String(64), index=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    key_id: Mapped[str] = mapped_column(String(32))
    owner: Mapped[str] = mapped_column(String(128))
    end_user: Mapped[str | None] = mapped_column(String(256), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    value: Mapped[dict[str, Any]]
    reason: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(32))
    version: Mapped[int]
    idempotency_key: Mapped[str | None] = mapped_column(String(128))


class ReviewItem(Base):
    """An answer in the review queue, and the decision on it."""

    __tablename__ = "review_items"
    __table_args__ = (
        Index("ix_review_items_queue", "owner", "state", "priority"),
        Index("ix_review_items_decided", "state", "decided_at"),
        Index("ix_review_items_cluster", "owner", "cluster"),
    )

    prediction_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(128))
    predicted_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    question: Mapped[str] = mapped_column(Text)
    cluster: Mapped[str] = mapped_column(String(64))  # questions in nearly the same words share it
    priority: Mapped[float]
    disagreement: Mapped[bool]
    state: Mapped[str] = mapped_column(String(16))  # open, accepted, edited, rejected, merged
    answer: Mapped[str | None] = mapped_column(Text)  # the right one, by whoever decided
    decided_by: Mapped[str | None] = mapped_column(String(128))
    decided_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None] = mapped_column(String(128))
    claimed_until: Mapped[datetime | None]
    merged_into: Mapped[str | None] = mapped_column(String(64))


class ReviewEvent(Base):
    """One action of a reviewer; append-only."""

    __tablename__ = "review_events"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    prediction_id: Mapped[str] = mapped_column(String(64), index=True)
    created_at: Mapped[datetime]
    reviewer: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(16))
    details: Mapped[dict[str, Any]]


class Retraining(Base):
    """A retraining: why it was started, and its outcome."""

    __tablename__ = "retrainings"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(16))  # started, watching, succeeded, failed
    reason: Mapped[dict[str, Any]]
    run: Mapped[str | None] = mapped_column(String(256))
    attempts: Mapped[int]
    not_before: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    cost: Mapped[float]
    details: Mapped[dict[str, Any]]


class Erasure(Base):
    """A record that somebody was erased, and when, but not who."""

    __tablename__ = "erasures"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    erased_at: Mapped[datetime] = mapped_column(index=True)


class Lease(Base):
    """A named lease: its holder, and when it expires."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(128))
    until: Mapped[datetime]


class Conversation(Base):
    """A conversation with an agent. Its id belongs to its owner: two owners may use the same."""

    __tablename__ = "conversations"

    owner: Mapped[str] = mapped_column(String(128), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agent: Mapped[str] = mapped_column(String(256))
    title: Mapped[str] = mapped_column(String(128))
    end_user: Mapped[str | None] = mapped_column(String(256), index=True)
    last_message: Mapped[str] = mapped_column(String(32))  # "" while nothing is said
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime] = mapped_column(index=True)
    held_by: Mapped[str | None] = mapped_column(String(32))  # the turn that is being answered
    held_until: Mapped[datetime | None]


class ConversationMessage(Base):
    """One message; those that follow the same one are branches."""

    __tablename__ = "conversation_messages"
    __table_args__ = (
        Index("ix_conversation_messages_conversation", "owner", "conversation_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(128))
    conversation_id: Mapped[str] = mapped_column(String(64))
    parent_id: Mapped[str] = mapped_column(String(32))  # "" for the beginning
    role: Mapped[str] = mapped_column(String(16))
    content: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    details: Mapped[dict[str, Any]]  # sources, versions, who answered


class Experiment(Base):
    """An A/B test: its plan, progress and controller."""

    __tablename__ = "experiments"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(String(256))
    layer: Mapped[str] = mapped_column(String(64))
    plan: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16), index=True)
    verdict: Mapped[str | None] = mapped_column(String(16))
    winner: Mapped[str | None] = mapped_column(String(64))
    stage: Mapped[int]
    shares: Mapped[dict[str, Any]]  # buckets of each arm
    upstreams: Mapped[dict[str, Any]]  # of the arms that have one of their own
    dropped: Mapped[list[Any]]
    requested: Mapped[str | None] = mapped_column(String(64))  # arm to keep, to end it now
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    stage_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None]


class ExperimentDecision(Base):
    """One step of an experiment, with the numbers behind it."""

    __tablename__ = "experiment_decisions"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    experiment: Mapped[str] = mapped_column(String(64), index=True)
    decided_at: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(16))
    sentence: Mapped[str] = mapped_column(Text)
    numbers: Mapped[dict[str, Any]]
