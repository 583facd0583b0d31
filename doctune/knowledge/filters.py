"""Limits a search to some documents, languages or dates, as the user asks.

A filter only narrows what the access groups allow; it never widens it.
"""

from __future__ import annotations

import datetime
import fnmatch
from dataclasses import dataclass

from doctune.errors import UsageError


@dataclass(frozen=True, slots=True)
class Filter:
    """The documents to search; a field without values does not limit.

    Attributes:
        documents: Patterns of the files' paths: `manual.pdf`, `warranty/*`.
        languages: ISO 639-1 codes.
        since: The first date of a document, as ISO 8601; one without a date is left out.
        until: The last date of a document.

    Raises:
        UsageError: A date is none, or the last is before the first.
    """

    documents: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    since: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        for name, date in (("since", self.since), ("until", self.until)):
            if date and not _is_date(date):
                raise UsageError(f"{name} must be a date like 2026-03-01, not {date!r}.")
        if self.since and self.until and self.since > self.until:
            raise UsageError(f"since ({self.since}) is after until ({self.until}).")

    def accepts(self, file: str, language: str, date: str) -> bool:
        """Returns whether a passage of this file, language and date is searched."""
        return (
            (not self.languages or language in self.languages)
            and (not self.documents or any(fnmatch.fnmatch(file, one) for one in self.documents))
            and (not self.since or self.since <= date)
            and (not self.until or "" < date <= self.until)
        )


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text  # not 20260301 or 2026-W09
    except ValueError:
        return False


EVERYTHING = Filter()
