"""Feedback in from the files of common tools, and out to those that others read."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from doctune.database.feedback_rows import FeedbackFilter, read_feedback
from doctune.errors import UsageError
from doctune.feedback.exports import Format, export_feedback
from doctune.feedback.imports import Format as InFormat
from doctune.feedback.imports import import_feedback
from tests.database.rows import prediction_id, write_prediction
from tests.feedback.corpus import KEEPING


def said(engine: Engine) -> list[tuple]:
    return [(row.kind, row.value, row.source) for row in read_feedback(engine)]


def write(path: Path, value: object) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def langfuse(prediction: str) -> list[dict]:
    about = {"traceId": prediction, "timestamp": "2026-11-30T10:00:00Z"}
    return [
        {"id": "s1", "name": "user-feedback", "value": 0, "dataType": "NUMERIC", "source": "API"}
        | about,
        {"id": "s2", "name": "faithfulness", "value": 0.25, "source": "EVAL"} | about,
        {"id": "s3", "name": "verdict", "stringValue": "wrong", "dataType": "CATEGORICAL"}
        | {"source": "ANNOTATION"}
        | about,
        {"id": "s4", "name": "correction", "stringValue": "100 mm", "dataType": "CATEGORICAL"}
        | {"source": "ANNOTATION"}
        | about,
    ]


def label_studio(prediction: str) -> list[dict]:
    result = [
        {"type": "choices", "from_name": "verdict", "value": {"choices": ["wrong"]}},
        {"type": "textarea", "from_name": "answer", "value": {"text": ["100 mm"]}},
        {"type": "rating", "from_name": "stars", "value": {"rating": 2}},
    ]
    return [
        {
            "id": 7,
            "data": {"prediction_id": prediction, "text": "?"},
            "annotations": [
                {"id": 1, "completed_by": {"email": "eva@a.org"}, "result": result},
                {"id": 2, "was_cancelled": True, "result": result},
            ],
        }
    ]


def argilla(prediction: str) -> list[dict]:
    return [
        {
            "id": "r1",
            "metadata": {"prediction_id": prediction},
            "responses": {
                "answer": [{"value": "100 mm", "user_id": "u1", "status": "submitted"}],
                "quality": [
                    {"value": 2, "user_id": "u1", "status": "submitted"},
                    {"value": 5, "user_id": "u2", "status": "draft"},
                ],
            },
        }
    ]


def test_langfuses_scores_are_taken(engine: Engine, tmp_path: Path) -> None:
    prediction = write_prediction(engine)
    path = write(tmp_path / "scores.json", {"data": langfuse(prediction)})
    assert import_feedback(engine, path, "langfuse", KEEPING).kept == 4
    assert {(kind, json.dumps(value), source) for kind, value, source in said(engine)} == {
        ("rating", '{"rating": "down"}', "end_user"),
        ("label", '{"label": "faithfulness", "score": 0.25}', "program"),
        ("label", '{"label": "wrong"}', "annotator"),
        ("correction", '{"correction": "100 mm"}', "annotator"),
    }


@pytest.mark.parametrize(
    ("form", "records", "kinds"),
    [
        ("label-studio", label_studio, ["correction", "label", "rating"]),
        ("argilla", argilla, ["correction", "rating"]),
    ],
)
def test_annotators_records_are_taken(
    engine: Engine, tmp_path: Path, form: InFormat, records, kinds: list[str]
) -> None:
    path = write(tmp_path / "records.json", records(write_prediction(engine)))
    summary = import_feedback(engine, path, form, KEEPING)
    assert (summary.kept, summary.refused) == (len(kinds), 0)
    assert sorted(kind for kind, _, source in said(engine) if source == "annotator") == kinds


@pytest.mark.parametrize("form", ["langfuse", "label-studio", "argilla"])
def test_a_file_that_is_read_twice_is_kept_once(
    sqlite: Engine, tmp_path: Path, form: InFormat
) -> None:
    records = {"langfuse": langfuse, "label-studio": label_studio, "argilla": argilla}[form]
    path = write(tmp_path / "records.json", records(write_prediction(sqlite)))
    first = import_feedback(sqlite, path, form, KEEPING)
    rows = len(list(read_feedback(sqlite, FeedbackFilter(all_versions=True))))
    assert import_feedback(sqlite, path, form, KEEPING) == first
    assert len(list(read_feedback(sqlite, FeedbackFilter(all_versions=True)))) == rows == first.kept


def test_csv_is_taken_and_what_is_wrong_is_named_by_its_line(
    sqlite: Engine, tmp_path: Path
) -> None:
    prediction = write_prediction(sqlite)
    other = '{""better"": ""other"", ""other_answer"": ""100 mm""}'
    path = write(
        tmp_path / "feedback.csv",
        "prediction_id,kind,value,user\n"
        f"{prediction},rating,2,u1\n{prediction},rating,down,u2\n{prediction},rating,9,u3\n"
        f'{prediction},preference,"{other}",u1\n{prediction_id()},comment,hm,u1\n',
    )
    summary = import_feedback(sqlite, path, "csv", KEEPING)
    assert (summary.kept, summary.refused) == (3, 2)
    assert "line 4" in summary.problems[0]
    assert "line 6: there is no such prediction" in summary.problems[1]


def test_an_owners_import_cannot_name_anothers_answers(sqlite: Engine, tmp_path: Path) -> None:
    foreign = write_prediction(sqlite, owner="ben")
    line = {"prediction_id": foreign, "kind": "rating", "rating": "up"}
    path = write(tmp_path / "f.jsonl", line)
    assert import_feedback(sqlite, path, "jsonl", KEEPING, owner="ana").refused == 1


@pytest.mark.parametrize("text", ["{", "[1]", "no json"])
def test_a_file_that_is_no_json_is_one_clear_error(
    sqlite: Engine, tmp_path: Path, text: str
) -> None:
    with pytest.raises(UsageError, match=r"f\.jsonl"):
        import_feedback(sqlite, write(tmp_path / "f.jsonl", text), "jsonl", KEEPING)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "bigquery"])
def test_exports_hold_all_rows_with_their_answers(
    engine: Engine, tmp_path: Path, form: Format
) -> None:
    records = argilla(write_prediction(engine, sources=[{"document": "a.pdf", "page": 2}]))
    import_feedback(engine, write(tmp_path / "in.json", records), "argilla", KEEPING)
    path = tmp_path / "out"
    assert export_feedback(read_feedback(engine), path, form) == 2
    rows = _rows(path, form)
    assert {row["question"] for row in rows} == {"How deep is the sill?"}
    assert {row["kind"] for row in rows} == {"rating", "correction"}
    if form == "bigquery":
        schema = json.loads((tmp_path / "out.schema.json").read_text())
        kinds = {column["name"]: column["type"] for column in schema}
        assert all(set(row) <= set(kinds) for row in rows)
        required = {column["name"] for column in schema if column["mode"] == "REQUIRED"}
        assert all(required <= set(row) for row in rows)


def _rows(path: Path, form: str) -> list[dict]:
    if form == "parquet":
        return pq.read_table(path).to_pylist()
    text = path.read_text()
    if form == "csv":
        return list(csv.DictReader(text.splitlines()))
    return [json.loads(line) for line in text.splitlines()]


def test_our_own_export_can_be_read_back(sqlite: Engine, tmp_path: Path) -> None:
    records = argilla(write_prediction(sqlite))
    import_feedback(sqlite, write(tmp_path / "in.json", records), "argilla", KEEPING)
    export_feedback(read_feedback(sqlite), tmp_path / "out.jsonl", "jsonl")
    summary = import_feedback(sqlite, tmp_path / "out.jsonl", "jsonl", KEEPING)
    assert (summary.kept, summary.refused) == (2, 0)
