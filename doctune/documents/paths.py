"""Parses PDFs to one output file each: the work of `doctune parse`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Literal

from doctune.documents.corpus import parse_corpus
from doctune.documents.files import digest_pdf, list_pdfs, readable
from doctune.documents.model import Document
from doctune.documents.options import ParseOptions
from doctune.documents.parts import WaitingParts
from doctune.documents.portfolios import with_attached
from doctune.documents.reading import FileResult, read_files
from doctune.documents.summary import Reject
from doctune.errors import UsageError
from doctune.files import write_text

Format = Literal["markdown", "json", "parquet"]


def parse_paths(
    paths: Sequence[Path],
    out_dir: Path,
    format: Format = "markdown",
    options: ParseOptions | None = None,
) -> list[Reject]:
    """Parses PDFs, and folders of them, into `out_dir`; returns the rejected files.

    Args:
        format: "markdown" and "json" write one file per PDF, with its name; "parquet" writes the
            output of `parse_corpus`, with its report.

    Raises:
        UsageError: There is nothing to read, or two PDFs would get the same output file.
        CorpusError: A folder holds no PDF; for Parquet, also as `parse_corpus`.
    """
    options = options or ParseOptions()
    if format == "parquet":
        pdfs = paths[0] if len(paths) == 1 and paths[0].is_dir() else paths
        return parse_corpus(pdfs, out_dir, options, report_path=out_dir / "report.html").rejects
    render, suffix = (_markdown, ".md") if format == "markdown" else (_json, ".json")
    targets = _targets(paths, suffix)
    files = [FileResult(path, str(target), digest_pdf(path)) for target, path in targets.items()]
    waiting = WaitingParts(out_dir / ".parts")

    def keep(file: FileResult, document: Document | None) -> None:
        if document is not None:
            write_text(out_dir / file.source, render(document))

    with with_attached(files, options, partial(_beside, suffix)) as files:
        read_files(files, keep, options, waiting)
    waiting.remove()
    return [
        Reject(readable(str(file.path)), readable(str(file.error))) for file in files if file.error
    ]


def _beside(suffix: str, holder: str, name: str) -> str:
    """Returns the output path of an attached file: in a folder named after its holder."""
    return str(Path(holder).with_suffix("") / Path(name).with_suffix(suffix))


def _markdown(document: Document) -> str:
    return document.markdown


def _json(document: Document) -> str:
    whole = asdict(document)
    for packed, page in zip(whole["pages"], document.pages, strict=True):
        for block, read in zip(packed["blocks"], page.blocks, strict=True):
            block["language"] = read.language or document.language
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _targets(paths: Sequence[Path], suffix: str) -> dict[Path, Path]:
    """Returns the output path of each PDF, relative to the output folder."""
    targets: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            found = {p.relative_to(path).with_suffix(suffix): p for p in list_pdfs(path)}
        else:
            found = {Path(path.name).with_suffix(suffix): path}
        for target, source in found.items():
            if target in targets:
                raise UsageError(
                    f"{source} and {targets[target]} would both be written to {target}: "
                    "give them in separate runs."
                )
            targets[target] = source
    if not targets:
        raise UsageError("There is nothing to read: give PDFs or folders that hold some.")
    return targets
