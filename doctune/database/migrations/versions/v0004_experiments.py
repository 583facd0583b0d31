"""Experiments, what was decided of them, and who was exposed to which arm."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Takes the step."""
    op.add_column("predictions", sa.Column("unit", sa.String(512)))
    op.add_column("predictions", sa.Column("exposure", sa.String(16)))
    op.create_index("ix_predictions_experiment", "predictions", ["experiment"])
    op.create_table(
        "experiments",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("layer", sa.String(64), nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("verdict", sa.String(16)),
        sa.Column("winner", sa.String(64)),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("shares", sa.JSON, nullable=False),
        sa.Column("upstreams", sa.JSON, nullable=False),
        sa.Column("dropped", sa.JSON, nullable=False),
        sa.Column("requested", sa.String(64)),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("started_at", _MOMENT),
        sa.Column("stage_at", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("lease_owner", sa.String(128)),
        sa.Column("lease_until", _MOMENT),
    )
    op.create_index("ix_experiments_state", "experiments", ["state"])
    op.create_table(
        "experiment_decisions",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("experiment", sa.String(64), nullable=False),
        sa.Column("decided_at", _MOMENT, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("numbers", sa.JSON, nullable=False),
    )
    op.create_index("ix_experiment_decisions_experiment", "experiment_decisions", ["experiment"])


def downgrade() -> None:
    """Takes it back."""
    op.drop_table("experiment_decisions")
    op.drop_table("experiments")
    op.drop_index("ix_predictions_experiment", "predictions")
    for column in ("exposure", "unit"):
        op.drop_column("predictions", column)
