"""A folder of PDFs to Parquet, in worker processes."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doctune.documents.errors import PdfError
from doctune.documents.files import combine_digests, digest_pdfs, list_pdfs
from doctune.documents.model import Document
from doctune.documents.options import ParseOptions
from doctune.documents.parser import PAGES_PER_PART, FileFacts, PartPage, assemble
from doctune.documents.pool import Outcome, Task, WorkerPool
from doctune.documents.wire import unpack_facts, unpack_page
from doctune.errors import CorpusError
from doctune.progress import Bar, progress

ENGINE = "pdfium"


@dataclass(frozen=True)
class Reject:
    """A file that could not be read, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class CorpusSummary:
    """What came of a folder.

    Attributes:
        pages: How many pages were read.
        digest: Of the names and contents of the input files; `corpus_digest` gives the same.
        warnings: What a person should look at, one line each.
    """

    files_parsed: int
    files_rejected: int
    pages: int
    rejects: list[Reject]
    digest: str
    warnings: list[str]


@dataclass
class FileResult:
    """A file on its way: its parts as they come, then its Document or why there is none."""

    path: Path
    source: str
    doc_id: str
    duplicate_of: str | None = None
    facts: FileFacts | None = None
    parts: dict[int, list[PartPage]] = field(default_factory=dict)
    document: Document | None = None
    error: PdfError | None = None
    seconds: float = 0.0

    @property
    def pages(self) -> int:
        """How many pages were read."""
        return len(self.document.pages) if self.document else 0

    @property
    def has_text(self) -> bool:
        return self.document is not None and any(self.document.blocks)

    @property
    def page_count(self) -> int:
        """How many pages the file has; 0 until that is known."""
        return self.facts.page_count if self.facts else 0


def parse_corpus(
    folder: Path,
    out_dir: Path,
    options: ParseOptions | None = None,
    *,
    report_path: Path | None = None,
) -> CorpusSummary:
    """Reads every PDF under a folder and writes `blocks.parquet` and `documents.parquet`.

    A file that cannot be read is a row with its reason; it never ends the run.

    Args:
        report_path: Where to write the HTML report; None for no report.

    Raises:
        CorpusError: There is no such folder, no PDF in it, none that can be read, or more of them
            cannot than `options.max_failure_share`.
    """
    options = options or ParseOptions()
    folder, out_dir = Path(folder), Path(out_dir)
    start = time.monotonic()
    paths = list_pdfs(folder)
    digests = digest_pdfs(folder, paths)
    results = _begin(paths, digests)
    _read(results, options)
    _copy_outcomes(results)
    _write(results, out_dir)
    summary = _summarize(results, combine_digests(digests))
    if report_path is not None:
        from doctune.documents.report import write_report

        write_report(report_path, results, summary, time.monotonic() - start)
    _check(results, summary, folder, options)
    return summary


def _begin(paths: list[Path], digests: dict[str, str]) -> list[FileResult]:
    first: dict[str, str] = {}
    results = []
    for path, (source, digest) in zip(paths, digests.items(), strict=True):
        result = FileResult(path, source, digest)
        if digest and first.setdefault(digest, source) != source:
            result.duplicate_of = first[digest]
        results.append(result)
    return results


def _read(results: list[FileResult], options: ParseOptions) -> None:
    workers = options.workers or os.cpu_count() or 1
    asked = [i for i, result in enumerate(results) if result.duplicate_of is None]
    with WorkerPool(workers, options) as pool:
        pool.run((Task(i, results[i].path) for i in asked), _FactsHandler(results))
        readable = [i for i in asked if results[i].facts]
        total = sum(results[i].page_count for i in readable)
        with progress("Parsing PDFs", total, "pages") as bar:
            # The longest first, so that no core is left alone with one at the end.
            readable.sort(key=lambda i: -results[i].page_count)
            tasks = [task for i in readable for task in _parts(i, results[i])]
            pool.run(tasks, _PartsHandler(results, bar))


def _copy_outcomes(results: list[FileResult]) -> None:
    """A copy of a file that cannot be read cannot be read either."""
    errors = {result.source: result.error for result in results}
    for result in results:
        if result.duplicate_of and (error := errors[result.duplicate_of]):
            message = str(error).replace(Path(result.duplicate_of).name, result.path.name)
            result.error = PdfError(error.reason, message)


