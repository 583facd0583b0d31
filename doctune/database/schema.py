"""Creates, upgrades and checks the schema of the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, inspect

from doctune.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.config import Config

UPGRADE_COMMAND = "doctune database upgrade"


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Upgrades the schema to a revision; data is kept."""
    from alembic import command

    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Downgrades the schema to a revision; data that only newer tables have is lost."""
    from alembic import command

    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def current_revision(engine: Engine) -> str | None:
    """Returns the revision of a database; None if it has none of our tables."""
    from alembic.runtime.migration import MigrationContext

    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    """Returns the revision that this version of doctune requires."""
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise ConfigurationError("doctune's migrations are missing: install it again.")
    return head


def prepare(engine: Engine) -> None:
    """Creates the schema in an empty database; refuses one with another schema version.

    Raises:
        ConfigurationError: The schema is older or newer; the message says what to run.
    """
    from alembic.script import ScriptDirectory

    revision = current_revision(engine)
    if revision is None and not inspect(engine).get_table_names():
        upgrade(engine)
        return
    script = ScriptDirectory.from_config(_config())
    head = script.get_current_head()
    if revision == head:
        return
    known = {known.revision for known in script.walk_revisions()}
    if revision is None or revision in known:
        raise ConfigurationError(
            f"the database's schema ({revision or 'none of ours'}) is older than this doctune "
            f"({head}): run {UPGRADE_COMMAND}."
        )
    raise ConfigurationError(
        f"the database's schema ({revision}) is newer than this doctune ({head}): install the "
        "doctune that made it."
    )


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
