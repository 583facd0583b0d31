"""Answers a file of questions shard by shard, so that an interrupted run can be resumed.

A shard is a file in the working folder beside the output. It is written when all its rows are
answered or have failed. So a killed run resumes with the next shard, and a complete run asks
nothing again. Failed rows are written to a separate file, with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from doctune.batch.rows import Row, read_rows, write_rows
from doctune.digests import digest_value
from doctune.errors import DoctuneError, UsageError
from doctune.files import exclusively, text_lines, write_json, write_text
from doctune.progress import progress

ANSWER_COLUMNS = ("id", "question", "answer", "sources")
FAILED_COLUMNS = ("id", "row", "question", "error")
_MANIFEST = "batch.json"


@dataclass(frozen=True)
class BatchAnswer:
    """The answer to a question, or why it failed."""

    answer: str
    sources: tuple[dict[str, Any], ...] = ()


class Answers(Protocol):
    """Answers several questions at once."""

    way: str  # how, as text: another way gives other answers

    def __call__(self, questions: Sequence[str]) -> list[BatchAnswer]:
        """Returns an answer for each question.

        Raises:
            DoctuneError: A question cannot be answered.
        """


@dataclass(frozen=True, kw_only=True)
class BatchSummary:
    """The result of a batch run."""

    rows: int
    answered: int
    failed: int
    shards: int
    done_before: int  # shards that an earlier run had done
    answers: str
    failures: str


def answer_batch(
    source: Path,
    out: Path,
    answers: Answers,
    *,
    shard_rows: int = 64,
    retry_failed: bool = False,
) -> BatchSummary:
    """Answers every question of a file into another.

    Args:
        source: JSONL, CSV or Parquet with a column `question` or `prompt`, and perhaps `id`.
        out: The file for the answers; failed rows go to `NAME.failed.jsonl` beside it.
        shard_rows: Rows per shard; a killed run repeats at most one shard.
        retry_failed: Whether to ask the rows again that failed in an earlier run.

    Raises:
        UsageError: The source is not such a file, or the working folder is of another run.
        DoctuneError: No row of a shard could be answered, for example if the endpoint is down.
    """
    if out.resolve() == source.resolve():
        raise UsageError(f"{out} holds the questions: give the answers another --out.")
    rows = read_rows(source)
    work = out.with_name(f"{out.name}.shards")
    work.mkdir(parents=True, exist_ok=True)
    with exclusively(work / "run", f"answering {source}"):
        _check_run(work, rows, answers.way, shard_rows)
        shards = [rows[start : start + shard_rows] for start in range(0, len(rows), shard_rows)]
        done_before = 0
        with progress("Answering", len(rows), "questions") as bar:
            for number, shard in enumerate(shards):
                path = work / f"{number:06d}.jsonl"
                if path.is_file() and not (retry_failed and _has_failed(path)):
                    done_before += 1
                else:
                    known = _known(path) if path.is_file() else {}
                    _write_shard(path, shard, answers, known)
                bar.advance(len(shard))
        return _collect(work, out, rows, len(shards), done_before)


def answer_step(
    source: Path, answers_path: str, failures_path: str, answers: Answers, shard_rows: int
) -> BatchSummary:
    """As `answer_batch`, for a pipeline step: into the paths of its output artifacts.

    Args:
        answers_path: The answers are written to it with `.jsonl` added.
    """
    out = Path(answers_path).with_suffix(".jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    done = answer_batch(source, out, answers, shard_rows=shard_rows)
    failures = Path(failures_path)
    failures.parent.mkdir(parents=True, exist_ok=True)
    failures.write_bytes(Path(done.failures).read_bytes())
    return done


def _check_run(work: Path, rows: Sequence[Row], way: str, shard_rows: int) -> None:
    """Refuses a folder with shards of other questions, which would be mixed with these."""
    asked = [[row.id, row.question, row.problem] for row in rows]
    run = {"questions": digest_value(asked), "way": way, "shard_rows": shard_rows}
    manifest = work / _MANIFEST
    if not manifest.is_file():
        write_json(manifest, run)
        return
    before = json.loads(manifest.read_text(encoding="utf-8"))
    changed = [name for name, value in run.items() if before.get(name) != value]
    if changed:
        raise UsageError(
            f"{work} is of a run with other {', '.join(changed)}: remove it, or give another --out."
        )


def _write_shard(
    path: Path, shard: Sequence[Row], answers: Answers, known: dict[int, dict[str, Any]]
) -> None:
    done = dict(known)
    done |= {row.number: _failed(row, row.problem) for row in shard if row.problem}
    asked = [row for row in shard if row.number not in done]
    results = list(_each(asked, answers))
    done |= {row.number: result for row, result in zip(asked, results, strict=True)}
    lines = (json.dumps(done[row.number], ensure_ascii=False) + "\n" for row in shard)
    write_text(path, "".join(lines))


def _each(rows: Sequence[Row], answers: Answers) -> Iterator[dict[str, Any]]:
    """Yields the result of each row: all at once, or one by one if that fails."""
    if not rows:
        return
    try:
        together = answers([row.question for row in rows])
        yield from (_answered(row, one) for row, one in zip(rows, together, strict=True))
        return
    except DoctuneError as error:
        if len(rows) == 1:
            # One row alone may be at fault; that all are is for the caller to judge.
            yield _failed(rows[0], str(error))
            return
    failures: list[DoctuneError] = []
    results = []
    for row in rows:
        try:
            results.append(_answered(row, answers([row.question])[0]))
        except DoctuneError as error:
            failures.append(error)
            results.append(_failed(row, str(error)))
    if len(failures) == len(rows):
        raise failures[0]
    yield from results


def _answered(row: Row, one: BatchAnswer) -> dict[str, Any]:
    return {
        "row": row.number,
        "id": row.id,
        "question": row.question,
        "answer": one.answer,
        "sources": list(one.sources),
    }


def _failed(row: Row, reason: str) -> dict[str, Any]:
    return {"row": row.number, "id": row.id, "question": row.question, "error": reason}


def _known(path: Path) -> dict[int, dict[str, Any]]:
    """Returns the answered rows of a shard."""
    return {row["row"]: row for row in _shard_rows(path) if "error" not in row}


def _has_failed(path: Path) -> bool:
    return any("error" in row for row in _shard_rows(path))


def _shard_rows(path: Path) -> Iterator[dict[str, Any]]:
    for _, line in text_lines(path):
        yield json.loads(line)


def _collect(
    work: Path, out: Path, rows: Sequence[Row], shards: int, done_before: int
) -> BatchSummary:
    def done(columns: Sequence[str], *, failed: bool) -> Iterator[dict[str, Any]]:
        for number in range(shards):
            for row in _shard_rows(work / f"{number:06d}.jsonl"):
                if ("error" in row) == failed:
                    yield _picked(row, columns)

    failures = out.with_name(f"{out.stem}.failed.jsonl")
    answered = write_rows(out, done(ANSWER_COLUMNS, failed=False), ANSWER_COLUMNS)
    failed = write_rows(failures, done(FAILED_COLUMNS, failed=True), FAILED_COLUMNS)
    return BatchSummary(
        rows=len(rows),
        answered=answered,
        failed=failed,
        shards=shards,
        done_before=done_before,
        answers=str(out),
        failures=str(failures),
    )


def _picked(row: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in columns}
