"""Review of feedback, and the retrainings that follow from it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Takes the step."""
    op.create_table(
        "review_items",
        sa.Column("prediction_id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("predicted_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("cluster", sa.String(64), nullable=False),
        sa.Column("priority", sa.Double, nullable=False),
        sa.Column("disagreement", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("decided_by", sa.String(128)),
        sa.Column("decided_at", _MOMENT),
        sa.Column("claimed_by", sa.String(128)),
        sa.Column("claimed_until", _MOMENT),
        sa.Column("merged_into", sa.String(64)),
    )
    op.create_index("ix_review_items_queue", "review_items", ["owner", "state", "priority"])
    op.create_index("ix_review_items_decided", "review_items", ["state", "decided_at"])
    op.create_index("ix_review_items_cluster", "review_items", ["owner", "cluster"])
    op.create_table(
        "review_events",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("prediction_id", sa.String(64), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("reviewer", sa.String(128), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
    )
    op.create_index("ix_review_events_prediction_id", "review_events", ["prediction_id"])
    op.create_table(
        "retrainings",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.JSON, nullable=False),
        sa.Column("run", sa.String(256)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", _MOMENT),
        sa.Column("finished_at", _MOMENT),
        sa.Column("cost", sa.Double, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
    )
    op.create_index("ix_retrainings_created_at", "retrainings", ["created_at"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(128), nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
    )


def downgrade() -> None:
    """Takes it back."""
    for table in ("leases", "retrainings", "review_events", "review_items"):
        op.drop_table(table)
