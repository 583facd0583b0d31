"""A manuscript: one Markdown text with a YAML head that says how its PDF looks."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

_HEAD = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)


@dataclass(frozen=True)
class Look:
    """How the PDF of a manuscript is set. Lengths are in points."""

    paper: Literal["a5", "half-letter", "letter"] = "a5"
    font: Literal["serif", "sans", "vera"] = "serif"
    size: float = 10.5
    columns: Literal[1, 2] = 1
    cover: bool = False
    contents: bool = False
    numbered: bool = False
    justified: bool = False
    compress: bool = False
    password: str | None = None


@dataclass(frozen=True)
class Manuscript:
    """A text, its bibliographic data and its look."""

    name: str
    title: str
    subtitle: str
    number: str
    edition: str
    subject: str
    look: Look
    body: str


def read_manuscript(path: Path) -> Manuscript:
    """Read one manuscript.

    Raises:
        ValueError: The YAML head is missing or holds an unknown key.
        OSError: The file cannot be read.
    """
    match = _HEAD.match(path.read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"{path.name} has no YAML head between two lines of ---")
    head = yaml.safe_load(match[1])
    try:
        look = Look(**head.pop("look", {}))
        return Manuscript(name=path.stem, look=look, body=match[2], **head)
    except TypeError as error:
        raise ValueError(f"{path.name}: {error}") from error
