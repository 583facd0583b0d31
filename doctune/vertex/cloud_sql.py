"""Cloud SQL by Google's connector: its own certificates, and IAM instead of a password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DRIVER = "pg8000"  # of those that the connector knows and SQLAlchemy asks without asyncio


def cloud_sql_connections(instance: str, user: str, database: str) -> Callable[[], Any]:
    """Returns what opens a connection; nothing is connected yet.

    Args:
        instance: PROJECT:REGION:INSTANCE.
        user: The database's user for a service account: its e-mail without `.gserviceaccount.com`.
    """
    from google.cloud.sql.connector import Connector, IPTypes

    # Cloud Run gives an idle instance no CPU: certificates are renewed when they are asked for.
    connector = Connector(
        ip_type=IPTypes.PRIVATE, enable_iam_auth=True, refresh_strategy="lazy", timeout=10
    )

    def connect() -> Any:
        return connector.connect(instance, DRIVER, user=user, db=database)

    return connect
