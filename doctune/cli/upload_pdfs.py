"""The PDFs of a folder here, uploaded for runs elsewhere with their sidecars, listed before."""

import sys
from pathlib import Path

import typer

from doctune.errors import UsageError

# More than these look like the wrong folder, and are asked about.
EXPECTED_FILES = 200
EXPECTED_BYTES = 1_000_000_000
_MOST_NAMES = 50


def reachable_pdfs(pdfs: str, staging_bucket: str, *, yes: bool = False) -> tuple[str, str]:
    """Returns where steps on other machines find the PDFs, and the digest of what lies there.

    Args:
        pdfs: A gs:// folder, which is left where it is, or one here, whose PDFs are uploaded.
        yes: Whether many files are uploaded without a question.

    Raises:
        CorpusError: There is no such folder, or no PDF in it.
        UsageError: The question was answered with no, or there is nobody to ask.
    """
    from doctune.digests import digest_value
    from doctune.documents import corpus_digest, list_pdfs
    from doctune.documents.sidecars import sidecar_files
    from doctune.vertex import list_folder, upload_folder

    if pdfs.startswith("gs://"):
        return pdfs, digest_value([[item.relative, item.crc32c] for item in list_folder(pdfs)])
    folder = Path(pdfs).expanduser()
    pdfs_here = list_pdfs(folder)
    # Without them, documents that few may see would be everybody's there.
    found = [*pdfs_here, *sidecar_files(folder, pdfs_here)]
    digest = corpus_digest(folder)
    uri = f"{staging_bucket}/pdfs/{digest[:16]}"
    _list(folder, found, uri)
    _ask_where_many(folder, found, yes=yes)
    upload_folder(folder, uri, only=found)
    return uri, digest


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
