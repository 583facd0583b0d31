"""PredictionService: requests go to a deployed model by the endpoint's traffic split.

Requests and answers have Vertex AI's form: at most 1.5 MB each way, `deployedModelId` and related
fields on Predict, headers on RawPredict. A program's own 4xx is passed on; a program that does not
answer is UNAVAILABLE at once.
"""

import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp

from doctune import limits
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid, precondition
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import endpoints
from doctune.localvertex.serving import ServingProcess
from doctune.localvertex.vertex import Vertex
from doctune.runner.values import integral

MAX_BYTES = 1_500_000
_HTTP_STATUS = {
    400: Status.INVALID_ARGUMENT,
    403: Status.PERMISSION_DENIED,
    404: Status.NOT_FOUND,
    409: Status.ABORTED,
    413: Status.INVALID_ARGUMENT,
    422: Status.INVALID_ARGUMENT,
    429: Status.RESOURCE_EXHAUSTED,
    501: Status.UNIMPLEMENTED,
    503: Status.UNAVAILABLE,
    504: Status.DEADLINE_EXCEEDED,
}


@dataclass(frozen=True)
class RawAnswer:
    """What a serving program sent."""

    status: int
    body: bytes
    content_type: str
    deployed: Document

    def headers(self, endpoint: str) -> dict[str, str]:
        """Returns the headers that RawPredict adds."""
        return vertex_headers(endpoint, self.deployed)


def vertex_headers(endpoint: str, deployed: Document) -> dict[str, str]:
    """Returns the headers that tell which deployed model has answered."""
    return {
        "X-Vertex-AI-Endpoint-Id": endpoint.rpartition("/")[2],
        "X-Vertex-AI-Deployed-Model-Id": deployed["id"],
        "X-Vertex-AI-Model": deployed["model"],
        "X-Vertex-AI-Model-Version-Id": deployed["model_version_id"],
    }


async def predict(vertex: Vertex, endpoint: str, request: Document) -> Document:
    """Asks a deployed model.

    Args:
        request: {"instances": [...], "parameters": {...}}.

    Returns:
        The answer as REST gives it: predictions, deployedModelId, model, ...

    Raises:
        ApiError: As Vertex would.
    """
    unknown = set(request) - {"instances", "parameters", "labels"}
    if unknown:
        raise invalid(f'Invalid JSON payload received. Unknown name "{min(unknown)}".')
    if not isinstance(request.get("instances"), list):
        raise invalid("instances must be a list.")
    body: Document = {"instances": request["instances"]}
    if request.get("parameters") is not None:
        body["parameters"] = request["parameters"]
    answer = await forward(vertex, endpoint, json.dumps(body).encode(), "application/json")
    if answer.status >= 400:
        raise _program_error(answer)
    try:
        document = json.loads(answer.body)
        predictions = document["predictions"]
    except (ValueError, TypeError, KeyError) as error:
        raise ApiError(
            Status.INTERNAL, 'The serving program did not answer {"predictions": [...]}.'
        ) from error
    response = {
        "predictions": predictions,
        "deployedModelId": answer.deployed["id"],
        "model": answer.deployed["model"],
        "modelDisplayName": answer.deployed["display_name"],
        "modelVersionId": answer.deployed["model_version_id"],
    }
    if "metadata" in document:
        response["metadata"] = document["metadata"]
    configured = vertex.route(endpoint)
    if vertex.request_log.wants(configured):
        vertex.request_log.write(
            configured,
            answer.deployed["id"],
            [json.dumps(instance, ensure_ascii=False) for instance in body["instances"]],
            [json.dumps(prediction, ensure_ascii=False) for prediction in predictions],
        )
    return response


async def raw_predict(vertex: Vertex, endpoint: str, body: bytes, content_type: str) -> RawAnswer:
    """Sends a body as it is to a deployed model, and logs it where the endpoint says so.

    Raises:
        ApiError: As `forward`.
    """
    answer = await forward(vertex, endpoint, body, content_type)
    configured = vertex.route(endpoint)
    if answer.status < 400 and vertex.request_log.wants(configured):
        vertex.request_log.write(
            configured,
            answer.deployed["id"],
            [body.decode(errors="replace")],
            [answer.body.decode(errors="replace")],
        )
    return answer


@asynccontextmanager
async def stream_raw_predict(
    vertex: Vertex, endpoint: str, body: bytes, content_type: str
) -> AsyncIterator[tuple[aiohttp.ClientResponse, dict[str, str]]]:
    """Opens a streamed answer to a body, with the headers that Vertex adds.

    Raises:
        ApiError: As `forward`.
    """
    if len(body) > MAX_BYTES:
        raise invalid(f"The request is larger than {MAX_BYTES} bytes ({len(body)}).")
    deployed, process = _predicting(vertex, endpoint)
    headers = {"Content-Type": content_type}
    with unavailable_if_broken_off(deployed, process):
        async with vertex.client.post(
            process.url(),
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=limits.LOCAL_PREDICTION.seconds),
        ) as response:
            yield response, vertex_headers(endpoint, deployed)


