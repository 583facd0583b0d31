"""Finds the PDFs of a folder and computes their digest. Imports nothing heavy."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from doctune.digests import digest_file, digest_value
from doctune.documents.sidecars import labels_digests, read_labels
from doctune.errors import CorpusError

_MAGIC = b"%PDF-"


def list_pdfs(folder: Path) -> list[Path]:
    """Returns the PDFs under a folder, sorted. They are recognised by extension or first bytes.

    Hidden files and folders are left out.

    Raises:
        CorpusError: There is no such folder, or no PDF in it.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder: give the folder that holds the PDFs.")
    found = sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and (path.suffix.lower() == ".pdf" or _begins_as_pdf(path))
    )
    if not found:
        raise CorpusError(f"{folder} holds no PDF: put at least one .pdf file into it.")
    return found


def gather_pdfs(pdfs: Path | str | Sequence[Path | str]) -> tuple[Path, list[Path]]:
    """Returns the PDFs to read, sorted, and the folder under which their names are.

    Args:
        pdfs: A folder, or any number of PDFs and folders. A named file is returned even if it does
            not exist.

    Raises:
        CorpusError: There is nothing to read.
    """
    if isinstance(pdfs, str | Path):
        return Path(pdfs), list_pdfs(Path(pdfs))
    # Symbolic links are not resolved, so that files keep the names they were given by.
    given = [Path(os.path.abspath(path)) for path in pdfs]  # noqa: PTH100
    found = {pdf for path in given for pdf in (list_pdfs(path) if path.is_dir() else [path])}
    if not found:
        raise CorpusError("There is nothing to read: give PDFs or folders that hold some.")
    return Path(os.path.commonpath([path.parent for path in found])), sorted(found)


def named_pdfs(folder: Path, names: Sequence[str]) -> list[Path]:
    """Returns the files of names that `name_under` gave, sorted.

    The folder is listed only if a name holds escapes, which cannot be decoded.

    Raises:
        CorpusError: A name is outside the folder.
    """
    if any("\\x" in name for name in names):
        chosen = set(names)
        return [path for path in list_pdfs(folder) if name_under(folder, path) in chosen]
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise CorpusError(f"{name} is not a name under {folder}: plan the shards again.")
    return sorted(folder / name for name in names)


def corpus_digest(folder: Path) -> str:
    """Returns the digest of the names, contents and sidecars of the PDFs under a folder.

    Raises:
        CorpusError: There is no such folder, no PDF in it, or a sidecar is wrong.
    """
    paths = list_pdfs(folder)
    names = [name_under(folder, path) for path in paths]
    labels = [one.digest for one in read_labels(folder, paths)]
    digests = digest_pdfs(folder, paths)
    return combine_digests(digests, dict(zip(names, labels, strict=True)))


def digest_pdfs(folder: Path, paths: list[Path]) -> dict[str, str]:
    """Returns the SHA-256 of each file by its name under the folder; "" where it cannot be read."""
    return {name_under(folder, path): digest_pdf(path) for path in paths}


def name_under(folder: Path, path: Path) -> str:
    """Returns a file's name relative to a folder; bytes that are not UTF-8 are escaped."""
    return readable(path.relative_to(folder).as_posix())


def readable(name: str) -> str:
    """Returns a name that can be encoded as UTF-8; other bytes are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def combine_digests(digests: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """Returns one digest over the names and digests of files, and those of their labels."""
    return digest_value({**digests, **labels_digests(labels)})


def digest_pdf(path: Path) -> str:
    """Returns the SHA-256 of a file; "" where it cannot be read."""
    try:
        return digest_file(path)
    except OSError:
        return ""


def _begins_as_pdf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False
