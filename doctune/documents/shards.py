"""Splitting a folder of PDFs over machines, and joining what they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from pathlib import Path

from doctune.documents import store
from doctune.documents.corpus import CorpusSummary, check, count_pages, summarize
from doctune.documents.files import combine_digests, list_pdfs
from doctune.documents.options import ParseOptions
from doctune.errors import CorpusError


@dataclass(frozen=True)
class Shard:
    """Files for one machine, by their names under the folder, and how many pages they have."""

    sources: tuple[str, ...]
    pages: int


def plan_shards(folder: Path, count: int, options: ParseOptions | None = None) -> list[Shard]:
    """Splits the PDFs under a folder into shards of about as many pages each.

    The longest file goes first, each to the shard that has fewest pages. A file that cannot be
    opened counts as one page: it goes somewhere, to be rejected there.

    Args:
        count: How many shards at most; there are never more than files.

    Raises:
        CorpusError: There is no such folder, or no PDF in it.
    """
    folder = Path(folder)
    paths = list_pdfs(folder)
    if count < 1:
        raise CorpusError(f"A corpus cannot be split into {count} shards: ask for 1 or more.")
    pages = count_pages(paths, options or ParseOptions())
    loads: list[tuple[int, int]] = [(0, number) for number in range(min(count, len(paths)))]
    heapify(loads)
    members: list[list[Path]] = [[] for _ in loads]
    for path in sorted(paths, key=lambda path: (-pages[path], path)):
        load, number = loads[0]
        heapreplace(loads, (load + max(1, pages[path]), number))
        members[number].append(path)
    return [
        Shard(
            tuple(sorted(path.relative_to(folder).as_posix() for path in shard)),
            sum(pages[path] for path in shard),
        )
        for shard in members
    ]


def join_shards(
    folders: Sequence[Path],
    out_dir: Path,
    options: ParseOptions | None = None,
) -> CorpusSummary:
    """Joins what `parse_corpus` wrote for each shard, as if it had read them all at once.

    Raises:
        CorpusError: None of the files can be read, or too many cannot.
    """
    rows = [row for folder in folders for row in store.read_documents(Path(folder))]
    rows.sort(key=lambda row: row["source"])
    out_dir = Path(out_dir)
    parts = [Path(folder) / store.BLOCKS_FILE for folder in folders]
    store.join_blocks(parts, out_dir / store.BLOCKS_FILE)
    store.write_documents(out_dir / store.DOCUMENTS_FILE, rows)
    summary = summarize(rows, combine_digests({row["source"]: row["doc_id"] for row in rows}))
    check(rows, summary, options or ParseOptions())
    return summary
