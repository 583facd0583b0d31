"""Parses files in worker processes, part by part, and assembles the parts."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doctune.digests import digest_value
from doctune.documents import ocr
from doctune.documents.errors import PdfError
from doctune.documents.model import Document
from doctune.documents.options import ParseOptions
from doctune.documents.parser import PAGES_PER_PART, FileFacts, assemble
from doctune.documents.part_page import PartPage
from doctune.documents.parts import Span, WaitingParts
from doctune.documents.pool import Outcome, Task, WorkerPool
from doctune.documents.sidecars import NO_LABELS, Labels
from doctune.documents.wire import unpack_facts, unpack_part
from doctune.progress import Bar, progress

# Raise it when the same file gives other blocks than before, so that stored results are not reused.
_LAYOUT_VERSION = 8


@dataclass
class FileResult:
    """The state of a file, from which its row in `documents.parquet` is made.

    Attributes:
        doc_id: Digest of its content.
        seconds: Time that workers needed for it.
        row: Its row so far; empty until it is parsed.
        labels: What sidecars say of it; an attached file has those of the file that holds it.
    """

    path: Path
    source: str
    doc_id: str
    duplicate_of: str | None = None
    facts: FileFacts | None = None
    error: PdfError | None = None
    seconds: float = 0.0
    row: dict[str, Any] = field(default_factory=dict)
    labels: Labels = NO_LABELS

    @property
    def page_count(self) -> int:
        """Number of pages of the file; 0 until it is known."""
        return self.facts.page_count if self.facts else 0


# Called with each finished document; None for a rejected file, whose `error` says why.
Keep = Callable[[FileResult, Document | None], None]


def read_files(
    results: Sequence[FileResult], keep: Keep, options: ParseOptions, waiting: WaitingParts
) -> None:
    """Parses files in worker processes; calls `keep` for each when it is finished or rejected.

    Files that already have a row or an error, copies of others, and parts in `waiting` are skipped.
    """
    asked = [
        i for i, r in enumerate(results) if not (r.duplicate_of is not None or r.row or r.error)
    ]
    if not asked:
        return
    with WorkerPool(worker_count(options), options) as pool:
        pool.run([Task(i, results[i].path) for i in asked], _FactsHandler(results, keep))
        readable = [i for i in asked if results[i].facts]
        total = sum(results[i].page_count for i in readable)
        with progress("Parsing PDFs", total, "pages") as bar:
            handler = _PartsHandler(results, keep, bar, waiting, settings_digest(options))
            # Longest first, so that no core works alone on a long file at the end.
            readable.sort(key=lambda i: -results[i].page_count)
            pool.run([task for i in readable for task in handler.begin(i)], handler)


def settings_digest(options: ParseOptions) -> str:
    """Returns the digest of the settings that affect a file's result."""
    settings = options.model_dump(exclude={"workers", "max_failure_share", "password"})
    engine = ocr.identity(options.ocr)
    return digest_value({**settings, "ocr_engine": engine, "version": _LAYOUT_VERSION})


def worker_count(options: ParseOptions) -> int:
    """Returns the configured number of workers, or else one per available core."""
    affinity = getattr(os, "sched_getaffinity", None)
    return options.workers or (len(affinity(0)) if affinity else os.cpu_count() or 1)


class _FactsHandler:
    """Collects the facts of each file."""

    def __init__(self, results: Sequence[FileResult], keep: Keep) -> None:
        self._results, self._keep = results, keep

    def __call__(self, task: Task, outcome: Outcome) -> list[Task]:
        result = self._results[task.index]
        if isinstance(outcome, PdfError):
            result.error = outcome
            self._keep(result, None)
            return []
        try:
            result.facts = unpack_facts(outcome["facts"])
        except (KeyError, TypeError, ValueError) as error:
            message = f"{result.path.name} made its worker send an invalid answer: {error!r}."
            result.error = PdfError("crashed", message)
            self._keep(result, None)
        return []


class _PartsHandler:
    """Collects the parts of each file, and assembles the file when all are there."""

    def __init__(
        self,
        results: Sequence[FileResult],
        keep: Keep,
        bar: Bar,
        waiting: WaitingParts,
        settings: str,
    ) -> None:
        self._results, self._keep, self._bar = results, keep, bar
        self._waiting, self._settings = waiting, settings
        self._missing: dict[int, int] = {}  # parts of each file
        self._files_done = sum(bool(result.row) for result in results)
        self._rejects = sum(1 for result in results if result.error)

    def begin(self, index: int) -> list[Task]:
        """Returns the tasks for the missing parts of a file."""
        result = self._results[index]
        count = result.page_count
        spans = [
            (first, min(first + PAGES_PER_PART, count)) for first in range(0, count, PAGES_PER_PART)
        ]
        # A file with one part is finished with it.
        there = set(self._waiting.spans(self._key(result))) if len(spans) > 1 else set()
        missing = [span for span in spans if span not in there]
        self._missing[index] = len(missing)
        self._bar.advance(sum(stop - first for first, stop in there.intersection(spans)))
        if not missing:
            self._finish(result, self._waiting.take(self._key(result)))
        return [Task(index, result.path, first, stop) for first, stop in missing]

    def __call__(self, task: Task, outcome: Outcome) -> list[Task]:
        result = self._results[task.index]
        span = task.first or 0, task.stop or 0
        if isinstance(outcome, PdfError):
            self._reject(result, outcome)
        elif not result.error:
            self._missing[task.index] -= 1
            self._add(result, span, outcome, whole=not self._missing[task.index])
        note = f"{self._files_done} of {len(self._results)} files"
        if self._rejects:
            note += f", {self._rejects} rejected"
        self._bar.advance(span[1] - span[0], note)
        return []

    def _add(self, result: FileResult, span: Span, answer: dict[str, Any], whole: bool) -> None:
        if span == (0, result.page_count):
            self._finish(result, [answer])
            return
        self._waiting.add(self._key(result), span, answer)
        if whole:
            self._finish(result, self._waiting.take(self._key(result)))

    def _finish(self, result: FileResult, answers: Iterable[dict[str, Any]]) -> None:
        pages: list[PartPage] = []
        try:
            for answer in answers:
                pages += unpack_part(answer)
                result.seconds += float(answer["seconds"])
            numbers = [page.number for page in pages]
            if result.facts is None or numbers != list(range(1, result.page_count + 1)):
                raise ValueError("some of its pages are missing")
            self._keep(result, assemble(result.facts, pages))
            self._files_done += 1
        except OSError:
            raise  # a problem of the disk, not of the file
        except Exception as error:
            # A bug in the parser must cost only the file that triggers it.
            message = f"{result.path.name} triggered a bug in the parser: {error!r}."
            self._reject(result, PdfError("crashed", message))

    def _reject(self, result: FileResult, error: PdfError) -> None:
        if result.error is None:
            self._rejects += 1
            result.error = error
            self._keep(result, None)
        self._waiting.drop(self._key(result))

    def _key(self, result: FileResult) -> str:
        return digest_value([result.doc_id, result.source, self._settings])[:32]
