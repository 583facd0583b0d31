"""Characters that Unicode counts as line breaks, inside of texts that a model learns from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from doctune.training.examples import read_conversations, read_passages
from doctune.training.preferences import read_pairs, read_verdicts

# Whatever `str.splitlines` cuts at, by this Python's own tables.
BREAKERS = [chr(code) for code in range(sys.maxunicode) if len(f"a{chr(code)}b".splitlines()) > 1]


def _write(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


def test_every_breaker_is_known() -> None:
    assert {"\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"} <= set(BREAKERS)


@pytest.mark.parametrize("breaker", BREAKERS, ids=lambda breaker: f"U+{ord(breaker):04X}")
def test_a_breaker_in_any_text_ends_no_row(breaker: str, tmp_path: Path) -> None:
    texts = [breaker, f"a{breaker}b", f"{breaker}{breaker}x", f"end{breaker}"]
    texts = [f"{text}{number}" for number, text in enumerate(texts)]
    messages = [
        [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
        for text in texts
    ]
    rows = [{"messages": turns, "passage": turns[0]["content"]} for turns in messages]
    examples = _write(tmp_path / "train.jsonl", rows)

    assert list(read_conversations(examples)) == messages
    assert list(read_passages(examples)) == [text.strip() for text in texts]

    pairs = _write(
        tmp_path / "pairs.jsonl",
        [{"prompt": text, "chosen": text, "rejected": f"no {text}"} for text in texts],
    )
    assert [pair["chosen"][0]["content"] for pair in read_pairs(pairs)] == texts
    assert len(read_verdicts(pairs)) == 2 * len(texts)


def test_an_error_names_the_line_that_an_editor_shows(tmp_path: Path) -> None:
    row = json.dumps(
        {"messages": [{"role": "assistant", "content": "a\u2028b"}]}, ensure_ascii=False
    )
    path = tmp_path / "train.jsonl"
    path.write_text(f"{row}\n\n{row}\n{{\n", encoding="utf-8")

    with pytest.raises(Exception, match=r"train\.jsonl, line 4: not JSON"):
        list(read_conversations(path))
