"""Makes documents of their own of the PDFs that are attached to others, where that is asked for.

Workers read the attachments, since files may be hostile; the parent writes them to a temporary
folder, under names of its own.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from doctune.documents.attachments import Attachment, unpack_attached
from doctune.documents.errors import PdfError
from doctune.documents.files import digest_pdf
from doctune.documents.options import ParseOptions
from doctune.documents.pool import Outcome, Task, WorkerPool
from doctune.documents.reading import FileResult, worker_count

_MAX_DEPTH = 3  # of PDFs within PDFs
_MAX_FILES = 10_000

# Returns the name of an attached file, from that of the file that holds it and its own.
Naming = Callable[[str, str], str]


@contextmanager
def with_attached(
    results: Sequence[FileResult], options: ParseOptions, naming: Naming
) -> Iterator[list[FileResult]]:
    """Yields results with one for each PDF that is attached to their files, sorted by name.

    The attached files exist within the context. Without `options.attachments` there are none.
    """
    if not options.attachments:
        yield list(results)
        return
    with tempfile.TemporaryDirectory(prefix="doctune-attached-") as folder:
        found = list(results)
        level: Sequence[FileResult] = results
        for _ in range(_MAX_DEPTH):
            level = _attached_to(level, found, options, naming, Path(folder))
            if not level:
                break
            found += level
        yield sorted(found, key=lambda result: PurePosixPath(result.source))


def _attached_to(
    level: Sequence[FileResult],
    known: Sequence[FileResult],
    options: ParseOptions,
    naming: Naming,
    folder: Path,
) -> list[FileResult]:
    """Returns a result for each PDF that is attached to the files of a level."""
    holders = [result for result in level if result.doc_id and result.duplicate_of is None]
    attachments: dict[int, list[Attachment]] = {}

    def keep(task: Task, outcome: Outcome) -> list[Task]:
        # A file that cannot be read is rejected later, when its pages are asked for.
        if not isinstance(outcome, PdfError):
            try:
                attachments[task.index] = unpack_attached(outcome["attached"])
            except (KeyError, TypeError, ValueError):
                attachments[task.index] = []
        return []

    tasks = [Task(place, holder.path, attached=True) for place, holder in enumerate(holders)]
    with WorkerPool(worker_count(options), options) as pool:
        pool.run(tasks, keep)
    taken = {result.source for result in known}
    added: list[FileResult] = []
    for place, found in sorted(attachments.items()):
        for name, content in found:
            if len(known) + len(added) >= _MAX_FILES:
                return added
            source = _unused(naming(holders[place].source, name), taken)
            taken.add(source)
            path = folder / f"{len(known) + len(added)}.pdf"
            path.write_bytes(content)
            labels = holders[place].labels
            added.append(FileResult(path, source, digest_pdf(path), labels=labels))
    return added


def _unused(source: str, taken: set[str]) -> str:
    """Returns a name that no other file has, with a number where needed."""
    path, number = PurePosixPath(source), 1
    while source in taken:
        number += 1
        source = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
    return source