async def forward(
    vertex: Vertex, endpoint: str, body: bytes, content_type: str, route: str | None = None
) -> RawAnswer:
    """Sends a body to one of the deployed models of an endpoint, by its traffic split.

    Raises:
        ApiError: NOT_FOUND, FAILED_PRECONDITION without traffic, UNAVAILABLE while the program does
            not answer, INVALID_ARGUMENT over 1.5 MB.
    """
    if len(body) > MAX_BYTES:
        raise invalid(f"The request is larger than {MAX_BYTES} bytes ({len(body)}).")
    deployed, process = _predicting(vertex, endpoint)
    url = process.url(route)
    with unavailable_if_broken_off(deployed, process):
        try:
            async with vertex.client.post(
                url,
                data=body,
                headers={"Content-Type": content_type},
                timeout=aiohttp.ClientTimeout(total=limits.LOCAL_PREDICTION.seconds),
            ) as response:
                content = await response.read()
                answer = RawAnswer(response.status, content, response.content_type, deployed)
        except TimeoutError as error:
            said = "The serving program did not answer."
            raise ApiError(Status.DEADLINE_EXCEEDED, said) from error
    if len(answer.body) > MAX_BYTES:
        raise invalid(f"The answer is larger than {MAX_BYTES} bytes ({len(answer.body)}).")
    return answer


@contextmanager
def unavailable_if_broken_off(deployed: Document, process: ServingProcess) -> Iterator[None]:
    """Answers for a serving program that breaks the connection off.

    Raises:
        ApiError: UNAVAILABLE, or the reason for which the program has died.
    """
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        process.url()  # raises with the reason if the program has died
        raise ApiError(
            Status.UNAVAILABLE,
            f"The deployed model {deployed['id']} broke the connection off: {error}.",
        ) from error


def choose(vertex: Vertex, endpoint: str) -> tuple[Document, ServingProcess]:
    """Returns the deployed model that a request goes to, drawn by the traffic split.

    Raises:
        ApiError: NOT_FOUND, or FAILED_PRECONDITION where no deployed model has traffic.
    """
    document = vertex.route(endpoint)
    draw = secrets.randbelow(100)
    for deployed in document.get("deployed_models", ()):
        draw -= document.get("traffic_split", {}).get(deployed["id"], 0)
        if draw < 0:
            return deployed, running(vertex, endpoint, deployed)
    raise precondition(f"Endpoint {endpoint} has no deployed model that gets traffic.")


def running(vertex: Vertex, endpoint: str, deployed: Document) -> ServingProcess:
    """Returns the process of a deployed model.

    Raises:
        ApiError: UNAVAILABLE while it is being undeployed.
    """
    process = vertex.serving.find(endpoint, deployed["id"])
    if process is None:
        raise ApiError(
            Status.UNAVAILABLE, f"The deployed model {deployed['id']} is being undeployed."
        )
    return process


def _predicting(vertex: Vertex, endpoint: str) -> tuple[Document, ServingProcess]:
    """Returns the deployed model that a prediction goes to.

    Raises:
        ApiError: As `choose`; FAILED_PRECONDITION where its model has Invoke alone.
    """
    deployed, process = choose(vertex, endpoint)
    if process.spec.is_invoked:
        raise precondition(
            f"The deployed model {deployed['id']} takes no predictions: its model was uploaded "
            "with invoke_route_prefix, so only its invoke routes answer."
        )
    return deployed, process


def _program_error(answer: RawAnswer) -> ApiError:
    text = answer.body.decode(errors="replace")[:4096]
    status = _HTTP_STATUS.get(
        answer.status, Status.INVALID_ARGUMENT if answer.status < 500 else Status.INTERNAL
    )
    return ApiError(status, f"The serving program answered {answer.status}: {text}")


@handles("PredictionService.Predict")
async def predict_rpc(call: Call, request: Document) -> Document:
    """Predict over gRPC; over REST `rest.py` calls `predict` with the JSON as it came."""
    endpoint = request.pop("endpoint")
    answer = await predict(call.vertex, endpoint, integral(request))
    return {
        "predictions": answer["predictions"],
        "deployed_model_id": answer["deployedModelId"],
        "model": answer["model"],
        "model_display_name": answer["modelDisplayName"],
        "model_version_id": answer["modelVersionId"],
        **({"metadata": answer["metadata"]} if "metadata" in answer else {}),
    }


@handles("PredictionService.RawPredict")
async def raw_predict_rpc(call: Call, request: Document) -> Document:
    """RawPredict over gRPC."""
    body = request.get("http_body", {})
    answer = await raw_predict(
        call.vertex,
        request["endpoint"],
        base64.b64decode(body.get("data", "")),
        body.get("content_type") or "application/json",
    )
    if answer.status >= 400:
        raise _program_error(answer)
    return {
        "content_type": answer.content_type,
        "data": base64.b64encode(answer.body).decode(),
    }


def resume(vertex: Vertex) -> None:
    """Starts the serving programs of all deployed models again, after a restart."""
    with vertex.store.transaction() as transaction:
        for endpoint in transaction.list(endpoints.KIND):
            for deployed in endpoint.get("deployed_models", ()):
                version = transaction.get(
                    "Model", f"{deployed['model']}@{deployed['model_version_id']}"
                )
                process = vertex.serving_process(endpoint["name"], deployed, version)
                vertex.serving.add(endpoint["name"], process)
                process.watch()
