"""A folder of PDFs to Parquet, in worker processes."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from doctune.digests import digest_value
from doctune.documents import ocr, store
from doctune.documents.duplicates import near_duplicates, sketch
from doctune.documents.errors import PdfError
from doctune.documents.files import combine_digests, digest_pdfs, list_pdfs
from doctune.documents.model import Document
from doctune.documents.options import ParseOptions
from doctune.documents.parser import PAGES_PER_PART, FileFacts, PartPage, assemble
from doctune.documents.pool import Outcome, Task, WorkerPool
from doctune.documents.wire import unpack_facts, unpack_page
from doctune.errors import CorpusError
from doctune.progress import Bar, progress

# Raised when the same file gives other blocks than before: what a run before this one has read is
# then read again.
_LAYOUT_VERSION = 2


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
    """A file on its way: its parts as they come, then its row in `documents.parquet`."""

    path: Path
    source: str
    doc_id: str
    duplicate_of: str | None = None
    facts: FileFacts | None = None
    parts: dict[int, list[PartPage]] = field(default_factory=dict)
    error: PdfError | None = None
    seconds: float = 0.0
    row: dict[str, Any] = field(default_factory=dict)

    @property
    def page_count(self) -> int:
        """How many pages the file has; 0 until that is known."""
        return self.facts.page_count if self.facts else 0


def parse_corpus(
    folder: Path,
    out_dir: Path,
    options: ParseOptions | None = None,
    *,
    sources: Sequence[str] | None = None,
    report_path: Path | None = None,
) -> CorpusSummary:
    """Reads every PDF under a folder and writes `blocks.parquet` and `documents.parquet`.

    A file that cannot be read is a row with its reason; it never ends the run. A run that was
    killed goes on where it stopped when it is started again with the same `out_dir`.

    Args:
        sources: The files to read, by their names under the folder, as `plan_shards` gives them;
            None for all. Rejects never make a shard fail: `join_shards` looks at them all.
        report_path: Where to write the HTML report; None for no report.

    Raises:
        CorpusError: There is no such folder, no PDF in it, none that can be read, or more of them
            cannot than `options.max_failure_share`.
    """
    options = options or ParseOptions()
    folder, out_dir = Path(folder), Path(out_dir)
    start = time.monotonic()
    paths = list_pdfs(folder)
    if sources is not None:
        paths = [path for path in paths if path.relative_to(folder).as_posix() in set(sources)]
    digests = digest_pdfs(folder, paths)
    results = _begin(paths, digests)
    finished = store.FinishedDocuments(out_dir, _settings_digest(options))
    for result in results:
        if result.doc_id and (row := finished.read_row(result.doc_id)):
            result.row = row
    read_files(results, partial(_keep, finished), options)
    _copy_outcomes(results)
    rows = [_row(result) for result in results]
    read = [r for r in results if not r.error and not r.duplicate_of]
    store.write_blocks(
        out_dir / store.BLOCKS_FILE, ((finished.path(r.doc_id), r.source) for r in read)
    )
    store.write_documents(out_dir / store.DOCUMENTS_FILE, rows)
    finished.remove()
    summary = summarize(rows, combine_digests(digests))
    if report_path is not None:
        from doctune.documents.report import write_report

        write_report(report_path, folder, out_dir, rows, summary, time.monotonic() - start, options)
    if sources is None:
        check(rows, summary, options)
    return summary


def count_pages(paths: Sequence[Path], options: ParseOptions) -> dict[Path, int]:
    """Returns how many pages each file has, 0 for one that cannot be opened."""
    results = [FileResult(path, path.name, "") for path in paths]
    with WorkerPool(_worker_count(options), options) as pool:
        pool.run([Task(i, path) for i, path in enumerate(paths)], _FactsHandler(results))
    return {result.path: result.page_count for result in results}


def summarize(rows: Sequence[dict[str, Any]], digest: str) -> CorpusSummary:
    """Returns the summary of files from their rows in `documents.parquet`."""
    rejects = [Reject(row["source"], row["error"]) for row in rows if row["status"] == "rejected"]
    warnings = _advised_once([(row["source"], text) for row in rows for text in row["warnings"]])
    warnings += [
        f"{row['source']} is an exact copy of {row['duplicate_of']}: read once."
        for row in rows
        if row["duplicate_of"]
    ]
    sketches = {row["source"]: row["sketch"] for row in rows if row["sketch"]}
    warnings += [
        f"{one} and {other} are nearly identical: {share:.0%} of their paragraphs are the same."
        for one, other, share in near_duplicates(sketches)
    ]
    pages = sum(row["pages"] for row in rows)
    return CorpusSummary(len(rows) - len(rejects), len(rejects), pages, rejects, digest, warnings)


def _advised_once(found: Sequence[tuple[str, str]]) -> list[str]:
    """Returns warnings with their files' names; what to install stands once, before them."""
    lines = [f"{source}: {text.removesuffix(ocr.ADVICE).rstrip()}" for source, text in found]
    unread = len({source for source, text in found if text.endswith(ocr.ADVICE)})
    if unread:
        lines.insert(0, f"{unread} files have pages that only OCR can read. {ocr.ADVICE}")
    return lines


