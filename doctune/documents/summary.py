"""The summary of a parsed corpus: counts, rejected files, warnings, and the final check."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from doctune.documents import ocr
from doctune.documents.duplicates import near_duplicates
from doctune.documents.options import ParseOptions
from doctune.errors import CorpusError

# How many rejected files an error message lists.
_REASONS_SHOWN = 5


@dataclass(frozen=True)
class Reject:
    """A file that could not be read, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class CorpusSummary:
    """The summary of a parsed corpus.

    Attributes:
        pages: Number of parsed pages.
        digest: Digest of the names and contents of the input files, as of `corpus_digest`.
        warnings: Problems that need attention, one line each.
    """

    files_parsed: int
    files_rejected: int
    pages: int
    rejects: list[Reject]
    digest: str
    warnings: list[str]


def summarize(rows: Sequence[dict[str, Any]], digest: str) -> CorpusSummary:
    """Returns the summary of files from their rows in `documents.parquet`."""
    rejects = [Reject(row["source"], row["error"]) for row in rows if row["status"] == "rejected"]
    warnings = _advised_once([(row["source"], text) for row in rows for text in row["warnings"]])
    warnings += [
        f"{row['source']} is an exact copy of {row['duplicate_of']}: read once."
        for row in rows
        if row["duplicate_of"]
    ]
    warnings += [
        f"{row['source']}: no text was found on its {row['pages']} pages."
        for row in rows
        if row["status"] == "parsed"
        and not (row["chars"] or row["duplicate_of"] or row["warnings"])
    ]
    sketches = {row["source"]: row["sketch"] for row in rows if row["sketch"]}
    warnings += [
        f"{one} and {other} are nearly identical: {share:.0%} of their paragraphs are the same."
        for one, other, share in near_duplicates(sketches)
    ]
    pages = sum(row["pages"] for row in rows)
    return CorpusSummary(len(rows) - len(rejects), len(rejects), pages, rejects, digest, warnings)


def _advised_once(found: Sequence[tuple[str, str]]) -> list[str]:
    """Returns warnings with their file names, after one line of advice on what to install."""
    lines = [f"{source}: {text.removesuffix(ocr.ADVICE).rstrip()}" for source, text in found]
    unread = len({source for source, text in found if text.endswith(ocr.ADVICE)})
    if unread:
        lines.insert(0, f"{unread} files have pages that only OCR can read. {ocr.ADVICE}")
    return lines


def check(rows: Sequence[dict[str, Any]], summary: CorpusSummary, options: ParseOptions) -> None:
    """Raises an error if the corpus is unusable.

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
            f"documents.max_failure_share ({options.max_failure_share:g}) allows. "
            f"{_first_reasons(summary)} Fix or remove these files, or raise "
            "documents.max_failure_share to continue without them."
        )


def _first_reasons(summary: CorpusSummary) -> str:
    shown = summary.rejects[:_REASONS_SHOWN]
    lines = [reject.reason.rstrip(".") for reject in shown]
    more = len(summary.rejects) - len(shown)
    return "; ".join([*lines, *([f"and {more} more"] if more else [])]) + "."
