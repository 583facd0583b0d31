"""Parses folders of PDFs to Parquet, in worker processes."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from doctune.documents import store
from doctune.documents.duplicates import sketch
from doctune.documents.errors import PdfError
from doctune.documents.files import combine_digests, digest_pdfs, gather_pdfs, named_pdfs, readable
from doctune.documents.model import Document
from doctune.documents.options import ParseOptions
from doctune.documents.portfolios import with_attached
from doctune.documents.reading import FileResult, read_files, settings_digest
from doctune.documents.report import write_report
from doctune.documents.sidecars import creation_date, read_labels
from doctune.documents.summary import CorpusSummary, check, summarize


def parse_corpus(
    pdfs: Path | str | Sequence[Path | str],
    out_dir: Path | str,
    options: ParseOptions | None = None,
    *,
    sources: Sequence[str] | None = None,
    report_path: Path | str | None = None,
) -> CorpusSummary:
    """Parses PDFs and writes `blocks.parquet` and `documents.parquet`.

    A file that cannot be read never ends the run: it becomes a row with the reason. An interrupted
    run resumes when it is started again with the same `out_dir`.

    Args:
        pdfs: A folder, or PDFs and folders; file names are then relative to their common folder.
        sources: The files to read, by their names under the folder, as `plan_shards` gives them;
            None for all. Rejected files never make a shard fail; `join_shards` checks their share.
        report_path: Where to write the HTML report; None for no report.

    Raises:
        CorpusError: There is no such folder, it has no PDF, no PDF can be read, a sidecar is wrong,
            or the share of rejected files is above `options.max_failure_share`.
    """
    options = options or ParseOptions()
    out_dir = Path(out_dir)
    start = time.monotonic()
    if sources is not None and isinstance(pdfs, str | Path):
        folder, paths = Path(pdfs), named_pdfs(Path(pdfs), sources)
    else:
        folder, paths = gather_pdfs(pdfs)
    digests = digest_pdfs(folder, paths)
    results = _begin(folder, paths, digests)
    finished = store.FinishedDocuments(out_dir, settings_digest(options))
    with with_attached(results, options, _within) as results:
        _mark_copies(results)
        for result in results:
            if result.doc_id and not result.duplicate_of:
                result.row = finished.read_row(result.doc_id) or {}
                result.error = finished.read_error(result.doc_id)
        read_files(results, partial(_keep, finished), options, finished.parts)
    _copy_outcomes(results)
    rows = [_row(result) for result in results]
    read = [r for r in results if not r.error and not r.duplicate_of]
    store.write_blocks(
        out_dir / store.BLOCKS_FILE, ((finished.path(r.doc_id), r.source) for r in read)
    )
    store.write_documents(out_dir / store.DOCUMENTS_FILE, rows)
    finished.remove()
    labels = {result.source: result.labels.digest for result in results if result.source in digests}
    summary = summarize(rows, combine_digests(digests, labels))
    if report_path is not None:
        seconds = time.monotonic() - start
        write_report(Path(report_path), folder, out_dir, rows, summary, seconds, options)
    if sources is None:
        check(rows, summary, options)
    return summary


def _within(holder: str, name: str) -> str:
    """Returns the name of an attached file: under that of the file that holds it."""
    return f"{holder}/{readable(name)}"


def _begin(folder: Path, paths: list[Path], digests: dict[str, str]) -> list[FileResult]:
    labels = read_labels(folder, paths)
    results = [
        FileResult(path, source, digest, labels=own)
        for path, own, (source, digest) in zip(paths, labels, digests.items(), strict=True)
    ]
    _mark_copies(results)
    return results


def _mark_copies(results: Sequence[FileResult]) -> None:
    """Marks the files whose content an earlier one has, so that it is parsed once."""
    first: dict[str, str] = {}
    for result in results:
        copy = result.doc_id and first.setdefault(result.doc_id, result.source) != result.source
        result.duplicate_of = first[result.doc_id] if copy else None


def _keep(finished: store.FinishedDocuments, result: FileResult, document: Document | None) -> None:
    if document is None:
        # Not stored: the next run may have the password, or the file.
        if result.error and result.error.reason not in ("encrypted", "missing"):
            finished.write_error(result.doc_id, result.error)
        return
    result.row = _document_row(document, result.seconds)
    finished.write({**result.row, "doc_id": result.doc_id, "source": result.source}, document)


def _copy_outcomes(results: list[FileResult]) -> None:
    """Copies the error of a rejected file to its exact copies."""
    errors = {result.source: result.error for result in results}
    for result in results:
        if result.duplicate_of and (error := errors[result.duplicate_of]):
            message = str(error).replace(Path(result.duplicate_of).name, result.path.name)
            result.error = PdfError(error.reason, message)


def _document_row(document: Document, seconds: float) -> dict[str, Any]:
    kinds = Counter(block.kind for block in document.blocks)
    return {
        "pages": len(document.pages),
        "chars": sum(len(block.text) for block in document.blocks),
        "title": document.title,
        "language": document.language,
        "seconds": seconds,
        "warnings": list(document.warnings),
        "kinds": json.dumps(dict(kinds.most_common())),
        "sketch": sketch(document.blocks),
        "text_chars": sum(page.text_chars for page in document.pages),
        "lost_chars": sum(page.lost_chars for page in document.pages),
        "hidden_chars": sum(page.hidden_chars for page in document.pages),
        "date": creation_date(document.metadata),
    }


def _row(result: FileResult) -> dict[str, Any]:
    unread = {
        "pages": 0,
        "chars": 0,
        "title": "",
        "language": "",
        "seconds": result.seconds,
        "warnings": [],
        "kinds": "{}",
        "sketch": [],
        "text_chars": 0,
        "lost_chars": 0,
        "hidden_chars": 0,
        "date": "",
    }
    labels = result.labels
    return {
        **unread,
        **result.row,
        "doc_id": result.doc_id,
        "source": result.source,
        "status": "rejected" if result.error else "parsed",
        "reason": result.error.reason if result.error else None,
        "error": readable(str(result.error)) if result.error else None,
        "duplicate_of": result.duplicate_of,
        "date": labels.date or result.row.get("date", ""),
        "groups": list(labels.groups) if labels.groups is not None else None,
        "labels": labels.digest,
    }
