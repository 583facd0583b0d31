"""The database of the experiments' tests, and a log to write into it."""

import pytest
from sqlalchemy import Engine

from tests.experiments.records import Log
from tests.feedback.conftest import engine, prepared_postgres, sqlite, sqlite_template

__all__ = ["engine", "prepared_postgres", "sqlite", "sqlite_template"]  # fixtures


@pytest.fixture
def log(engine: Engine) -> Log:
    return Log(engine)
