"""Hashes of a model's training documents, stored with its weights.

All five-word runs of each training document are hashed, and every fourth hash is kept, by a
consistent rule: 5,000 pages take about 2 MB, and the text cannot be recovered. The share of a
text's runs among them shows whether the model was trained on it, also in an older edition.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doctune.errors import ModelError

TRAINING_HASHES_FILE = "training_hashes.parquet"
# A text with at least this share of its runs counts as learnt, perhaps in another edition.
LEAST_SHARE = 0.5

_RUN_WORDS = 5
_ONE_IN = 4
_WORD = re.compile(r"\w+")

Hashes = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class TrainingHashes:
    """The hashes of the training documents, by file name."""

    documents: dict[str, Hashes]

    @property
    def runs(self) -> Hashes:
        """All distinct hashes, sorted."""
        parts = list(self.documents.values())
        return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.uint32)

    def knows(self, runs: Hashes) -> bool:
        """Returns whether the model was trained on at least LEAST_SHARE of a text's runs."""
        if not runs.size:
            return False
        return bool(np.isin(runs, self.runs).mean() >= LEAST_SHARE)


def hashes_of(texts: Iterable[str]) -> Hashes:
    """Returns the sampled distinct hashes of texts, sorted."""
    found: set[int] = set()
    for text in texts:
        found.update(_numbers(text))
    return np.array(sorted(found), dtype=np.uint32)


def _numbers(text: str) -> Iterator[int]:
    words = _WORD.findall(text.lower())
    for start in range(len(words) - _RUN_WORDS + 1):
        run = " ".join(words[start : start + _RUN_WORDS]).encode()
        number = int.from_bytes(hashlib.blake2b(run, digest_size=4).digest(), "big")
        if number % _ONE_IN == 0:
            yield number


def write_training_hashes(train_path: Path, path: Path) -> None:
    """Writes the hashes of a training set, one row per document."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Of each document what is written; of its texts, which many examples repeat, only hashes.
    numbers: dict[str, set[int]] = {}
    seen: set[int] = set()
    with train_path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            if line.strip():
                row = json.loads(line)
                name = _document(row)
                own = numbers.setdefault(name, set())
                for text in _texts(row):
                    if (known := hash((name, text))) not in seen:
                        seen.add(known)
                        own.update(_numbers(text))
    rows = [{"file": name, "runs": sorted(own)} for name, own in sorted(numbers.items())]
    schema = pa.schema([("file", pa.string()), ("runs", pa.list_(pa.uint32()))])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def read_training_hashes(model_dir: Path) -> TrainingHashes | None:
    """Reads the hashes of a model; None for a model from before they were stored.

    Raises:
        ModelError: The file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = model_dir / TRAINING_HASHES_FILE
    if not path.is_file():
        return None
    try:
        rows = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ModelError(f"{path} cannot be read ({error}): train the model again.") from error
    return TrainingHashes({row["file"]: np.array(row["runs"], dtype=np.uint32) for row in rows})


def _document(row: dict[str, Any]) -> str:
    source = row.get("source")
    source = source if isinstance(source, dict) else {}
    return str(source.get("file") or source.get("doc_id") or "")


def _texts(row: dict[str, Any]) -> list[str]:
    answer = row["messages"][-1]["content"] if row.get("messages") else ""
    return [str(row.get("passage") or ""), str(answer)]
