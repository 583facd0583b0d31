"""Feedback from files: JSONL and CSV, Langfuse's scores, records of Label Studio and Argilla.

Each reader turns a file into `Incoming` items. Which prediction a record is about stands in its
`prediction_id`, where the tool keeps such things: a Langfuse trace's id or metadata, the data of a
Label Studio task, an Argilla record's metadata or id. An item's digest is its idempotency key, so
that a file that is read twice is kept once.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from doctune.database.engine import Engine
from doctune.database.feedback import IdempotencyError, NoSuchPredictionError, owner_of
from doctune.database.ids import moment_of
from doctune.digests import digest_value
from doctune.errors import DoctuneError, UsageError
from doctune.feedback.collect import FeedbackAuthor, StorageRules, keep
from doctune.feedback.request import KINDS, FeedbackRequest
from doctune.validation import first_problem

Format = Literal["jsonl", "csv", "langfuse", "label-studio", "argilla"]
_SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Incoming:
    """One piece of feedback from a file, not yet checked."""

    place: str
    fields: dict[str, Any]
    said_at: datetime | None = None


@dataclass
class ImportSummary:
    """What became of a file."""

    kept: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)  # the first ones

    def refuse(self, place: str, why: str) -> None:
        """Counts an item that is not kept."""
        self.refused += 1
        if len(self.problems) < _SHOWN_PROBLEMS:
            self.problems.append(f"{place}: {why}")


def import_feedback(
    engine: Engine, path: Path, form: Format, keeping: StorageRules, owner: str | None = None
) -> ImportSummary:
    """Keeps the feedback in a file; what is wrong is counted, and the rest kept.

    Args:
        owner: Whose predictions may be named; None: anybody's, for the operator.

    Raises:
        UsageError: The file cannot be read as its format.
    """
    summary = ImportSummary()
    for item in READERS[form](path):
        try:
            request = FeedbackRequest.model_validate(_keyed(item.fields))
            of = owner or _owner(engine, request.prediction_id)
            keep(engine, keeping, FeedbackAuthor(f"import:{form}", of), request, item.said_at)
            summary.kept += 1
        except ValidationError as error:
            summary.refuse(item.place, first_problem(error))
        except NoSuchPredictionError:
            summary.refuse(item.place, "there is no such prediction")
        except IdempotencyError:
            summary.refuse(item.place, "its idempotency key was used for something else")
        except UsageError as error:
            summary.refuse(item.place, str(error))
    return summary


def _keyed(fields: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in fields.items() if value is not None}
    return {"idempotency_key": digest_value(given)[:64], **given}


def _owner(engine: Engine, prediction_id: str) -> str:
    moment = moment_of(prediction_id)
    owner = owner_of(engine, prediction_id, moment) if moment is not None else None
    if owner is not None:
        return owner
    raise NoSuchPredictionError


def _jsonl(path: Path) -> Iterator[Incoming]:
    for number, row in enumerate(_records(path), 1):
        place = f"{path.name}, record {number}"
        row = dict(row)
        value, kind = row.pop("value", None), row.get("kind")
        if isinstance(value, dict):  # a line of our own export
            row |= value
        elif value is not None and kind in KINDS:
            row[str(kind)] = value
        said_at = _moment(row.get("created_at"))
        known = {name: row[name] for name in FeedbackRequest.model_fields if name in row}
        yield Incoming(
            place, known | ({"user": row["end_user"]} if row.get("end_user") else {}), said_at
        )


def _csv(path: Path) -> Iterator[Incoming]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = set(reader.fieldnames or ())
        if not {"prediction_id", "kind"} <= names:
            raise UsageError(f"{path}: a header with prediction_id, kind and value is needed.")
        for number, row in enumerate(reader, 2):
            given = {name: text for name, text in row.items() if name and text}
            kind, value = given.get("kind", ""), given.pop("value", None)
            fields: dict[str, Any] = {
                name: text for name, text in given.items() if name in FeedbackRequest.model_fields
            }
            if kind in KINDS and value is not None:
                fields[kind] = value
            if kind == "preference" and isinstance(fields.get(kind), str):
                fields[kind] = _json_or_text(fields[kind])
            rating = fields.get("rating")
            if isinstance(rating, str) and rating.isdigit():
                fields["rating"] = int(rating)
            if "score" in fields:
                fields["score"] = _number(fields["score"])
            yield Incoming(f"{path.name}, line {number}", fields, _moment(given.get("created_at")))


def _langfuse(path: Path) -> Iterator[Incoming]:
    """Scores as Langfuse's API and its exports give them (a list, or `{"data": [...]}`)."""
    for number, score in enumerate(_records(path), 1):
        place = f"{path.name}, score {number}"
        metadata = score.get("metadata") if isinstance(score.get("metadata"), dict) else {}
        prediction = (metadata or {}).get("prediction_id") or score.get("traceId")
        fields: dict[str, Any] = {
            "prediction_id": prediction,
            "reason": score.get("comment"),
            "source": {"ANNOTATION": "annotator", "EVAL": "program"}.get(
                str(score.get("source")), "end_user" if score.get("source") == "API" else "program"
            ),
            "user": score.get("authorUserId"),
            "idempotency_key": f"langfuse-{score['id']}" if score.get("id") else None,
        }
        yield Incoming(
            place,
            fields | _of_score(score),
            _moment(score.get("timestamp") or score.get("createdAt")),
        )


