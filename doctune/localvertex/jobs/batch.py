"""BatchPredictionJobs: JSON lines in, the real serving program, JSON lines out.

Results go to `prediction.results-00000-of-00001` in a folder of the job's own under the output
prefix, each line `{"instance": ..., "prediction": ...}`; rows that the program refuses go to
`prediction.errors_stats-00000-of-00001` with the reason.
"""

import asyncio
import fnmatch
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from doctune import limits
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid
from doctune.localvertex.serving import ServingProcess
from doctune.localvertex.tracker import JobFailedError, JobKind
from doctune.localvertex.vertex import Vertex

BATCH = JobKind("BatchPredictionJob")
RESULTS = "prediction.results-00000-of-00001"
ERRORS = "prediction.errors_stats-00000-of-00001"
_BATCH_SIZE = 64
_NOT_DONE = {"generate_explanation": "explanations", "model_monitoring_config": "monitoring"}


@dataclass
class _Output:
    results: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def check_batch_job(job: Document) -> None:
    """Raises if a job is invalid or not supported.

    Raises:
        ApiError: INVALID_ARGUMENT; UNIMPLEMENTED for BigQuery, for formats but JSON lines, and for
            what would be left out of the result.
    """
    for key, what in _NOT_DONE.items():
        if job.get(key):
            raise ApiError(
                Status.UNIMPLEMENTED,
                f"localvertex does batch predictions without {what} (batch_prediction_job.{key}).",
            )
    source, target = job.get("input_config", {}), job.get("output_config", {})
    if "gcs_source" not in source or "gcs_destination" not in target:
        raise ApiError(
            Status.UNIMPLEMENTED, "localvertex reads and writes batch predictions in gs:// only."
        )
    formats = (source.get("instances_format"), target.get("predictions_format"))
    if formats != ("jsonl", "jsonl"):
        raise ApiError(
            Status.UNIMPLEMENTED, f"localvertex knows the format jsonl only, not {formats}."
        )
    if not source["gcs_source"].get("uris"):
        raise invalid("input_config.gcs_source.uris must not be empty.")
    if not target["gcs_destination"].get("output_uri_prefix", "").startswith("gs://"):
        raise invalid("output_config.gcs_destination.output_uri_prefix must be a gs:// URI.")


async def run_batch_job(vertex: Vertex, job: Document, version: Document) -> Document:
    """Predicts every row; returns the fields to set on the job.

    Raises:
        JobFailedError: Every row failed, or the input is not JSON lines.
        ApiError: The serving program does not start, or an input is not there.
    """
    process = vertex.serving_process(
        job["name"], {"id": "batch", "display_name": version["display_name"]}, version
    )
    await process.start()
    try:
        output = await _predict_all(vertex, job, process)
    finally:
        await process.stop()
    prefix = job["output_config"]["gcs_destination"]["output_uri_prefix"].rstrip("/")
    stamp = job["create_time"].replace(":", "_").replace("-", "_")
    folder = f"{prefix}/prediction-{version['display_name']}-{stamp}"
    await _write(vertex, f"{folder}/{RESULTS}", output.results)
    if output.errors:
        await _write(vertex, f"{folder}/{ERRORS}", output.errors)
    changes: Document = {
        "output_info": {"gcs_output_directory": folder},
        "completion_stats": {
            "successful_count": str(len(output.results)),
            "failed_count": str(len(output.errors)),
        },
    }
    if output.errors and not output.results:
        vertex.jobs.update(BATCH, job["name"], **changes)
        raise JobFailedError(f"All {len(output.errors)} rows failed; see {folder}/{ERRORS}.")
    return changes


async def _predict_all(vertex: Vertex, job: Document, process: ServingProcess) -> _Output:
    output = _Output()
    tuning = job.get("manual_batch_tuning_parameters", {})
    size = int(tuning.get("batch_size", 0)) or _BATCH_SIZE
    shape = _instance_shape(job.get("instance_config", {}))
    batch: list[Any] = []
    async for row in _rows(vertex, job["input_config"]["gcs_source"]["uris"]):
        batch.append(row)
        if len(batch) == size:
            await _predict_batch(vertex, job, process, batch, shape, output)
            batch = []
    if batch:
        await _predict_batch(vertex, job, process, batch, shape, output)
    return output


async def _predict_batch(
    vertex: Vertex,
    job: Document,
    process: ServingProcess,
    rows: list[Any],
    shape: Callable[[Any], Any],
    output: _Output,
) -> None:
    try:
        predictions = await _ask(vertex, job, process, [shape(row) for row in rows])
    except ApiError as error:
        if len(rows) > 1:  # retry them one by one to find the failing ones
            for row in rows:
                await _predict_batch(vertex, job, process, [row], shape, output)
        else:
            failed = {"instance": rows[0], "error": error.operation_error()}
            output.errors.append(json.dumps(failed, ensure_ascii=False))
        return
    key_field = job.get("instance_config", {}).get("key_field")
    for row, prediction in zip(rows, predictions, strict=True):
        said = {"key": row.get(key_field)} if key_field else {"instance": row}
        output.results.append(json.dumps({**said, "prediction": prediction}, ensure_ascii=False))


async def _ask(
    vertex: Vertex, job: Document, process: ServingProcess, instances: list[Any]
) -> list[Any]:
    body: Document = {"instances": instances}
    if job.get("model_parameters") is not None:
        body["parameters"] = job["model_parameters"]
    try:
        url = process.url()
        async with vertex.client.post(
            url, json=body, timeout=aiohttp.ClientTimeout(total=limits.LOCAL_PREDICTION.seconds)
        ) as response:
            text = await response.text()
            if response.status != 200:
                raise ApiError(Status.INTERNAL, f"HTTP {response.status}: {text[:2048]}")
            predictions = json.loads(text)["predictions"]
    except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError) as error:
        raise ApiError(Status.INTERNAL, f"The serving program failed: {error!r}") from error
    if len(predictions) != len(instances):
        raise ApiError(
            Status.INTERNAL,
            f"The serving program gave {len(predictions)} predictions for {len(instances)} rows.",
        )
    return predictions


async def _rows(vertex: Vertex, uris: list[str]) -> AsyncIterator[Any]:
    for pattern in uris:
        for uri in await _matching(vertex, pattern):
            content = await vertex.objects.read(uri)
            for number, line in enumerate(content.splitlines(), start=1):
                if not line.strip():
                    continue
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise JobFailedError(
                        f"{uri}, line {number}: not JSON ({error}).", Status.INVALID_ARGUMENT
                    ) from error
            await asyncio.sleep(0)


async def _matching(vertex: Vertex, pattern: str) -> list[str]:
    if "*" not in pattern:
        return [pattern]
    found = [uri async for uri in vertex.objects.list(pattern.partition("*")[0])]
    return sorted(uri for uri in found if fnmatch.fnmatchcase(uri, pattern))


def _instance_shape(config: Document) -> Callable[[Any], Any]:
    """Returns a function that converts a row to an instance."""
    included = config.get("included_fields", [])
    excluded = {*config.get("excluded_fields", []), config.get("key_field", "")}

    def shape(row: Any) -> Any:
        if not isinstance(row, dict):
            return row
        kept = {
            name: value
            for name, value in row.items()
            if (name in included if included else name not in excluded)
        }
        return list(kept.values()) if config.get("instance_type") == "array" else kept

    return shape


async def _write(vertex: Vertex, uri: str, lines: list[str]) -> None:
    await vertex.objects.write(uri, "".join(f"{line}\n" for line in lines).encode())
