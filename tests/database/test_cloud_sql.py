"""The database on Cloud SQL: what stands for the connector leads to a local Postgres."""

from datetime import UTC, datetime
from typing import Any

import google.cloud.sql.connector
import pg8000
import pytest
from sqlalchemy import make_url, select
from sqlalchemy.orm import Session

from doctune.chat_schema import ChatRequest
from doctune.database.keys import list_keys
from doctune.database.predictions import delete_predictions, write_predictions
from doctune.database.schema import prepare
from doctune.database.tables import Prediction
from doctune.errors import ConfigurationError
from doctune.gateway.keys import Principal, create_key
from doctune.gateway.options import LogOptions
from doctune.gateway.records import Exchange, Recorder
from doctune.gateway.server import gateway_database
from tests.database.conftest import postgres_url

__all__ = ["postgres_url"]  # a fixture


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> list[dict[str, Any]]:
    """What the connector was asked for."""
    calls: list[dict[str, Any]] = []
    url = make_url(postgres_url)

    class Connector:
        def __init__(self, **options: Any) -> None:
            self._options = options

        def connect(self, instance: str, driver: str, **named: Any) -> Any:
            calls.append({"instance": instance, "driver": driver, **self._options, **named})
            return pg8000.dbapi.connect(
                url.username, host=url.host, port=url.port, database=url.database
            )

    monkeypatch.setattr(google.cloud.sql.connector, "Connector", Connector)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_INSTANCE", "project:region:instance")
    monkeypatch.setenv("DATABASE_USER", "gateway@project.iam")
    monkeypatch.setenv("DATABASE_NAME", "doctune")
    return calls


def test_the_gateway_keeps_its_rows_there_without_a_password(asked: list[dict[str, Any]]) -> None:
    engine = gateway_database()
    prepare(engine)
    create_key(engine, "ana")
    chat = ChatRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "?"}]}
    )
    exchange = Exchange(Principal("1", "ana", "ana", frozenset()), chat)
    write_predictions(engine, [Recorder(LogOptions(), b"key").row(exchange)])
    with Session(engine) as session:
        row = session.scalars(select(Prediction)).one()
        assert (row.id, row.messages) == (exchange.id, exchange.chat.conversation())
    assert [key.name for key in list_keys(engine)] == ["ana"]
    delete_predictions(engine, datetime.now(UTC))
    engine.dispose()
    for call in asked:
        assert call["instance"] == "project:region:instance"
        assert (call["user"], call["db"]) == ("gateway@project.iam", "doctune")
        assert call["enable_iam_auth"] is True
        assert call["ip_type"].value == "PRIVATE"
        assert "password" not in call


def test_an_instance_without_its_user_is_refused(
    asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_USER")
    with pytest.raises(ConfigurationError, match="DATABASE_USER"):
        gateway_database()
