"""The whole stage on four small documents, compared with files that were read and found good.

After a wanted change: `DOCTUNE_UPDATE_GOLDEN=1 pytest tests/dataset/test_golden.py`, then read the
difference before committing it.
"""

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from doctune.dataset import prepare_dataset
from tests.dataset.corpora import BLOCKS

GOLDEN = Path(__file__).with_name("golden")
NAMES = ("train.jsonl", "validation.jsonl", "test.jsonl", "manifest.json", "card.md")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    for name, schema in (("blocks", BLOCKS), ("documents", None)):
        lines = (GOLDEN / "input" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        table = pa.Table.from_pylist(list(map(json.loads, lines)), schema=schema)
        parquet.write_table(table, folder / f"{name}.parquet")
    prepare_dataset(
        folder,
        train_path=folder / "train.jsonl",
        validation_path=folder / "validation.jsonl",
        test_path=folder / "test.jsonl",
        manifest_path=folder / "manifest.json",
        card_path=folder / "card.md",
    )
    if os.environ.get("DOCTUNE_UPDATE_GOLDEN"):
        for name in NAMES:
            shutil.copy(folder / name, GOLDEN / "expected" / name)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_output_is_as_expected(made: Path, name: str) -> None:
    expected = (GOLDEN / "expected" / name).read_text(encoding="utf-8")

    assert (made / name).read_text(encoding="utf-8").splitlines() == expected.splitlines()
