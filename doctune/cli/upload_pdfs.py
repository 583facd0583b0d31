"""Uploads local files that runs on other machines need: PDFs with sidecar files, and questions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.evaluation.options import EvaluationOptions

# More files than this may be the wrong folder, so the user is asked.
EXPECTED_FILES = 200
EXPECTED_BYTES = 1_000_000_000
_MOST_NAMES = 50


def reachable_pdfs(pdfs: str, staging_bucket: str, *, yes: bool = False) -> tuple[str, str]:
    """Returns where steps on other machines find the PDFs, and the digest of what lies there.

    Args:
        pdfs: A gs:// folder, which is used as it is, or a local one, whose PDFs are uploaded.
        yes: Whether to upload many files without asking.

    Raises:
        CorpusError: There is no such folder, or no PDF in it.
        UsageError: The upload was declined, or there is no terminal to ask on.
    """
    from doctune.digests import digest_value
    from doctune.documents import corpus_digest, list_pdfs
    from doctune.documents.sidecars import sidecar_files
    from doctune.vertex import list_folder, upload_folder

    if pdfs.startswith("gs://"):
        return pdfs, digest_value([[item.relative, item.crc32c] for item in list_folder(pdfs)])
    folder = Path(pdfs).expanduser()
    pdfs_here = list_pdfs(folder)
    # Without them, restricted documents would be visible to everybody.
    found = [*pdfs_here, *sidecar_files(folder, pdfs_here)]
    digest = corpus_digest(folder)
    uri = f"{staging_bucket}/pdfs/{digest[:16]}"
    _list(folder, found, uri)
    _ask_where_many(folder, found, yes=yes)
    upload_folder(folder, uri, only=found)
    return uri, digest


def reachable_questions(options: EvaluationOptions, staging_bucket: str) -> EvaluationOptions:
    """Returns the options with a file of questions that steps on other machines find.

    Without the upload, a run would train for hours before its evaluation failed to find the file;
    without the digest, an evaluation with other questions would be reused.

    Raises:
        UsageError: There is no such file.
        StorageError: A gs:// object cannot be read.
    """
    from doctune.artifacts import local_file
    from doctune.digests import digest_file
    from doctune.vertex import upload_folder

    uri = options.questions
    if not uri:
        return options
    if "://" in uri:
        digest = digest_file(local_file(uri))
    else:
        path = Path(uri).expanduser().absolute()
        if not path.is_file():
            raise UsageError(
                f"evaluation.questions: {path} is not a file: give one, or leave it empty."
            )
        digest = digest_file(path)
        folder = f"{staging_bucket}/questions/{digest[:16]}"
        upload_folder(path.parent, folder, only=[path])
        uri = f"{folder}/{path.name}"
    return options.model_copy(update={"questions": uri, "questions_digest": digest})


def _list(folder: Path, found: list[Path], uri: str) -> None:
    typer.echo(f"PDFs of {folder} that go to {uri}:", err=True)
    for path in found[:_MOST_NAMES]:
        typer.echo(f"  {path.relative_to(folder)}", err=True)
    if len(found) > _MOST_NAMES:
        typer.echo(f"  and {len(found) - _MOST_NAMES} more", err=True)
    others = sum(path.is_file() for path in folder.rglob("*")) - len(found)
    if others:
        typer.echo(f"{others} other files of the folder stay here.", err=True)


def _ask_where_many(folder: Path, found: list[Path], *, yes: bool) -> None:
    size = sum(path.stat().st_size for path in found)
    if yes or (len(found) <= EXPECTED_FILES and size <= EXPECTED_BYTES):
        return
    many = f"{len(found)} PDFs of {size / 1e6:,.0f} MB"
    if not sys.stdin.isatty():
        raise UsageError(f"{folder} holds {many}: if that is the right folder, say --yes.")
    if not typer.confirm(f"Upload {many}?", err=True):
        raise UsageError("nothing was uploaded or submitted.")