def _parts(index: int, result: FileResult) -> list[Task]:
    return [
        Task(index, result.path, first, min(first + PAGES_PER_PART, result.page_count))
        for first in range(0, result.page_count, PAGES_PER_PART)
    ]


class _FactsHandler:
    """Keeps what each file says as a whole."""

    def __init__(self, results: list[FileResult]) -> None:
        self._results = results

    def __call__(self, task: Task, outcome: Outcome) -> list[Task]:
        result = self._results[task.index]
        if isinstance(outcome, PdfError):
            result.error = outcome
        else:
            result.facts = unpack_facts(outcome["facts"])
        return []


class _PartsHandler:
    """Keeps the parts of each file and puts a file together when it has them all."""

    def __init__(self, results: list[FileResult], bar: Bar) -> None:
        self._results, self._bar = results, bar
        self._files_done = 0
        self._rejects = sum(1 for result in results if result.error)

    def __call__(self, task: Task, outcome: Outcome) -> list[Task]:
        result = self._results[task.index]
        if isinstance(outcome, PdfError):
            self._rejects += result.error is None
            result.error = result.error or outcome
            result.parts.clear()
        elif not result.error:
            result.parts[task.first or 0] = [unpack_page(page) for page in outcome["pages"]]
            result.seconds += float(outcome["seconds"])
            if result.facts and sum(map(len, result.parts.values())) == result.page_count:
                pages = [page for _, part in sorted(result.parts.items()) for page in part]
                result.document = assemble(result.facts, pages)
                result.parts.clear()
                self._files_done += 1
        note = f"{self._files_done} files"
        if self._rejects:
            note += f", {self._rejects} rejected"
        self._bar.advance((task.stop or 0) - (task.first or 0), note)
        return []


def _write(results: list[FileResult], out_dir: Path) -> None:
    from doctune.documents import store

    out_dir.mkdir(parents=True, exist_ok=True)
    store.write_blocks(
        out_dir / store.BLOCKS_FILE,
        (
            store.block_rows(result.doc_id, result.source, result.document, ENGINE)
            for result in results
            if result.document
        ),
    )
    store.write_documents(out_dir / store.DOCUMENTS_FILE, [_row(result) for result in results])


def _row(result: FileResult) -> dict[str, Any]:
    document, error = result.document, result.error
    return {
        "doc_id": result.doc_id,
        "source": result.source,
        "status": "rejected" if error else "parsed",
        "reason": error.reason if error else None,
        "error": str(error) if error else None,
        "pages": result.pages,
        "chars": sum(len(block.text) for block in document.blocks) if document else 0,
        "title": document.title if document else "",
        "language": document.language if document else "",
        "duplicate_of": result.duplicate_of,
        "seconds": result.seconds,
        "warnings": list(document.warnings) if document else [],
    }


def _summarize(results: list[FileResult], digest: str) -> CorpusSummary:
    rejects = [Reject(result.source, str(result.error)) for result in results if result.error]
    warnings = [
        f"{result.source}: {warning}"
        for result in results
        if result.document
        for warning in result.document.warnings
    ]
    warnings += [
        f"{result.source} is an exact copy of {result.duplicate_of}: read once."
        for result in results
        if result.duplicate_of
    ]
    return CorpusSummary(
        files_parsed=len(results) - len(rejects),
        files_rejected=len(rejects),
        pages=sum(result.pages for result in results),
        rejects=rejects,
        digest=digest,
        warnings=warnings,
    )


def _check(
    results: list[FileResult], summary: CorpusSummary, folder: Path, options: ParseOptions
) -> None:
    files = summary.files_parsed + summary.files_rejected
    if not summary.files_parsed:
        first = summary.rejects[0].reason
        raise CorpusError(f"None of the {files} PDFs in {folder} can be read. The first: {first}")
    if not any(result.has_text for result in results):
        raise CorpusError(
            f"None of the {summary.pages} pages in {folder} has text: they may be scans, which "
            "need OCR."
        )
    if summary.files_rejected > options.max_failure_share * files:
        raise CorpusError(
            f"{summary.files_rejected} of the {files} PDFs in {folder} cannot be read, more than "
            f"`max_failure_share` ({options.max_failure_share:g}) allows. The first: "
            f"{summary.rejects[0].reason}"
        )
