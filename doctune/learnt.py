"""What a model has learnt from, kept beside its weights as hashes: enough to know a text again.

Of each training document the runs of five words are hashed, and of the hashes one in four kept, the
same ones everywhere: 5,000 pages are about 2 MB, and no text can be read from them. Which share of
a text's runs a model has learnt then tells an older edition of a document from another document.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doctune.errors import ModelError

LEARNT_FILE = "learnt.parquet"
# From this share of its runs on a text counts as learnt, if perhaps in another edition.
LEAST_SHARE = 0.5

_RUN_WORDS = 5
_ONE_IN = 4
_WORD = re.compile(r"\w+")

Hashes = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Learnt:
    """The hashes of each document's runs, by the document's file name."""

    documents: dict[str, Hashes]

    @property
    def runs(self) -> Hashes:
        """All hashes, sorted, each once."""
        parts = list(self.documents.values())
        return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.uint32)

    def knows(self, runs: Hashes) -> bool:
        """Says whether a text's runs were learnt, for the greater part."""
        if not runs.size:
            return False
        return bool(np.isin(runs, self.runs).mean() >= LEAST_SHARE)


def hashes_of(texts: Iterable[str]) -> Hashes:
    """Returns the hashes that are kept of some texts, sorted, each once."""
    found = set()
    for text in texts:
        words = _WORD.findall(text.lower())
        for start in range(len(words) - _RUN_WORDS + 1):
            run = " ".join(words[start : start + _RUN_WORDS]).encode()
            number = int.from_bytes(hashlib.blake2b(run, digest_size=4).digest(), "big")
            if number % _ONE_IN == 0:
                found.add(number)
    return np.array(sorted(found), dtype=np.uint32)


def write_learnt(train_path: Path, path: Path) -> None:
    """Writes what a training set teaches, one row a document."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts: dict[str, set[str]] = {}
    with train_path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            if line.strip():
                row = json.loads(line)
                texts.setdefault(_document(row), set()).update(_texts(row))
    rows = [{"file": name, "runs": hashes_of(sorted(own))} for name, own in sorted(texts.items())]
    schema = pa.schema([("file", pa.string()), ("runs", pa.list_(pa.uint32()))])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def read_learnt(model_dir: Path) -> Learnt | None:
    """Returns what a model has learnt; None for a model from before this was kept.

    Raises:
        ModelError: The file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = model_dir / LEARNT_FILE
    if not path.is_file():
        return None
    try:
        rows = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ModelError(f"{path} cannot be read ({error}): train the model again.") from error
    return Learnt({row["file"]: np.array(row["runs"], dtype=np.uint32) for row in rows})


def _document(row: dict[str, Any]) -> str:
    source = row.get("source")
    source = source if isinstance(source, dict) else {}
    return str(source.get("file") or source.get("doc_id") or "")


def _texts(row: dict[str, Any]) -> list[str]:
    answer = row["messages"][-1]["content"] if row.get("messages") else ""
    return [str(row.get("passage") or ""), str(answer)]
