"""Splitting a folder of PDFs over machines, and joining what they read."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from heapq import heapify, heapreplace
from pathlib import Path, PurePosixPath

from doctune.documents import store
from doctune.documents.files import combine_digests, digest_pdfs, list_pdfs
from doctune.documents.options import ParseOptions
from doctune.documents.reading import count_pages
from doctune.documents.report import write_report
from doctune.documents.summary import CorpusSummary, check, summarize
from doctune.errors import CorpusError
from doctune.files import write_json


@dataclass(frozen=True)
class Shard:
    """Files for one machine, by their names under the folder, and how many pages they have."""

    sources: tuple[str, ...]
    pages: int


def plan_shards(folder: Path | str, count: int, options: ParseOptions | None = None) -> list[Shard]:
    """Splits the PDFs under a folder into shards of about as many pages each.

    The longest file goes first, each to the shard that has fewest pages. A file that cannot be
    opened counts as one page: it goes somewhere, to be rejected there. Copies of a file go where it
    goes, to be found to be copies there.

    Args:
        count: How many shards at most; there are never more than different files.

    Raises:
        CorpusError: There is no such folder, or no PDF in it.
    """
    folder = Path(folder)
    paths = list_pdfs(folder)
    if count < 1:
        raise CorpusError(f"A corpus cannot be split into {count} shards: ask for 1 or more.")
    copies: dict[str, list[str]] = defaultdict(list)
    for source, digest in digest_pdfs(folder, paths).items():
        copies[digest or source].append(source)
    firsts = [folder / sources[0] for sources in copies.values()]
    pages = count_pages(firsts, options or ParseOptions())
    groups = [
        (pages[first], sources) for first, sources in zip(firsts, copies.values(), strict=True)
    ]
    loads: list[tuple[int, int]] = [(0, number) for number in range(min(count, len(groups)))]
    heapify(loads)
    members: list[list[str]] = [[] for _ in loads]
    totals = [0] * len(loads)
    for group_pages, sources in sorted(groups, key=lambda group: (-group[0], group[1])):
        load, number = loads[0]
        heapreplace(loads, (load + max(1, group_pages), number))
        members[number] += sources
        totals[number] += group_pages
    return [
        Shard(tuple(sorted(sources)), total) for sources, total in zip(members, totals, strict=True)
    ]


def write_plan(
    folder: Path | str, count: int, path: Path, options: ParseOptions | None = None
) -> list[str]:
    """Plans shards, writes them as JSON and returns their names, for `read_shard`.

    Raises:
        CorpusError: There is no such folder, or no PDF in it.
    """
    shards = plan_shards(folder, count, options)
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
