"""What Alembic runs to migrate: on the connection that `doctune.database.schema` gives."""

from alembic import context

from doctune.database.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot change a column in place: the table is copied.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
