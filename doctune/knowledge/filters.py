"""Limits a search to some documents or languages, as the user asks.

A filter only narrows what the access groups allow; it never widens it.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Filter:
    """The documents to search; a field without values does not limit.

    Attributes:
        documents: Patterns of the files' paths: `manual.pdf`, `warranty/*`.
        languages: ISO 639-1 codes.
    """

    documents: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def accepts(self, file: str, language: str) -> bool:
        """Returns whether a passage of this file and language is searched."""
        return (not self.languages or language in self.languages) and (
            not self.documents or any(fnmatch.fnmatch(file, one) for one in self.documents)
        )


EVERYTHING = Filter()
