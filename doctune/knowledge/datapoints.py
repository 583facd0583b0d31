"""The units of an index as Vertex AI Vector Search reads them: a line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from doctune.knowledge.store import VECTORS, map_units, read_passages

_AT_ONCE = 4096  # vectors in memory


def datapoint_lines(index_dir: Path) -> Iterator[str]:
    """Returns a datapoint per unit, in the format of Vector Search's data files, one at a time.

    A datapoint's id is the passage's and the unit's place in it, as `Answerer.source` finds them
    again. Access groups, language and file are its restricts, so that a search can keep to them;
    the passage is its crowding tag, so that a search can return each once.

    Raises:
        StorageError: There is no index.
    """
    passages = read_passages(index_dir)
    ids, groups = passages.column("id").to_pylist(), passages.column("groups").to_pylist()
    languages, sources = (passages.column(name).to_pylist() for name in ("language", "source"))
    owners = map_units(index_dir).column("passage").to_numpy()
    firsts = np.searchsorted(owners, np.arange(len(ids)))
    vectors = np.load(index_dir / VECTORS, mmap_mode="r")
    for start in range(0, len(owners), _AT_ONCE):
        rows = np.asarray(vectors[start : start + _AT_ONCE], dtype=np.float32)
        for number, vector in enumerate(rows, start=start):
            passage = int(owners[number])
            yield json.dumps(
                {
                    "id": f"{ids[passage]}.{number - int(firsts[passage])}",
                    "embedding": [round(value, 6) for value in vector.tolist()],
                    "restricts": [
                        {"namespace": "group", "allow": list(groups[passage])},
                        {"namespace": "language", "allow": [languages[passage] or "en"]},
                        {"namespace": "file", "allow": [sources[passage]]},
                    ],
                    "crowding_tag": ids[passage],
                },
                ensure_ascii=False,
            )
