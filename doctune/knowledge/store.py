"""The files of an index, which `build_index` writes and `KnowledgeIndex` maps into memory.

    passages.parquet   one row a passage
    units.arrow        one row a unit, memory-mapped
    units.npy          one vector a unit: its own, its context's and half its passage's, added up
    bm25-units/        BM25 over units with their context
    bm25-passages/     BM25 over passages
    words.parquet      the documents' words, by their stems
    words.npy          one vector a word
    encoder/           the sentence encoder, where it was tuned on these documents
    aliases.json       what the documents call things that users call otherwise
    reviewed.json      answers that reviewers accepted, where there are any (`reviewed.py`)
    reviewed.npy       one vector for each of their questions
    index.json         versions, settings, digests, thresholds
    manifest.json      all of these, written last

Everything is in order of the files' names and of the text, so the same input gives the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from doctune.errors import StorageError
from doctune.knowledge.aliases import Alias
from doctune.knowledge.options import KnowledgeOptions
from doctune.knowledge.passages import Unit
from doctune.publishing import require_whole

VERSION = 3
PASSAGES, UNITS, VECTORS = "passages.parquet", "units.arrow", "units.npy"
BM25_UNITS, BM25_PASSAGES, INDEX = "bm25-units", "bm25-passages", "index.json"
ALIASES, ENCODER = "aliases.json", "encoder"

PASSAGE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("title", pa.string()),
        ("pages", pa.list_(pa.int32())),
        ("boxes", pa.list_(pa.list_(pa.float32()))),
        ("heading", pa.list_(pa.string())),
        ("text", pa.string()),
        ("language", pa.string()),
        ("groups", pa.list_(pa.string())),
        ("digest", pa.string()),
        ("date", pa.string()),
    ]
)
UNIT_SCHEMA = pa.schema(
    [
        ("passage", pa.int32()),
        ("kind", pa.string()),
        ("text", pa.string()),
        ("page", pa.int32()),
        ("box", pa.list_(pa.float32())),
        ("lead", pa.string()),
        ("label", pa.string()),
        ("head", pa.string()),
        ("heads", pa.list_(pa.string())),
        ("values", pa.list_(pa.string())),
        ("scale", pa.string()),
    ]
)


class IndexRecord(BaseModel):
    """`index.json`."""

    model_config = ConfigDict(frozen=True)

    version: int
    options: KnowledgeOptions
    encoder: str  # digest of its weights
    documents: dict[str, str]  # digest of what each file's passages were made from
    passages: int
    units: int
    digest: str  # of everything else
    answering: str = "quote"
    measured: dict[str, float] = {}


def write_tables(folder: Path, passages: list[dict[str, Any]], units: list[dict[str, Any]]) -> None:
    """Writes the two tables."""
    pq.write_table(pa.Table.from_pylist(passages, PASSAGE_SCHEMA), folder / PASSAGES)
    table = pa.Table.from_pylist(units, UNIT_SCHEMA)
    with pa.OSFile(str(folder / UNITS), "wb") as sink, pa.ipc.new_file(sink, UNIT_SCHEMA) as writer:
        writer.write_table(table.combine_chunks())


def unit_row(passage: int, unit: Unit) -> dict[str, Any]:
    """Returns a unit as a row of its table; `passage` is the row of its passage."""
    return {
        "passage": passage,
        "kind": unit.kind,
        "text": unit.text,
        "page": unit.page,
        "box": unit.box,
        "lead": unit.lead,
        "label": unit.label,
        "head": unit.head,
        "heads": [head for head, _ in unit.cells],
        "values": [value for _, value in unit.cells],
        "scale": unit.scale,
    }


def unit_of(row: dict[str, Any]) -> Unit:
    """Returns the unit that `unit_row` wrote as a row."""
    left, top, right, bottom = row["box"]
    return Unit(
        kind=row["kind"],
        text=row["text"],
        page=row["page"],
        box=(left, top, right, bottom),
        lead=row["lead"],
        label=row["label"],
        head=row["head"],
        cells=tuple(zip(row["heads"], row["values"], strict=True)),
        scale=row["scale"],
    )


def read_record(folder: Path) -> IndexRecord:
    """Returns the record of an index.

    Raises:
        StorageError: There is no index, a part of one, or one of another version.
    """
    path = folder / INDEX
    if not path.is_file():
        raise StorageError(f"{folder} holds no knowledge index: run `doctune run`, or build one.")
    try:
        record = IndexRecord.model_validate_json(path.read_bytes())
    except (ValidationError, json.JSONDecodeError) as error:
        raise StorageError(f"{path} is not an index of this version: build it again.") from error
    if record.version != VERSION:
        raise StorageError(
            f"{path} has version {record.version}, not {VERSION}: build the index again."
        )
    require_whole(folder, "build the index again")
    return record


def read_aliases(folder: Path) -> list[Alias]:
    """Returns the aliases."""
    rows = json.loads((folder / ALIASES).read_bytes())
    return [Alias.model_validate(row) for row in rows]


def read_passages(folder: Path) -> pa.Table:
    """Returns the passages."""
    # `read_table` would import pandas, which takes a third of the time to open an index.
    with pq.ParquetFile(folder / PASSAGES, memory_map=True) as file:
        return file.read()


def map_units(folder: Path) -> pa.Table:
    """Returns the units, memory-mapped."""
    return pa.ipc.open_file(pa.memory_map(str(folder / UNITS))).read_all()


def owners_of(units: pa.Table) -> npt.NDArray[np.int32]:
    """Returns the row of each unit's passage, where it is mapped."""
    column = units.column("passage").combine_chunks()
    # `to_numpy` would import pandas, which takes a third of the time to open an index.
    whole = np.frombuffer(column.buffers()[1] or b"", dtype=np.int32)
    return whole[column.offset : column.offset + len(column)]


def units_at(units: pa.Table, rows: npt.NDArray[np.intp]) -> list[Unit]:
    """Returns the units in these rows."""
    whole = np.ascontiguousarray(rows, dtype=np.int64)  # `pa.array` would import pandas
    wanted = pa.Array.from_buffers(pa.int64(), len(whole), [None, pa.py_buffer(whole)])
    return list(map(unit_of, units.take(wanted).to_pylist()))
