"""How fast the review queue, the report and the export are over many predictions.

    python benchmarks/feedback.py [--json] [--predictions 1000000] [--items 50000]
                                  [--databases sqlite postgres] [--check]

Each database is made anew in a temporary folder, Postgres with a server of its own (its Debian
package must be installed). The queue's page is the median of eleven; report and export are timed
once, from the database to the finished file. Filling is not counted. With --check the exit code is
1 where an aim is missed: 0.2 s a page, 10 s the report, 60 s the export.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).parents[1]))

AIMS = {"queue_page": 0.2, "report": 10.0, "export_jsonl": 60.0, "export_parquet": 60.0}
_SQLITE_ID = "'chatcmpl-' || printf('%012x%020x', 1764500000000 + n * 1000, n)"
_POSTGRES_ID = (
    "'chatcmpl-' || lpad(to_hex(1764500000000 + n * 1000), 12, '0') || lpad(to_hex(n), 20, '0')"
)


@dataclass(frozen=True)
class Timing:
    """One operation on one database."""

    database: str
    operation: str
    seconds: float
    cpu_seconds: float  # of this process; the rest of the time others had, or the server
    aim: float
    rows: int

    @property
    def met(self) -> bool:
        """Whether it is as fast as it is to be."""
        return self.seconds <= self.aim


def fill(engine: Engine, predictions: int, items: int) -> None:
    """Writes predictions, feedback on some of them, and the queue of those that are blamed."""
    sqlite = engine.dialect.name == "sqlite"
    name = _SQLITE_ID if sqlite else _POSTGRES_ID
    numbers = (
        f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {predictions})"  # noqa: S608 - a number
        if sqlite
        else f"WITH s AS (SELECT generate_series(1, {predictions}) AS n)"
    )
    moment = (
        "strftime('%Y-%m-%d %H:%M:%S.000000', 1764500000 + n, 'unixepoch')"
        if sqlite
        else "to_timestamp(1764500000 + n)"
    )
    cast = "" if sqlite else "::json"
    every = predictions // items
    question = "'How deep is part ' || (n % 997) || ' of the set?'"
    said = f"(n / {every})"
    kind = f"CASE {said} % 3 WHEN 0 THEN 'correction' ELSE 'rating' END"
    value = (
        f"""CASE WHEN {said} % 3 = 0 THEN '{{"correction": "' || (n % 89) || ' mm"}}' """
        f"""WHEN {said} % 5 < 2 THEN '{{"rating": "down"}}' ELSE '{{"rating": "up"}}' END"""
    )
    insert = f"INSERT INTO {{}} ({{}}) {numbers} SELECT {{}} FROM s"  # noqa: S608 - no input
    blamed = f"n % {every} = 0 AND ({said} % 3 = 0 OR {said} % 5 < 2)"
    statements = [
        insert.format(
            "predictions",
            "created_at, id, key_id, owner, model, model_version, messages, parameters, answer, "
            "prompt_tokens, completion_tokens, total_ms, status, cache, sources",
            f"{moment}, {name}, 'k' || (n % 7), 'ana', 'handbook', (n / 200000) || '', "
            f"""('[{{"role": "user", "content": "' || {question} || '"}}]'){cast}, '{{}}'{cast}, """
            f"""(n % 97) || ' mm', 9, 4, 12.5, 200, 'miss', ('[{{"document": "part-' || (n % 40) """
            f"""|| '.pdf", "page": ' || (n % 30 + 1) || '}}]'){cast}""",
        ),
        insert.format(
            "feedback",
            "id, prediction_id, created_at, key_id, owner, end_user, kind, value, source, version",
            f"'fb_' || n, {name}, {moment}, 'k' || (n % 7), 'ana', 'u' || (n % 5000), {kind}, "
            f"({value}){cast}, 'end_user', 1",
        )
        + f" WHERE n % {every} = 0",
        insert.format(
            "review_items",
            "prediction_id, owner, predicted_at, updated_at, question, cluster, priority, "
            "disagreement, state",
            f"{name}, 'ana', {moment}, {moment}, {question}, 'c' || (n % 997), "
            f"2.0 + (n % 11) * 0.1, {'0' if sqlite else 'false'}, 'open'",
        )
        + f" WHERE {blamed}",
    ]
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
        connection.execute(text("ANALYZE"))


def measure(engine: Engine, name: str, folder: Path) -> Iterator[Timing]:
    """Yields the timing of each operation."""
    from doctune.database.feedback_rows import read_feedback
    from doctune.database.reviews import queue_page
    from doctune.feedback.analysis import analyse
    from doctune.feedback.exports import export_feedback
    from doctune.feedback.report import render_report

    pages = [_timed(lambda: len(queue_page(engine, "ana", "eva", 50))) for _ in range(11)]
    median = sorted(pages)[len(pages) // 2]
    yield _timing(name, "queue_page", *median)

    def report() -> int:
        found = analyse(read_feedback(engine))
        (folder / "report.html").write_text(render_report(found), encoding="utf-8")
        return found.items

    yield _timing(name, "report", *_timed(report))
    yield _timing(
        name,
        "export_jsonl",
        *_timed(lambda: export_feedback(read_feedback(engine), folder / "f.jsonl", "jsonl")),
    )
    yield _timing(
        name,
        "export_parquet",
        *_timed(lambda: export_feedback(read_feedback(engine), folder / "f.parquet", "parquet")),
    )


def _timing(database: str, operation: str, seconds: float, cpu: float, rows: int) -> Timing:
    return Timing(database, operation, round(seconds, 4), round(cpu, 4), AIMS[operation], rows)


def _timed(work: Callable[[], int]) -> tuple[float, float, int]:
    start, cpu = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - start, time.process_time() - cpu, found


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Engine]:
    """Gives an empty database with the schema."""
    from doctune.database.engine import open_database
    from doctune.database.schema import prepare
    from tests.database.servers import postgres

    if kind == "sqlite":
        engine = open_database(f"sqlite:///{folder}/feedback.db")
        prepare(engine)
        yield engine
        engine.dispose()
        return
    with postgres(folder / "pytest-postgres") as url:
        engine = open_database(url)
        prepare(engine)
        yield engine
        engine.dispose()


def main() -> int:
    """Measures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgres"])
    options = parser.parse_args()
    met = True
    for kind in options.databases:
        with tempfile.TemporaryDirectory(prefix="pytest-feedback-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            with opened(kind, folder) as engine:
                fill(engine, options.predictions, options.items)
                for timing in measure(engine, kind, folder):
                    met &= timing.met
                    shown = asdict(timing) | {"met": timing.met}
                    line = f"{kind:9} {timing.operation:15} {timing.seconds:8.3f} s"
                    line += f" (CPU {timing.cpu_seconds:.3f} s)"
                    print(json.dumps(shown) if options.json else f"{line}  (aim {timing.aim:g} s)")
    return 0 if met or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
