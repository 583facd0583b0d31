"""Conversations with agents, and the access groups of keys."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Takes the step."""
    op.add_column("api_keys", sa.Column("groups", sa.JSON, nullable=False, server_default="[]"))
    op.create_table(
        "conversations",
        sa.Column("owner", sa.String(128), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("agent", sa.String(256), nullable=False),
        sa.Column("title", sa.String(128), nullable=False),
        sa.Column("end_user", sa.String(256)),
        sa.Column("last_message", sa.String(32), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("held_by", sa.String(32)),
        sa.Column("held_until", _MOMENT),
    )
    for column in ("end_user", "updated_at"):
        op.create_index(f"ix_conversations_{column}", "conversations", [column])
    op.create_table(
        "conversation_messages",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("conversation_id", sa.String(64), nullable=False),
        sa.Column("parent_id", sa.String(32), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
    )
    op.create_index(
        "ix_conversation_messages_conversation",
        "conversation_messages",
        ["owner", "conversation_id", "created_at"],
    )


def downgrade() -> None:
    """Takes it back."""
    op.drop_table("conversation_messages")
    op.drop_table("conversations")
    op.drop_column("api_keys", "groups")
