"""Where the services keep what they know: the database of the gateway, opened anywhere."""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict, model_validator

from doctune.database.engine import Engine, open_database
from doctune.errors import ConfigurationError

URL_VARIABLE = "DATABASE_URL"
INSTANCE_VARIABLE = "DATABASE_INSTANCE"
USER_VARIABLE, NAME_VARIABLE = "DATABASE_USER", "DATABASE_NAME"


class DatabasePlace(BaseModel):
    """An instance of Cloud SQL, which the service account signs in to without a password."""

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
    """Returns whether a place, or the environment, names the database of the gateway."""
    return bool(place.instance or any(map(os.environ.get, (URL_VARIABLE, INSTANCE_VARIABLE))))


def open_service_database(place: DatabasePlace | None = None, default_url: str = "") -> Engine:
    """Returns an engine for the database of a place, or else the one that the environment names.

    `DATABASE_INSTANCE` is an instance of Cloud SQL, `DATABASE_URL` any other database.

    Raises:
        ConfigurationError: Nothing names one, a variable is missing, or the URL is wrong.
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
