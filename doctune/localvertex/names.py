"""Resource names, identifiers and times."""

import hashlib
import json
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from doctune.files import write_json
from doctune.localvertex.api.errors import invalid

_PROJECT = re.compile(r"projects/([^/]+)")
_LOCATION = re.compile(r"projects/[^/]+/locations/[^/]+")


class ProjectNumbers:
    """Maps project ids to numbers, which Vertex AI uses in resource names.

    Any project may be named: scripts bring their own. The configured one has the configured number,
    the others one made from their identifier.
    """

    def __init__(self, project: str, number: str, kept: Path) -> None:
        """
        Args:
            kept: The file that keeps those that have been named, for after a restart.
        """
        self._numbers = {project: number}
        self._kept = kept
        named = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
        self._projects = {**named, number: project}
        self.default = project

    def number(self, project: str) -> str:
        """Returns the number of a project, which may be given by its number."""
        if project.isdecimal():
            return project
        if project not in self._numbers:
            number = str(
                int(hashlib.sha256(project.encode()).hexdigest()[:15], 16) % 10**12 + 10**12
            )
            self._numbers[project] = number
            if self._projects.get(number) != project:
                self._projects[number] = project
                write_json(self._kept, self._projects)
        return self._numbers[project]

    def project(self, number: str) -> str | None:
        """Returns the identifier of a project that has been named before."""
        return self._projects.get(number)

    def canonical(self, name: str) -> str:
        """Returns a resource name with the project's number in place of its identifier."""
        match = _PROJECT.match(name)
        if match is None:
            return name
        return f"projects/{self.number(match[1])}{name[match.end() :]}"


def location_name(name: str) -> str:
    """Returns projects/P/locations/L of any resource name below it."""
    match = _LOCATION.match(name)
    if match is None:
        raise invalid(f"{name!r} is not a resource name: projects/P/locations/L/... is expected.")
    return match[0]


def project(name: str) -> str:
    """Returns the project number of a resource name."""
    match = _PROJECT.match(name)
    if match is None:
        raise invalid(f"{name!r} is not a resource name: projects/P/... is expected.")
    return match[1]


def location(name: str) -> str:
    """Returns the location of a resource name."""
    return location_name(name).rpartition("/")[2]


def identifier(name: str) -> str:
    """Returns the last segment of a resource name."""
    return name.rpartition("/")[2]


def new_id() -> str:
    """Returns a fresh 19-digit identifier."""
    return str(secrets.randbelow(9 * 10**18) + 10**18)


def timestamp(moment: datetime | None = None) -> str:
    """Returns a time (by default now) in the form used in documents."""
    moment = moment or datetime.now(UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