def check(rows: Sequence[dict[str, Any]], summary: CorpusSummary, options: ParseOptions) -> None:
    """Raises what makes a corpus unusable.

    Raises:
        CorpusError: Nothing could be read, or too many files could not.
    """
    files = len(rows)
    if not summary.files_parsed:
        first = summary.rejects[0].reason
        raise CorpusError(f"None of the {files} PDFs can be read. The first: {first}")
    if not any(row["chars"] for row in rows):
        raise CorpusError(
            f"None of the {summary.pages} pages has text: they may be scans, which need OCR "
            "(the option `ocr`)."
        )
    if summary.files_rejected > options.max_failure_share * files:
        raise CorpusError(
            f"{summary.files_rejected} of the {files} PDFs cannot be read, more than "
            f"`max_failure_share` ({options.max_failure_share:g}) allows. The first: "
            f"{summary.rejects[0].reason}"
        )


def _begin(paths: list[Path], digests: dict[str, str]) -> list[FileResult]:
    first: dict[str, str] = {}
    results = []
    for path, (source, digest) in zip(paths, digests.items(), strict=True):
        result = FileResult(path, source, digest)
        if digest and first.setdefault(digest, source) != source:
            result.duplicate_of = first[digest]
        results.append(result)
    return results


def _worker_count(options: ParseOptions) -> int:
    """One a core that this process may use, if the user does not say."""
    affinity = getattr(os, "sched_getaffinity", None)
    return options.workers or (len(affinity(0)) if affinity else os.cpu_count() or 1)


def _settings_digest(options: ParseOptions) -> str:
    """Of the settings that what is read from a file depends on."""
    settings = options.model_dump(exclude={"workers", "max_failure_share", "password"})
    can_ocr = options.ocr == "auto" and ocr.find_program() is not None
    return digest_value({**settings, "can_ocr": can_ocr, "version": _LAYOUT_VERSION})


def _keep(finished: store.FinishedDocuments, result: FileResult, document: Document) -> None:
    result.row = _document_row(document, result.seconds)
    finished.write({**result.row, "doc_id": result.doc_id, "source": result.source}, document)


def read_files(
    results: list[FileResult],
    keep: Callable[[FileResult, Document], None],
    options: ParseOptions,
) -> None:
    """Reads files in worker processes; calls `keep` with each document when it is whole.

    What goes wrong with a file is in its `error` afterwards. Files that have a row already, and
    copies of others, are left out.
    """
    asked = [i for i, r in enumerate(results) if r.duplicate_of is None and not r.row]
    if not asked:
        return
    with WorkerPool(_worker_count(options), options) as pool:
        pool.run([Task(i, results[i].path) for i in asked], _FactsHandler(results))
        readable = [i for i in asked if results[i].facts]
        total = sum(results[i].page_count for i in readable)
        with progress("Parsing PDFs", total, "pages") as bar:
            # The longest first, so that no core is left alone with one at the end.
            readable.sort(key=lambda i: -results[i].page_count)
            tasks = [task for i in readable for task in _parts(i, results[i])]
            pool.run(tasks, _PartsHandler(results, keep, bar))


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
    """Collects the parts of each file and puts it together when it has them all."""

    def __init__(
        self,
        results: list[FileResult],
        keep: Callable[[FileResult, Document], None],
        bar: Bar,
    ) -> None:
        self._results, self._keep, self._bar = results, keep, bar
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
                self._finish(result, result.facts)
        note = f"{self._files_done} of {len(self._results)} files"
        if self._rejects:
            note += f", {self._rejects} rejected"
        self._bar.advance((task.stop or 0) - (task.first or 0), note)
        return []

    def _finish(self, result: FileResult, facts: FileFacts) -> None:
        pages = [page for _, part in sorted(result.parts.items()) for page in part]
        result.parts.clear()
        self._keep(result, assemble(facts, pages))
        self._files_done += 1


def _copy_outcomes(results: list[FileResult]) -> None:
    """A copy of a file that cannot be read cannot be read either."""
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
    }
    return {
        **unread,
        **result.row,
        "doc_id": result.doc_id,
        "source": result.source,
        "status": "rejected" if result.error else "parsed",
        "reason": result.error.reason if result.error else None,
        "error": str(result.error) if result.error else None,
        "duplicate_of": result.duplicate_of,
    }
