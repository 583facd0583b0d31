"""Splitting a folder of PDFs over machines, and joining what they read."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from heapq import heapify, heapreplace
from pathlib import Path, PurePosixPath

from doctune.documents import store
from doctune.documents.files import combine_digests, digest_pdf, list_pdfs, name_under
from doctune.documents.options import ParseOptions
from doctune.documents.report import write_report
from doctune.documents.summary import CorpusSummary, check, summarize
from doctune.errors import CorpusError
from doctune.files import write_json


@dataclass(frozen=True)
class Shard:
    """Files for one machine, by their names under the folder, and how many bytes they have."""

    sources: tuple[str, ...]
    bytes: int


def plan_shards(folder: Path | str, count: int) -> list[Shard]:
    """Splits the PDFs under a folder into shards of about as many bytes each.

    Planning is done by one machine, so it neither opens nor reads the files: how many bytes each
    has is known from listing them. The largest file goes first, each to the shard that has fewest
    bytes. Copies of a file go where it goes, to be found to be copies there; only files of the same
    size can be copies, and only those are read.

    Args:
        count: How many shards at most; there are never more than different files.

    Raises:
        CorpusError: There is no such folder, or no PDF in it.
    """
    folder = Path(folder)
    paths = list_pdfs(folder)
    if count < 1:
        raise CorpusError(f"A corpus cannot be split into {count} shards: ask for 1 or more.")
    groups = _copies_together(folder, paths)
    loads: list[tuple[int, int]] = [(0, number) for number in range(min(count, len(groups)))]
    heapify(loads)
    members: list[list[str]] = [[] for _ in loads]
    totals = [0] * len(loads)
    for size, sources in sorted(groups, key=lambda group: (-group[0], group[1])):
        load, number = loads[0]
        heapreplace(loads, (load + max(1, size), number))
        members[number] += sources
        totals[number] += size
    return [
        Shard(tuple(sorted(sources)), total) for sources, total in zip(members, totals, strict=True)
    ]


def _copies_together(folder: Path, paths: Sequence[Path]) -> list[tuple[int, list[str]]]:
    """Returns the size of each different file, and the names of all that are the same."""
    of_size: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        of_size[_size(path)].append(path)
    groups = []
    for size, same_size in of_size.items():
        copies: dict[str, list[str]] = defaultdict(list)
        for path in same_size:
            source = name_under(folder, path)
            digest = digest_pdf(path) if len(same_size) > 1 else ""
            copies[digest or source].append(source)
        groups += [(size, sources) for sources in copies.values()]
    return groups


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # it goes somewhere, to be rejected there


def write_plan(folder: Path | str, count: int, path: Path) -> list[str]:
    """Plans shards, writes them as JSON and returns their names, for `read_shard`.

    Raises:
        CorpusError: There is no such folder, or no PDF in it.
    """
    shards = plan_shards(folder, count)
    plan = {f"{number}-of-{len(shards)}": shard for number, shard in enumerate(shards, start=1)}
    write_json(Path(path), {name: asdict(shard) for name, shard in plan.items()})
    return list(plan)


def read_shard(path: Path, name: str) -> list[str]:
    """Returns the files of a shard of a plan, by their names under the folder.

    Raises:
        CorpusError: The plan has no such shard.
    """
    plan = json.loads(Path(path).read_text(encoding="utf-8"))
    if name not in plan:
        raise CorpusError(f"The plan has no shard {name!r}; it has {', '.join(plan)}.")
    return list(plan[name]["sources"])


def join_shards(
    folders: Sequence[Path | str],
    out_dir: Path | str,
    options: ParseOptions | None = None,
    *,
    pdfs: Path | str | None = None,
    report_path: Path | str | None = None,
) -> CorpusSummary:
    """Joins what `parse_corpus` wrote for each shard, as if it had read them all at once.

    Args:
        pdfs: The folder of PDFs; the report shows some of their pages.
        report_path: Where to write the HTML report, which needs `pdfs`; None for no report. Its
            seconds are those of all files together.

    Raises:
        CorpusError: None of the files can be read, or too many cannot.
    """
    options = options or ParseOptions()
    rows = [row for folder in folders for row in store.read_documents(Path(folder))]
    rows.sort(key=lambda row: PurePosixPath(row["source"]))
    out_dir = Path(out_dir)
    parts = [Path(folder) / store.BLOCKS_FILE for folder in folders]
    store.join_blocks(parts, out_dir / store.BLOCKS_FILE)
    store.write_documents(out_dir / store.DOCUMENTS_FILE, rows)
    summary = summarize(rows, combine_digests({row["source"]: row["doc_id"] for row in rows}))
    if pdfs is not None and report_path is not None:
        seconds = sum(row["seconds"] for row in rows)
        write_report(Path(report_path), Path(pdfs), out_dir, rows, summary, seconds, options)
    check(rows, summary, options)
    return summary
