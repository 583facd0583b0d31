"""Opens the gateway's database from a pipeline step or any other process."""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict, model_validator

from doctune.database.engine import Engine, open_database
from doctune.errors import ConfigurationError

URL_VARIABLE = "DATABASE_URL"
INSTANCE_VARIABLE = "DATABASE_INSTANCE"
USER_VARIABLE, NAME_VARIABLE = "DATABASE_USER", "DATABASE_NAME"


class DatabasePlace(BaseModel):
    """A Cloud SQL instance, to which the service account connects without a password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance: str = ""  # PROJECT:REGION:INSTANCE; empty: what the environment says
    user: str = ""
    name: str = ""

    @model_validator(mode="after")
    def _whole(self) -> DatabasePlace:
        if self.instance and not (self.user and self.name):
            raise ValueError("an instance needs user and name")
        return self


def is_known(place: DatabasePlace) -> bool:
    """Returns whether the gateway's database is given, by argument or environment."""
    return bool(place.instance or any(map(os.environ.get, (URL_VARIABLE, INSTANCE_VARIABLE))))


def open_service_database(place: DatabasePlace | None = None, default_url: str = "") -> Engine:
    """Returns an engine for the given database, or else the one in the environment.

    `DATABASE_INSTANCE` is a Cloud SQL instance, `DATABASE_URL` any other database.

    Raises:
        ConfigurationError: No database is given, a variable is missing, or the URL is wrong.
    """
    place = place if place and place.instance else _from_environment()
    if place.instance:
        from doctune.vertex.cloud_sql import cloud_sql_connections

        connect = cloud_sql_connections(place.instance, place.user, place.name)
        return open_database("postgresql://", connect)
    url = os.environ.get(URL_VARIABLE) or default_url
    if not url:
        raise ConfigurationError(
            f"the database of the gateway is not known: set {URL_VARIABLE}, or release.database in "
            "experiments.yaml."
        )
    return open_database(url)


def _from_environment() -> DatabasePlace:
    instance = os.environ.get(INSTANCE_VARIABLE, "")
    given = {name: os.environ.get(name, "") for name in (USER_VARIABLE, NAME_VARIABLE)}
    for name, value in given.items():
        if instance and not value:
            raise ConfigurationError(f"{INSTANCE_VARIABLE} is set: {name} must be too.")
    return DatabasePlace(
        instance=instance,
        user=given[USER_VARIABLE] if instance else "",
        name=given[NAME_VARIABLE] if instance else "",
    )
