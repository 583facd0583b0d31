"""Keys, predictions and feedback of the gateway."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Takes the step."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False, unique=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("salt", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("tokens_per_minute", sa.Integer),
        sa.Column("tokens_per_day", sa.Integer),
        sa.Column("requests_in_flight", sa.Integer),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT),
        sa.Column("revoked_at", _MOMENT),
    )
    op.create_index("ix_api_keys_owner", "api_keys", ["owner"])
    _create_predictions()
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("prediction_id", sa.String(64), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("end_user", sa.String(256)),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("value", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("idempotency_key", sa.String(128)),
        sa.UniqueConstraint("key_id", "idempotency_key"),
    )
    for column in ("prediction_id", "created_at", "end_user"):
        op.create_index(f"ix_feedback_{column}", "feedback", [column])


def downgrade() -> None:
    """Takes it back."""
    for table in ("feedback", "predictions", "api_keys"):
        op.drop_table(table)


def _create_predictions() -> None:
    op.create_table(
        "predictions",
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("end_user", sa.String(256)),
        sa.Column("conversation_id", sa.String(64)),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("model_version", sa.String(256)),
        sa.Column("deployed_model_id", sa.String(64)),
        sa.Column("upstream", sa.String(256)),
        sa.Column("messages", sa.JSON),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("finish_reason", sa.String(32)),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
        sa.Column("first_token_ms", sa.Double),
        sa.Column("total_ms", sa.Double, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("cache", sa.String(8), nullable=False),
        sa.Column("experiment", sa.String(128)),
        sa.Column("arm", sa.String(128)),
        sa.Column("sources", sa.JSON),
        sa.PrimaryKeyConstraint("created_at", "id"),
        postgresql_partition_by="RANGE (created_at)",
    )
    for name in ("id", "conversation_id", "end_user"):
        op.create_index(f"ix_predictions_{name}", "predictions", [name])
    for name in ("owner", "model"):
        op.create_index(f"ix_predictions_{name}_created_at", "predictions", [name, "created_at"])
    if op.get_bind().dialect.name == "postgresql":
        # What no month's partition takes is not refused.
        op.execute("CREATE TABLE predictions_other PARTITION OF predictions DEFAULT")
