"""Request-response logging, to local tables instead of BigQuery.

`request_response.db` under the state folder is SQLite. A table is named as the destination says,
`dataset.table`, with BigQuery's columns; the repeated payloads are JSON lists of strings.
"""

import json
import secrets
from pathlib import Path

import sqlalchemy as sa

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import invalid

CONFIG = "predict_request_response_logging_config"
_DEFAULT_TABLE = "request_response_logging"


class RequestLog:
    """The tables of one state folder; opened when the first row is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine: sa.Engine | None = None
        self._tables: dict[str, sa.Table] = {}

    def wants(self, endpoint: Document) -> bool:
        """Whether to log a request: logging is enabled, and the request is sampled."""
        config = endpoint.get(CONFIG, {})
        rate = float(config.get("sampling_rate", 0.0))
        return bool(config.get("enabled")) and secrets.randbelow(1_000_000) < rate * 1_000_000

    def write(
        self, endpoint: Document, deployed_model_id: str, request: list[str], response: list[str]
    ) -> None:
        """Writes a row to the table that the endpoint's configuration names."""
        destination = endpoint[CONFIG]["bigquery_destination"]["output_uri"]
        row = {
            "endpoint": endpoint["name"],
            "deployed_model_id": deployed_model_id,
            "logging_time": names.timestamp(),
            "request_id": names.new_id(),
            "request_payload": json.dumps(request, ensure_ascii=False),
            "response_payload": json.dumps(response, ensure_ascii=False),
        }
        table = self._table(destination.removeprefix("bq://").partition(".")[2])
        if self._engine is not None:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(table).values(row))

    def close(self) -> None:
        """Closes the file."""
        if self._engine is not None:
            self._engine.dispose()

    def _table(self, name: str) -> sa.Table:
        if self._engine is None:
            self._engine = sa.create_engine(f"sqlite:///{self._path}", poolclass=sa.StaticPool)
        if name not in self._tables:
            table = sa.Table(
                name,
                sa.MetaData(),
                sa.Column("endpoint", sa.String),
                sa.Column("deployed_model_id", sa.String),
                sa.Column("logging_time", sa.String),
                sa.Column("request_id", sa.String),
                sa.Column("request_payload", sa.String),
                sa.Column("response_payload", sa.String),
            )
            table.create(self._engine, checkfirst=True)
            self._tables[name] = table
        return self._tables[name]


def complete_destination(endpoint: Document) -> None:
    """Fills in the default table if the configuration names none.

    Raises:
        ApiError: INVALID_ARGUMENT for a bad sampling rate or destination.
    """
    config = endpoint.get(CONFIG)
    if not config or not config.get("enabled"):
        return
    if not 0.0 < float(config.get("sampling_rate", 0.0)) <= 1.0:
        raise invalid(f"{CONFIG}.sampling_rate must be above 0 and at most 1.")
    uri = config.get("bigquery_destination", {}).get("output_uri", "")
    project = endpoint["name"].split("/")[1]
    if uri and not uri.startswith("bq://"):
        raise invalid(f"{CONFIG}.bigquery_destination.output_uri must start with bq://.")
    parts = uri.removeprefix("bq://").split(".") if uri else [project]
    if len(parts) == 1:
        identifier = names.identifier(endpoint["name"]).replace("-", "_")
        shown = "".join(c if c.isalnum() else "_" for c in endpoint.get("display_name", ""))
        parts.append(f"logging_{shown}_{identifier}")
    if len(parts) == 2:
        parts.append(_DEFAULT_TABLE)
    config["bigquery_destination"] = {"output_uri": f"bq://{'.'.join(parts)}"}
