"""Sidecar files: what is known of a PDF, or of a folder of PDFs, and is not in the PDF itself.

`prices.pdf.doctune.yaml` belongs to `prices.pdf`, `partners.doctune.yaml` to all PDFs under
`partners/`. For each field the nearest file that has it counts.

    groups: [partners, board]   # who may find the document; without it, as `knowledge.groups` says
    date: 2026-03-01            # of the document; without it, the date of creation in the PDF

A sidecar that cannot be understood ends the run: access is never guessed.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from doctune.digests import digest_value
from doctune.errors import CorpusError
from doctune.validation import first_problem

SIDECAR_SUFFIX = ".doctune.yaml"
_MOST_BYTES = 100_000
_PDF_DATE = re.compile(r"(?:D:)?(\d{4})(\d{2})(\d{2})")
_Group = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]


class _Sidecar(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: Annotated[tuple[_Group, ...], Field(min_length=1)] | None = None
    date: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """What sidecars say of a file.

    Attributes:
        groups: The access groups that may find it; None where no sidecar says.
        date: As ISO 8601; "" where no sidecar says.
    """

    groups: tuple[str, ...] | None = None
    date: str = ""

    @property
    def digest(self) -> str:
        """A digest of it; "" where no sidecar says anything."""
        return digest_value([self.groups, self.date]) if self != NO_LABELS else ""


NO_LABELS = Labels()


def read_labels(folder: Path, paths: Sequence[Path]) -> list[Labels]:
    """Returns what the sidecars under a folder say of each file in it.

    Raises:
        CorpusError: A sidecar cannot be read, or holds anything else.
    """
    read: dict[Path, _Sidecar | None] = {}
    found = []
    for path in paths:
        groups: tuple[str, ...] | None = None
        date: datetime.date | None = None
        for place in _places(folder, path):
            if place not in read:
                read[place] = _read(place)
            if (sidecar := read[place]) is not None:
                groups = groups if groups is not None else sidecar.groups
                date = date or sidecar.date
        found.append(Labels(groups, date.isoformat() if date else ""))
    return found


def sidecar_files(folder: Path, paths: Sequence[Path]) -> list[Path]:
    """Returns the sidecars of files under a folder, sorted."""
    places = {place for path in paths for place in _places(folder, path)}
    return sorted(place for place in places if place.is_file())


def labels_digests(labels: Mapping[str, str]) -> dict[str, str]:
    """Returns what the digest of a corpus has of its sidecars.

    Args:
        labels: `Labels.digest` by the name of the file.
    """
    return {f"{name}{SIDECAR_SUFFIX}": digest for name, digest in labels.items() if digest}


def creation_date(metadata: Mapping[str, str]) -> str:
    """Returns the date of creation in a PDF's metadata, as ISO 8601; "" where there is none."""
    if match := _PDF_DATE.match(metadata.get("creationdate", "")):
        try:
            return datetime.date(*map(int, match.groups())).isoformat()
        except ValueError:
            return ""
    return ""


def _places(folder: Path, path: Path) -> list[Path]:
    """Returns where sidecars of a file may be, the nearest first."""
    inside = [parent for parent in path.parents if folder in parent.parents]
    return [one.with_name(f"{one.name}{SIDECAR_SUFFIX}") for one in [path, *inside]]


def _read(path: Path) -> _Sidecar | None:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > _MOST_BYTES:
        raise CorpusError(f"{path} has more than {_MOST_BYTES} bytes: it is no sidecar of a PDF.")
    try:
        return _Sidecar.model_validate(yaml.safe_load(content) or {})
    except yaml.YAMLError as error:
        raise CorpusError(f"{path} is not YAML: correct it, or remove it.") from error
    except ValidationError as error:
        raise CorpusError(
            f"{path}: {first_problem(error, 'content')}. A sidecar has groups (a list of names) "
            "and date (YYYY-MM-DD)."
        ) from error
