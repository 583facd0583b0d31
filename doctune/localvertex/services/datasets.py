"""DatasetService: managed data sets, their items and annotations, imports and exports.

A tabular data set is the files that its metadata names. Items of others are what import files say
of them: the pictures and texts behind their URIs are not looked at.
"""

import csv
import fnmatch
import json
from collections.abc import Iterable
from typing import Any

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid, not_found
from doctune.localvertex.dataset_records import (
    SPLITS,
    Record,
    annotations_of,
    read_records,
    schema_title,
    split_records,
)
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import resources
from doctune.localvertex.vertex import Vertex

KIND, ITEM, ANNOTATION = "Dataset", "DataItem", "Annotation"
_RECORD = "record_"  # as imported; no message shows it
_SCHEMA_LABEL = f"{resources.SYSTEM_LABELS}dataset_metadata_schema"
_MUTABLE = frozenset({"display_name", "description", "labels"})


@handles("DatasetService.CreateDataset")
def create_dataset(call: Call, request: Document) -> Document:
    """Creates a data set, and its artifact in the metadata store."""
    given = request.get("dataset", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    title = schema_title(given.get("metadata_schema_uri", ""))
    name = f"{request['parent']}/datasets/{names.new_id()}"
    store = f"{request['parent']}/metadataStores/default"
    artifact = resources.stamp(
        {
            "name": f"{store}/artifacts/google-vertex-dataset-{names.identifier(name)}",
            "display_name": given["display_name"],
            "uri": f"https://{names.location(name)}-aiplatform.googleapis.com/v1/{name}",
            "schema_title": "google.VertexDataset",
            "schema_version": "0.0.1",
            "state": "LIVE",
            "metadata": {"resourceName": name},
        },
        call.type("Artifact"),
    )
    call.transaction.put("Artifact", artifact["name"], artifact)
    dataset = resources.stamp(given, call.type(KIND)) | {
        "name": name,
        "metadata_artifact": artifact["name"],
    }
    dataset["labels"] = {**given.get("labels", {}), _SCHEMA_LABEL: title.upper()}
    call.transaction.put(KIND, name, dataset)
    return call.finished(name, dataset)


@handles("DatasetService.GetDataset")
def get_dataset(call: Call, request: Document) -> Document:
    """Returns a data set."""
    return call.transaction.get(KIND, request["name"])


@handles("DatasetService.ListDatasets")
def list_datasets(call: Call, request: Document) -> Document:
    """Lists the data sets of a location."""
    found = call.transaction.list(KIND, parent=request["parent"])
    return resources.list_response(call, request, "datasets", KIND, found)


@handles("DatasetService.UpdateDataset")
def update_dataset(call: Call, request: Document) -> Document:
    """Changes a data set's names and labels."""
    change = request.get("dataset", {})
    updated = resources.update(call, KIND, change, request.get("update_mask", []), _MUTABLE)
    title = schema_title(updated["metadata_schema_uri"])
    updated["labels"] = {**updated.get("labels", {}), _SCHEMA_LABEL: title.upper()}
    call.transaction.put(KIND, updated["name"], updated)
    return updated


@handles("DatasetService.DeleteDataset")
def delete_dataset(call: Call, request: Document) -> Document:
    """Deletes a data set with its items; its files stay where they are."""
    call.transaction.delete(KIND, request["name"])
    call.transaction.delete_below(request["name"])
    return call.finished(names.location_name(request["name"]), {})


@handles("DatasetService.ListDataItems")
def list_data_items(call: Call, request: Document) -> Document:
    """Lists the items of a data set."""
    found = call.transaction.list(ITEM, parent=request["parent"])
    return resources.list_response(call, request, "data_items", ITEM, found)


@handles("DatasetService.ListAnnotations")
def list_annotations(call: Call, request: Document) -> Document:
    """Lists the annotations of an item."""
    found = call.transaction.list(ANNOTATION, parent=request["parent"])
    return resources.list_response(call, request, "annotations", ANNOTATION, found)


@handles("DatasetService.ImportData")
def import_data(call: Call, request: Document) -> Document:
    """Reads import files into the items of a data set; all of them or none."""
    name = call.transaction.get(KIND, request["name"])["name"]
    configs = request.get("import_configs", [])
    if not configs:
        raise invalid("import_configs must not be empty.")
    vertex = call.vertex

    async def run() -> Document:
        records: list[tuple[Record, str]] = []
        for config in configs:
            schema = config.get("import_schema_uri", "")
            labels = config.get("data_item_labels", {})
            for uri in await matching(vertex, config.get("gcs_source", {}).get("uris", [])):
                content = await vertex.objects.read(uri)
                records += [(r, schema) for r in read_records(uri, content, schema, labels)]
        _keep(vertex, name, records)
        return {}

    return call.start(name, run)


def _keep(vertex: Vertex, name: str, records: Iterable[tuple[Record, str]]) -> None:
    moment = names.timestamp()
    times = {"create_time": moment, "update_time": moment}
    with vertex.store.transaction() as transaction:
        dataset = transaction.get(KIND, name)
        kept = transaction.list(ITEM, parent=name)
        known = {json.dumps(item["payload"], sort_keys=True): item for item in kept}
        for record, schema in records:
            annotations = annotations_of(record)
            payload = {k: v for k, v in record.content.items() if "nnotation" not in k}
            payload.pop("dataItemResourceLabels", None)
            key = json.dumps(payload, sort_keys=True)
            item = known.get(key) or {"name": f"{name}/dataItems/{names.new_id()}", **times}
            item |= {"payload": payload, "etag": resources.etag(), _RECORD: record.content}
            item["labels"] = {**item.get("labels", {}), **record.labels}
            known[key] = item
            transaction.put(ITEM, item["name"], item)
            for annotation in annotations:
                made = {
                    "name": f"{item['name']}/annotations/{names.new_id()}",
                    "payload_schema_uri": schema.replace("/ioformat/", "/annotation/"),
                    "payload": annotation,
                    **times,
                }
                transaction.put(ANNOTATION, made["name"], made)
        dataset["data_item_count"] = str(len(known))
        resources.touch(dataset)
        transaction.put(KIND, name, dataset)


@handles("DatasetService.ExportData")
def export_data(call: Call, request: Document) -> Document:
    """Writes the items of a data set, or the rows of a tabular one, under a gs:// prefix."""
    dataset = call.transaction.get(KIND, request["name"])
    config = request.get("export_config", {})
    prefix = config.get("gcs_destination", {}).get("output_uri_prefix", "")
    if not prefix.startswith("gs://"):
        raise invalid("export_config.gcs_destination.output_uri_prefix must be a gs:// URI.")
    stamp = names.timestamp()[:19].translate(str.maketrans("", "", "-:T"))
    folder = f"{prefix.rstrip('/')}/export-data-{dataset['display_name']}-{stamp}"
    vertex = call.vertex

    async def run() -> Document:
        if config.get("export_use") == "CUSTOM_CODE_TRAINING":
            written = await write_splits(vertex, dataset, config, folder)
            return {"exported_files": list(written.uris.values()), "data_stats": written.stats}
        header, rows, _ = await _rows(vertex, dataset)
        title = schema_title(dataset["metadata_schema_uri"])
        uri = f"{folder}/{title}/data-00001-of-00001.{'csv' if header else 'jsonl'}"
        await _write(vertex, uri, header, rows)
        return {"exported_files": [uri]}

    return call.start(dataset["name"], run)


class WrittenSplits:
    """Where the splits of a data set lie, as wildcards, and how many records each has."""

    def __init__(self, folder: str, suffix: str, counts: dict[str, int]) -> None:
        self.format = suffix
        self.uris = {name: f"{folder}/{name}-*.{suffix}" for name in SPLITS}
        self.stats: Document = {
            f"{name}_data_items_count": str(count) for name, count in counts.items()
        }


async def write_splits(
    vertex: Vertex, dataset: Document, config: Document, folder: str
) -> WrittenSplits:
    """Writes a data set divided into training, validation and test.

    Raises:
        ApiError: UNIMPLEMENTED for BigQuery; NOT_FOUND or INVALID_ARGUMENT for its files.
    """
    header, rows, uses = await _rows(vertex, dataset, config.get("predefined_split", {}).get("key"))
    rest = {key: value for key, value in config.items() if key != "predefined_split"}
    divided = split_records(rows, uses, rest)
    suffix = "csv" if header else "jsonl"
    for name, part in divided.items():
        await _write(vertex, f"{folder}/{name}-00001-of-00001.{suffix}", header, part)
    return WrittenSplits(folder, suffix, {name: len(part) for name, part in divided.items()})


async def _rows(
    vertex: Vertex, dataset: Document, key: str | None = None
) -> tuple[str, list[str], list[str]]:
    """Returns the head line (tables have one), the lines, and the split that each line names."""
    source = (dataset.get("metadata") or {}).get("inputConfig", {})
    if "bigquerySource" in source:
        raise ApiError(
            Status.UNIMPLEMENTED,
            f"{source['bigquerySource'].get('uri')}: localvertex has no BigQuery; make the data "
            "set of CSV files in gs:// instead.",
        )
    if "gcsSource" not in source:
        with vertex.store.transaction() as transaction:
            items = list(reversed(transaction.list(ITEM, parent=dataset["name"])))
        records = [Record(item[_RECORD], item.get("labels", {})) for item in items]
        lines = [json.dumps(record.content, ensure_ascii=False) for record in records]
        return "", lines, [record.ml_use for record in records]
    header, lines = "", []
    for uri in await matching(vertex, source["gcsSource"].get("uri", [])):
        text = (await vertex.objects.read(uri)).decode("utf-8-sig")
        header, *rest = text.rstrip("\n").split("\n") if text.strip() else [header]
        lines += rest
    if not header:
        raise invalid(f"{dataset['name']} has no rows: its files are empty.")
    return header, lines, _named_splits(header, lines, key)


def _named_splits(header: str, lines: list[str], key: str | None) -> list[str]:
    if key is None:
        return [""] * len(lines)
    columns = next(csv.reader([header]))
    if key not in columns:
        raise invalid(f"predefined_split.key {key!r} is none of the columns {columns}.")
    at = columns.index(key)
    return [row[at].strip().lower() if len(row) > at else "" for row in csv.reader(lines)]


async def _write(vertex: Vertex, uri: str, header: str, lines: list[Any]) -> None:
    text = "".join(f"{line}\n" for line in ([header] if header else []) + list(lines))
    await vertex.objects.write(uri, text.encode())


async def matching(vertex: Vertex, patterns: Iterable[str]) -> list[str]:
    """Returns the objects that patterns name, each of which must name one at least.

    Raises:
        ApiError: NOT_FOUND, INVALID_ARGUMENT.
    """
    found: list[str] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if "*" not in pattern:
            found.append(pattern)
            continue
        names_ = [uri async for uri in vertex.objects.list(pattern.partition("*")[0])]
        matched = sorted(uri for uri in names_ if fnmatch.fnmatchcase(uri, pattern))
        if not matched:
            raise not_found("Object", pattern)
        found += matched
    if not found:
        raise invalid("gcs_source.uris must not be empty.")
    return found
