"""Answers by a batch prediction job: its instances before it, its predictions as the model after.

The prompts are those that `FromDocuments` asks a model. They are written first, a line each; the
job answers them; then the same questions are answered once more with the job's predictions in place
of the model. A prompt is known by the digest of its text, so that order and repeats do not matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doctune.batch.rows import read_rows
from doctune.batch.run import Answers
from doctune.batch.ways import AskMany
from doctune.digests import digest_value
from doctune.errors import ModelError, UsageError
from doctune.files import atomic_path, text_lines

KEY_FIELD = "key"
_RESULTS, _ERRORS = "prediction.results-*", "prediction.errors_stats-*"


def write_instances(source: Path, path: Path, answers_by: Callable[[AskMany], Answers]) -> int:
    """Writes what a batch prediction job is asked; returns how many prompts there are.

    Args:
        source: The file of questions.
        path: JSONL of the key and the prompt.
        answers_by: Makes the way of answering, given what asks the model.

    Raises:
        UsageError: The file holds no question, or the way of answering asks no model.
    """
    prompts: dict[str, str] = {}

    def note(asked: list[str]) -> list[str]:
        prompts.update((digest_value(prompt), prompt) for prompt in asked)
        return [""] * len(asked)

    questions = [row.question for row in read_rows(source) if not row.problem]
    if not questions:
        raise UsageError(f"{source} holds no question that can be asked.")
    answers_by(note)(questions)
    if not prompts:
        raise UsageError("quotation asks no model: answer without a batch prediction job.")
    with atomic_path(path) as temporary:
        lines = (
            json.dumps({KEY_FIELD: key, "prompt": prompt}, ensure_ascii=False) + "\n"
            for key, prompt in sorted(prompts.items())
        )
        temporary.write_text("".join(lines), encoding="utf-8")
    return len(prompts)


def predicted(folder: Path) -> AskMany:
    """Returns a way to ask a model that a batch prediction job has asked already.

    Args:
        folder: The job's output directory, or one that holds it.
    """
    texts = {_key(row): str(row["prediction"]["text"]) for row in _rows(folder, _RESULTS)}
    reasons = {_key(row): _reason(row) for row in _rows(folder, _ERRORS)}

    def ask(prompts: list[str]) -> list[str]:
        keys = [digest_value(prompt) for prompt in prompts]
        for key in keys:
            if key not in texts:
                why = reasons.get(key, "it has no line for the question")
                raise ModelError(f"the batch prediction job gave no answer: {why}.")
        return [texts[key] for key in keys]

    return ask


def _rows(folder: Path, pattern: str) -> list[dict[str, Any]]:
    paths = sorted(folder.rglob(pattern))
    return [json.loads(line) for path in paths for _, line in text_lines(path) if line.strip()]


def _key(row: dict[str, Any]) -> str:
    # The key alone where it was named, else the whole instance.
    return str(row.get(KEY_FIELD) or (row.get("instance") or {}).get(KEY_FIELD, ""))


def _reason(row: dict[str, Any]) -> str:
    error = row.get("error")
    text = error.get("message", "") if isinstance(error, dict) else error
    return " ".join(str(text or "it failed").split())[:300].rstrip(".")