def _of_score(score: Mapping[str, Any]) -> dict[str, Any]:
    name, value = str(score.get("name") or ""), score.get("value")
    kind = score.get("dataType") or ("NUMERIC" if isinstance(value, int | float) else "CATEGORICAL")
    text = score.get("stringValue") or (value if isinstance(value, str) else None)
    if name == "correction" and text:
        return {"kind": "correction", "correction": text}
    if kind == "BOOLEAN":
        return {"kind": "rating", "rating": "up" if value else "down"}
    if kind == "CATEGORICAL" and text:
        if text.lower() in ("up", "down"):
            return {"kind": "rating", "rating": text.lower()}
        return {"kind": "label", "label": text}
    if isinstance(value, int | float) and name.lower() in ("rating", "stars") and 1 <= value <= 5:
        return {"kind": "rating", "rating": round(value)}
    if isinstance(value, int | float) and name.lower() in ("user-feedback", "thumbs", "feedback"):
        return {"kind": "rating", "rating": "up" if value > 0 else "down"}
    return {"kind": "label", "label": name, "score": value}


def _label_studio(path: Path) -> Iterator[Incoming]:
    """Tasks with annotations, as Label Studio exports them (JSON)."""
    for number, task in enumerate(_records(path), 1):
        place = f"{path.name}, task {task.get('id', number)}"
        prediction = (task.get("data") or {}).get("prediction_id")
        for annotation in task.get("annotations") or ():
            if annotation.get("was_cancelled"):
                continue
            who = annotation.get("completed_by")
            who = who.get("email") or who.get("id") if isinstance(who, dict) else who
            for at, result in enumerate(annotation.get("result") or ()):
                about = {
                    "prediction_id": prediction,
                    "source": "annotator",
                    "user": str(who) if who is not None else None,
                    "idempotency_key": f"label-studio-{annotation.get('id')}-{at}",
                }
                said = _of_result(result)
                if said:
                    yield Incoming(place, about | said, _moment(annotation.get("created_at")))


def _of_result(result: Mapping[str, Any]) -> dict[str, Any]:
    value = result.get("value") or {}
    if result.get("type") == "textarea" and value.get("text"):
        text = value["text"]
        text = "\n".join(text) if isinstance(text, list) else str(text)
        kind = "comment" if result.get("from_name") in ("comment", "reason") else "correction"
        return {"kind": kind, kind: text}
    if result.get("type") == "rating":
        return {"kind": "rating", "rating": value.get("rating")}
    if result.get("type") == "choices" and value.get("choices"):
        choice = str(value["choices"][0])
        if choice.lower() in ("up", "down"):
            return {"kind": "rating", "rating": choice.lower()}
        return {"kind": "label", "label": choice}
    return {}


def _argilla(path: Path) -> Iterator[Incoming]:
    """Records with responses, as Argilla's `dataset.records.to_json` writes them."""
    for number, record in enumerate(_records(path), 1):
        place = f"{path.name}, record {record.get('id', number)}"
        metadata = record.get("metadata") or {}
        prediction = metadata.get("prediction_id") or record.get("id")
        for question, responses in (record.get("responses") or {}).items():
            for response in responses:
                if response.get("status", "submitted") != "submitted":
                    continue
                user = response.get("user_id")
                about = {
                    "prediction_id": prediction,
                    "source": "annotator",
                    "user": str(user) if user is not None else None,
                    "idempotency_key": digest_value(
                        ["argilla", record.get("id"), question, user, response.get("value")]
                    ),
                }
                yield Incoming(place, about | _of_response(question, response.get("value")))


def _of_response(question: str, value: Any) -> dict[str, Any]:
    if isinstance(value, list) and value and isinstance(value[0], str):
        value = value[0]
    if isinstance(value, bool) or value is None:
        return {"kind": "comment", "comment": None}
    if isinstance(value, int):
        return {"kind": "rating", "rating": value}
    text = str(value)
    if text.lower() in ("up", "down"):
        return {"kind": "rating", "rating": text.lower()}
    if question in ("comment", "reason"):
        return {"kind": "comment", "comment": text}
    if question in ("label", "labels", "category"):
        return {"kind": "label", "label": text}
    return {"kind": "correction", "correction": text}


READERS: dict[Format, Callable[[Path], Iterable[Incoming]]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "langfuse": _langfuse,
    "label-studio": _label_studio,
    "argilla": _argilla,
}


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the objects of a JSON list, of `{"data": [...]}`, or of JSON Lines."""
    try:
        with path.open(encoding="utf-8") as file:
            start = file.read(1)
            file.seek(0)
            if start == "[":
                rows: Iterable[Any] = json.load(file)
            else:
                first = file.readline()
                file.seek(0)
                rows = _lines(file) if _is_json(first) else [json.load(file)]
            for row in rows:
                if isinstance(row, dict) and isinstance(row.get("data"), list):
                    yield from row["data"]
                elif isinstance(row, dict):
                    yield row
                else:
                    raise UsageError(f"{path}: each record must be an object.")
    except (OSError, ValueError) as error:
        if isinstance(error, DoctuneError):
            raise
        raise UsageError(f"{path} cannot be read as JSON: {error}.") from error


def _lines(file: Iterable[str]) -> Iterator[Any]:
    return (json.loads(line) for line in file if line.strip())


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _json_or_text(text: str) -> Any:
    return json.loads(text) if _is_json(text) else text


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
