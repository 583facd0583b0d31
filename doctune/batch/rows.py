"""Reads questions from a file and writes answers to one: JSONL, CSV or Parquet."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctune.errors import UsageError
from doctune.files import atomic_path, text_lines

FORMATS = (".jsonl", ".csv", ".parquet")
_QUESTION = ("question", "prompt")
_MOST_LETTERS = 20_000
_GROUP_ROWS = 1_000  # of a Parquet file


@dataclass(frozen=True)
class Row:
    """A row of the file: a question, or why the row is invalid."""

    number: int  # from 1, as the file has them
    id: str  # the row's own, else its number
    question: str
    problem: str = ""


def read_rows(path: Path) -> list[Row]:
    """Returns the rows of a file in order; rows without a question are marked as invalid.

    Raises:
        UsageError: The file is missing, of an unknown format, unreadable or empty.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise UsageError(f"{path} is none of {', '.join(FORMATS)}: give one of these.")
    if not path.is_file():
        raise UsageError(f"{path} is missing: give a file of questions.")
    read = {".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet}[kind]
    try:
        rows = [_row(number, value) for number, value in enumerate(read(path), 1)]
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}.") from error
    if not rows:
        raise UsageError(f"{path} holds no rows.")
    return rows


def write_rows(path: Path, rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> int:
    """Writes rows one by one, atomically; lists are JSON in CSV and Parquet.

    Returns:
        How many rows there were.

    Raises:
        UsageError: The file name has an unknown extension.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise UsageError(f"{path} is none of {', '.join(FORMATS)}: name it so.")
    written = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal written
        for row in rows:
            yield row
            written += 1

    with atomic_path(path) as temporary:
        if kind == ".jsonl":
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in counted())
        elif kind == ".csv":
            _write_csv(temporary, counted(), columns)
        else:
            _write_parquet(temporary, counted(), columns)
    return written


def _row(number: int, value: Any) -> Row:
    if not isinstance(value, dict):
        return Row(number, str(number), "", str(value) or "the row is no object")
    known = value.get("id")
    own = str(number) if known is None or known == "" else str(known)
    question = next((value[name] for name in _QUESTION if value.get(name)), None)
    if not isinstance(question, str) or not question.strip():
        return Row(number, own, "", f"no text in {' or '.join(_QUESTION)}")
    if len(question) > _MOST_LETTERS:
        return Row(number, own, "", f"the question has more than {_MOST_LETTERS} letters")
    try:
        question.encode()
    except UnicodeEncodeError:
        return Row(number, own, "", "the question holds half a surrogate pair, which is no text")
    return Row(number, own, question.strip())


def _json_lines(path: Path) -> Iterator[Any]:
    for _, line in text_lines(path):
        try:
            yield json.loads(line.lstrip("\ufeff"))
        except ValueError as error:
            yield f"the line is not JSON: {error}"


def _csv(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if not set(_QUESTION) & set(table.fieldnames or ()):
            raise ValueError(f"its first line names no column {' or '.join(_QUESTION)}")
        yield from table


def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = [n for n in ("id", *_QUESTION) if n in file.schema_arrow.names]
        if not set(_QUESTION) & set(names):
            raise ValueError(f"it has no column {' or '.join(_QUESTION)}")
        for batch in file.iter_batches(columns=names):
            yield from batch.to_pylist()


def _flat(row: dict[str, Any], columns: Sequence[str]) -> dict[str, str]:
    values = {name: row.get(name, "") for name in columns}
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
    }


def _write_csv(path: Path, rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        # A spreadsheet would run a text that begins like this as a formula.
        for row in rows:
            flat = _flat(row, columns).items()
            writer.writerow({n: f"'{v}" if v[:1] in ("=", "+", "-", "@") else v for n, v in flat})


def _write_parquet(path: Path, rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in columns])
    rows = iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while group := [_flat(row, columns) for row in itertools.islice(rows, _GROUP_ROWS)]:
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
