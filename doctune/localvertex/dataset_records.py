"""Records of managed data sets: reads import files, and writes exports and training data.

An import file is JSON lines or CSV, as Vertex AI's import schemas have it: CSV rows are
`[ML_USE,]ITEM[,LABEL...]`, where ITEM is a gs:// URI or, for texts, the text itself.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid

ML_USE = "aiplatform.googleapis.com/ml_use"
SPLITS = ("training", "validation", "test")
_DEFAULT_FRACTIONS = {"training": 0.8, "validation": 0.1, "test": 0.1}
_ML_USES = {"train": "training", "training": "training", "validation": "validation"} | {
    "validate": "validation",
    "test": "test",
    "unassigned": "",
}
_USE_FILTER = re.compile(rf'labels\.{re.escape(ML_USE)}\s*=\s*"?(\w+)"?')
_SCHEMA = re.compile(r"/([a-z_]+?)_(?:io_format_|export_format_)?\d+\.\d+\.\d+\.yaml$")


@dataclass(frozen=True)
class Record:
    """One item of a data set, with its labels."""

    content: Document
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def ml_use(self) -> str:
        """The split in the import file; empty if it has none."""
        return self.labels.get(ML_USE, "")


def schema_title(uri: str) -> str:
    """Returns a schema's name, such as `text_extraction` of .../text_extraction_1.0.0.yaml.

    Raises:
        ApiError: INVALID_ARGUMENT where it is no schema's URI.
    """
    match = _SCHEMA.search(uri)
    if match is None:
        raise invalid(f"{uri!r} is not the URI of a schema: .../NAME_1.0.0.yaml is expected.")
    return match[1].removesuffix("_single_label").removesuffix("_multi_label")


def read_records(uri: str, content: bytes, schema: str, labels: dict[str, str]) -> list[Record]:
    """Reads an import file.

    Args:
        schema: The import schema's URI, which says of what kind the items are.
        labels: What every item gets that says nothing else.

    Raises:
        ApiError: INVALID_ARGUMENT, naming the file and the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid(f"{uri} is not UTF-8: {error}.") from error
    kind = schema_title(schema).split("_")[0]
    if uri.lower().endswith((".jsonl", ".json")):
        return [_from_json(uri, number, line, labels) for number, line in _lines(text)]
    rows = csv.reader(io.StringIO(text))
    return [_from_row(uri, at, row, kind, labels) for at, row in enumerate(rows, 1) if any(row)]


def _lines(text: str) -> Iterable[tuple[int, str]]:
    # Not `splitlines`, which also splits at characters that JSON strings may contain.
    return ((at, line) for at, line in enumerate(text.split("\n"), 1) if line.strip())


def _from_json(uri: str, number: int, line: str, labels: dict[str, str]) -> Record:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise invalid(f"{uri}, line {number}: not JSON ({error}).") from error
    if not isinstance(content, dict):
        raise invalid(f"{uri}, line {number}: a JSON object is expected.")
    own = content.get("dataItemResourceLabels") or {}
    return Record(content, {**labels, **{key: str(value) for key, value in own.items()}})


def _from_row(uri: str, number: int, row: list[str], kind: str, labels: dict[str, str]) -> Record:
    values = list(row)
    merged = dict(labels)
    first = values[0].strip().lower()
    if first in _ML_USES and len(values) > 1:
        use = _ML_USES[first]
        merged |= {ML_USE: use} if use else {}
        values.pop(0)
    item, *names = (value.strip() for value in values)
    if item.startswith("gs://"):
        content: Document = {f"{kind}GcsUri": item}
    elif kind == "text":
        content = {"textContent": item}
    else:
        raise invalid(f"{uri}, line {number}: {item[:80]!r} is not a gs:// URI.")
    annotations = [{"displayName": name} for name in names if name]
    if len(annotations) == 1:
        content["classificationAnnotation"] = annotations[0]
    elif annotations:
        content["classificationAnnotations"] = annotations
    return Record(content, merged)


def annotations_of(record: Record) -> list[Any]:
    """Returns the annotations of an imported item."""
    found: list[Any] = []
    for key, value in record.content.items():
        if "nnotation" in key:
            found += value if isinstance(value, list) else [value]
    return found


def split_records(records: Sequence[Any], uses: Sequence[str], config: Document) -> dict[str, Any]:
    """Divides records into training, validation and test.

    Args:
        uses: The split that each record names; empty where it names none.
        config: An InputDataConfig, or an ExportDataConfig.

    Raises:
        ApiError: INVALID_ARGUMENT for fractions over 1; UNIMPLEMENTED for other ways to split.
    """
    divided: dict[str, list[Any]] = {name: [] for name in SPLITS}
    if "filter_split" in config:
        wanted = {name: _filtered_use(config["filter_split"], name) for name in SPLITS}
        for name, use in wanted.items():
            divided[name] = [r for r, its in zip(records, uses, strict=True) if use and its == use]
        return divided
    fractions = _fractions(config)
    open_ones = []
    for record, use in zip(records, uses, strict=True):
        if use in divided:
            divided[use].append(record)
        else:
            open_ones.append(record)
    # Interleaved, so that an order in the file does not make the splits differ.
    counts = dict.fromkeys(SPLITS, 0)
    for at, record in enumerate(open_ones, start=1):
        name = max(SPLITS, key=lambda split: fractions[split] * at - counts[split])
        counts[name] += 1
        divided[name].append(record)
    return divided


def _fractions(config: Document) -> dict[str, float]:
    for other in ("timestamp_split", "stratified_split", "predefined_split"):
        if other in config:
            raise ApiError(Status.UNIMPLEMENTED, f"localvertex has no {other}.")
    given = config.get("fraction_split", {})
    fractions = {name: float(given.get(f"{name}_fraction", 0.0)) for name in SPLITS}
    total = sum(fractions.values())
    if total == 0:
        return _DEFAULT_FRACTIONS
    if total > 1.0 + 1e-6:
        raise invalid(f"fraction_split must add up to 1 at most; it is {total:g}.")
    return {**fractions, "training": fractions["training"] + 1.0 - total}


def _filtered_use(given: Document, name: str) -> str:
    text = given.get(f"{name}_filter", "").strip()
    if text in ("", "-"):
        return ""
    match = _USE_FILTER.fullmatch(text)
    if match is None:
        raise ApiError(
            Status.UNIMPLEMENTED,
            f"localvertex knows filters such as labels.{ML_USE}=training only, not {text!r}.",
        )
    return match[1]
