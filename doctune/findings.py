"""The outcome of a check of this machine or of a project, with how to fix a failure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    name: str
    ok: bool
    found: str
    fix: str = ""
    required: bool = True
