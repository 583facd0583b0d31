"""Tokens on disk are those in memory, whatever the blocks, and cost no memory of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from doctune.training import token_cache
from doctune.training.examples import read_conversations, tokenize_conversations
from doctune.training.network import load_tokenizer
from tests.training.conftest import write_rows


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    pairs = [(f"what is {number}", f"it is {number} " * (number % 40 + 1)) for number in range(50)]
    return write_rows(tmp_path / "rows.jsonl", pairs)


@pytest.mark.parametrize("block", [1, 7, 50, 1000])
def test_blocks_change_nothing(
    block: int, rows: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer: Any = load_tokenizer(tiny_model)
    expected = tokenize_conversations(list(read_conversations(rows)), tokenizer, 128)
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / f"cache-{block}"))
    monkeypatch.setattr(token_cache, "_BLOCK", block)

    found = token_cache.tokenized_file(rows, tokenizer, 128)

    assert list(found.examples) == list(expected.examples)
    assert (found.tokens, found.answers_cut, found.dropped) == (
        expected.tokens,
        expected.answers_cut,
        expected.dropped,
    )
    assert found.answers_cut > 0
    assert found.examples[-1] == expected.examples[-1]
    assert found.examples[3:20:4] == expected.examples[3:20:4]
    with pytest.raises(IndexError):
        found.examples[50]


def test_a_cache_that_cannot_be_written_costs_the_reuse_alone(
    rows: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / "file"))

    found = token_cache.tokenized_file(rows, load_tokenizer(tiny_model), 128)

    assert len(found.examples) == 50


def test_memory_does_not_grow_with_the_examples(tiny_model: Path, tmp_path: Path) -> None:
    """Five times the examples: as Python objects they would take some 70 MiB more."""
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from doctune.training import token_cache\n"
        "from doctune.training.network import load_tokenizer\n"
        "tokenizer = load_tokenizer(Path(sys.argv[2]))\n"
        "found = token_cache.tokenized_file(Path(sys.argv[1]), tokenizer, 512)\n"
        "total = sum(len(example.input_ids) for example in found.examples)\n"
        "assert total == found.tokens\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    peaks = []
    for count in (5_000, 25_000):  # both are more than a block
        pairs = [(f"what is {number}", "it is so " * 5 + f"{number}") for number in range(count)]
        file = write_rows(tmp_path / f"{count}.jsonl", pairs)
        done = subprocess.run(
            [sys.executable, "-c", program, str(file), str(tiny_model)],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 30, peaks  # the mapped file, 10 MiB, counts as well
