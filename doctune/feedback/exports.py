"""Feedback into files: JSONL, Parquet, and what `bq load` takes (JSON Lines with a schema)."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from doctune.database.feedback_rows import FeedbackRow
from doctune.files import atomic_path, write_json

Format = Literal["jsonl", "csv", "parquet", "bigquery"]
_GROUP_ROWS = 10_000
_JSON_COLUMNS = ("value", "messages", "sources")
_MOMENTS = ("created_at", "predicted_at", "reviewed_at")
_REQUIRED = ("id", "prediction_id", "created_at", "key_id", "owner", "kind", "value", "source")
COLUMNS = tuple(field.name for field in fields(FeedbackRow))


def export_feedback(rows: Iterable[FeedbackRow], path: Path, form: Format) -> int:
    """Writes rows to a file, whole or not at all; returns how many.

    `bigquery` writes the table's schema beside it, as `PATH.schema.json`.
    """
    with atomic_path(path) as temporary:
        written = WRITERS[form](rows, temporary)
    if form == "bigquery":
        write_json(path.with_name(f"{path.name}.schema.json"), bigquery_schema())
    return written


def as_json(row: FeedbackRow) -> dict[str, Any]:
    """Returns a row as JSON values, with its question beside what it was read from."""
    # `asdict` copies every message and source, which is most of the time of an export.
    found = {name: getattr(row, name) for name in COLUMNS}
    for name in _MOMENTS:
        found[name] = found[name].isoformat() if found[name] else None
    found["question"] = row.question
    return found


def bigquery_schema() -> list[dict[str, str]]:
    """Returns the schema of the table, as `bq load` and Terraform take it."""

    def kind(name: str) -> str:
        if name in _JSON_COLUMNS:
            return "JSON"
        return "TIMESTAMP" if name in _MOMENTS else "INTEGER" if name == "version" else "STRING"

    return [
        {
            "name": name,
            "type": kind(name),
            "mode": "REQUIRED" if name in _REQUIRED else "NULLABLE",
        }
        for name in (*COLUMNS, "question")
    ]


def _write_jsonl(rows: Iterable[FeedbackRow], path: Path) -> int:
    return _write_lines(map(as_json, rows), path)


def _write_bigquery(rows: Iterable[FeedbackRow], path: Path) -> int:
    # A JSON column of a JSON Lines load takes the value itself; a null stands for a missing one.
    return _write_lines(
        ({n: v for n, v in as_json(row).items() if v is not None} for row in rows), path
    )


def _write_lines(rows: Iterable[dict[str, Any]], path: Path) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            written += 1
    return written


def _write_csv(rows: Iterable[FeedbackRow], path: Path) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "question"])
        writer.writeheader()
        for row in rows:
            writer.writerow(_flat(as_json(row)))
            written += 1
    return written


def _write_parquet(rows: Iterable[FeedbackRow], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def kind(name: str) -> Any:
        if name in _MOMENTS:
            return pa.timestamp("us", tz="UTC")
        return pa.int32() if name == "version" else pa.string()

    schema = pa.schema([(name, kind(name)) for name in (*COLUMNS, "question")])
    written = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        flat = _for_parquet(rows)
        while group := list(islice(flat, _GROUP_ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            written += len(group)
    return written


def _for_parquet(rows: Iterable[FeedbackRow]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield _flat({name: getattr(row, name) for name in COLUMNS}) | {"question": row.question}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return row | {
        name: json.dumps(row[name], ensure_ascii=False)
        for name in _JSON_COLUMNS
        if row[name] is not None
    }


WRITERS: dict[Format, Callable[[Iterable[FeedbackRow], Path], int]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "parquet": _write_parquet,
    "bigquery": _write_bigquery,
}
