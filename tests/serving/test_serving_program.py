"""`python -m doctune.serving` as a process, asked over HTTP."""

import http.client
import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from doctune.processes import stop_process
from tests.serving.conftest import IN_VLLMS_PLACE, Server, start_server
from tests.serving.tiny_model import CONTEXT, write_tiny_model

PROMPT = {"prompt": "What does the pump have?"}


def test_answers_prompts_and_conversations(server: Server) -> None:
    chat = {"messages": [{"role": "user", "content": PROMPT["prompt"]}]}
    answer = server.predict({"instances": [PROMPT, chat], "parameters": {"max_new_tokens": 5}})
    assert answer.status_code == 200
    of_prompt, of_chat = answer.json()["predictions"]
    assert of_prompt == of_chat
    assert set(of_prompt) == {"text", "prompt_tokens", "completion_tokens", "finish_reason"}
    assert of_prompt["prompt_tokens"] > 10
    assert of_prompt["completion_tokens"] <= 5
    assert of_prompt["finish_reason"] in {"stop", "length"}


def test_takes_whole_numbers_that_came_as_doubles(server: Server) -> None:
    answer = server.predict({"instances": [PROMPT], "parameters": {"max_new_tokens": 3.0}})
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["completion_tokens"] <= 3


def test_a_seed_repeats_a_sampled_answer(server: Server) -> None:
    parameters = {"max_new_tokens": 8, "temperature": 2.0, "seed": 7}
    body = {"instances": [PROMPT], "parameters": parameters}
    with ThreadPoolExecutor(4) as pool:
        answers = {repr(r.json()) for r in pool.map(server.predict, [body] * 4)}
    assert len(answers) == 1
    other = server.predict({"instances": [PROMPT], "parameters": {**parameters, "seed": 8}})
    assert repr(other.json()) not in answers


def test_answers_keep_the_order_of_the_instances(server: Server) -> None:
    prompts = [{"prompt": "the pump " * count} for count in (7, 1, 4, 2)]
    parameters = {"max_new_tokens": 4}
    together = server.predict({"instances": prompts, "parameters": parameters})
    counts = [p["prompt_tokens"] for p in together.json()["predictions"]]
    alone = [
        server.predict({"instances": [p], "parameters": parameters}).json()["predictions"][0]
        for p in prompts
    ]
    assert counts == [p["prompt_tokens"] for p in alone]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "instances: field is missing"),
        ({"instances": []}, "instances: "),
        ({"instances": [PROMPT], "params": {}}, "params: unknown field"),
        ({"instances": ["hello"]}, "instances[0]: "),
        ({"instances": [PROMPT, {"text": "?"}]}, "instances[1].text: unknown field"),
        ({"instances": [{}]}, "instances[0]: give either messages or prompt"),
        ({"instances": [{"prompt": ""}]}, "instances[0].prompt: "),
        ({"instances": [{"messages": []}]}, "instances[0].messages: "),
        (
            {"instances": [{"messages": [{"role": "wizard", "content": "?"}]}]},
            "instances[0].messages[0].role: ",
        ),
        (
            {"instances": [{"messages": [{"role": "assistant", "content": "?"}]}]},
            "instances[0]: the last message must have the role user",
        ),
        (
            {"instances": [PROMPT], "parameters": {"max_new_token": 1}},
            "parameters.max_new_token: unknown field",
        ),
        (
            {"instances": [PROMPT], "parameters": {"max_new_tokens": 0}},
            "parameters.max_new_tokens: ",
        ),
        (
            {"instances": [PROMPT], "parameters": {"max_new_tokens": 4096}},
            "parameters.max_new_tokens: 4096 is more than 1024",
        ),
        (
            {"instances": [PROMPT], "parameters": {"max_new_tokens": CONTEXT}},
            "parameters.max_new_tokens: instances[0].prompt has",
        ),
        ({"instances": [PROMPT], "parameters": {"temperature": -1}}, "parameters.temperature: "),
        ({"instances": [PROMPT], "parameters": {"top_p": 0}}, "parameters.top_p: "),
        ({"instances": [PROMPT] * 33}, "instances: 33 are given, 32 are allowed"),
        ({"instances": [{"prompt": "?" * CONTEXT}]}, "instances[0].prompt: "),
    ],
)
def test_a_wrong_request_is_answered_400_and_names_the_field(
    server: Server, body: object, says: str
) -> None:
    answer = server.predict(body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(says)


def test_what_the_chat_template_refuses_is_answered_400(server: Server) -> None:
    turn = {"role": "user", "content": "?"}
    messages = [turn, {"role": "system", "content": "late"}, turn]
    answer = server.predict({"instances": [{"messages": messages}]})
    assert answer.status_code == 400
    assert "only the first message may be of the system" in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 200_000, b'{"instances": ["\\ud800"]}', b"\xff"]
)
def test_a_body_that_is_not_json_is_answered_400(server: Server, body: bytes) -> None:
    answer = httpx.post(f"{server.url}/predict", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_body_above_the_limit_is_answered_413_declared_or_not(server: Server) -> None:
    body = b"x" * 1_500_001
    assert httpx.post(f"{server.url}/predict", content=body).status_code == 413
    chunks = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
    assert httpx.post(f"{server.url}/predict", content=chunks).status_code == 413


def test_unknown_paths_and_methods_are_refused(server: Server) -> None:
    assert httpx.get(f"{server.url}/docs").json() == {"error": "Not Found"}
    assert httpx.get(f"{server.url}/predict").status_code == 405


def test_each_of_many_concurrent_requests_gets_its_own_answer(server: Server) -> None:
    def ask(count: int) -> int:
        body = {"instances": [{"prompt": "?" * count}], "parameters": {"max_new_tokens": 40}}
        return server.predict(body).json()["predictions"][0]["prompt_tokens"]

    with ThreadPoolExecutor(16) as pool:
        counts = list(pool.map(ask, range(1, 41)))
    assert [count - counts[0] for count in counts] == list(range(40))


def test_listens_while_the_model_loads_and_honours_the_routes(artifact: Path) -> None:
    routes = {"AIP_HEALTH_ROUTE": "/alive", "AIP_PREDICT_ROUTE": "/v1/m:predict"}
    # The artifact of others may have the weights at its root.
    server = start_server(str(artifact / "model"), environment=routes)
    try:
        seen = []
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and 200 not in seen:
            try:
                answer = httpx.get(f"{server.url}/alive", timeout=30)
            except httpx.TransportError:
                time.sleep(0.02)
                continue
            if answer.status_code == 503 and 503 not in seen:
                assert answer.json()["reason"] == "the model is loading"
                refused = httpx.post(f"{server.url}/v1/m:predict", json={"instances": [PROMPT]})
                if refused.status_code == 503:
                    assert refused.headers["Retry-After"] == "5"
            seen.append(answer.status_code)
        assert seen[0] == 503
        assert seen[-1] == 200
        asked = {"instances": [PROMPT], "parameters": {"max_new_tokens": 1}}
        assert httpx.post(f"{server.url}/v1/m:predict", json=asked).status_code == 200
        assert httpx.get(f"{server.url}/health").status_code == 404
    finally:
        server.log()


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda folder: folder / "missing", "is not a folder"),
        (lambda folder: folder, "holds no model"),
        (
            lambda folder: write_tiny_model(folder / "untemplated", chat_template=False),
            "has no chat template",
        ),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_program_with_one_line(
    tmp_path: Path, prepare, says: str
) -> None:
    server = start_server(str(prepare(tmp_path)))
    log = server.process.communicate(timeout=60)[1].decode()
    assert server.process.returncode == 1
    (line,) = [line for line in log.splitlines() if "cannot be loaded" in line]
    assert says in line
    assert "Traceback" not in log


def test_without_a_model_the_program_says_which_variable_to_set() -> None:
    server = start_server("")
    log = server.process.communicate(timeout=60)[1].decode()
    assert server.process.returncode == 2
    assert "AIP_STORAGE_URI" in log


def test_a_port_in_use_ends_the_program(artifact: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = start_server(str(artifact), "--port", str(taken.getsockname()[1]))
        log = server.process.communicate(timeout=60)[1].decode()
    assert server.process.returncode != 0
    assert "address already in use" in log


@pytest.mark.parametrize("engine", ["native", "openvino", "vllm"])
def test_sigterm_under_load_loses_no_answer_and_no_end_of_a_stream(
    artifact: Path, tmp_path: Path, engine: str
) -> None:
    environment = {"DOCTUNE_CACHE": str(tmp_path), **(IN_VLLMS_PLACE if engine == "vllm" else {})}
    server = start_server(str(artifact), "--engine", engine, environment=environment)
    host = server.url.removeprefix("http://")
    try:
        server.wait_until_ready(180)
        chat = {"messages": [{"role": "user", "content": "valve"}], "max_tokens": 80}
        asked = []
        for number in range(24):
            connection = http.client.HTTPConnection(host)
            body = json.dumps({**chat, "stream": number % 2 == 0, "seed": number})
            connection.request("POST", "/v1/chat/completions", body)
            asked.append(connection)
        assert httpx.get(f"{server.url}/health").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        for number, connection in enumerate(asked):
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200
            if number % 2 == 0:
                assert text.endswith("data: [DONE]\n\n")
                assert '"finish_reason": "' in text
            else:
                assert json.loads(text)["choices"][0]["finish_reason"] in {"stop", "length"}
        server.process.communicate(timeout=30)
        # uvicorn, which the program of the tests leaves its end to, raises the signal again.
        assert server.process.returncode == (-signal.SIGTERM if engine == "vllm" else 0)
    finally:
        stop_process(server.process.pid)


def test_sigterm_finishes_what_is_in_flight_and_the_log_holds_no_prompt(artifact: Path) -> None:
    server = start_server(str(artifact), environment={"DOCTUNE_LOG_FORMAT": "json"})
    try:
        server.wait_until_ready()
        body = {
            "instances": [{"prompt": f"valve {number}"} for number in range(32)],
            "parameters": {"max_new_tokens": 90},
        }
        asked = [http.client.HTTPConnection(server.url.removeprefix("http://")) for _ in range(2)]
        for connection in asked:
            connection.request("POST", "/predict", json.dumps(body))
        # Connections are taken in order: when this one is answered, the others are in the house.
        assert httpx.get(f"{server.url}/health").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert [connection.getresponse().status for connection in asked] == [200, 200]
        log = server.process.communicate(timeout=30)[1].decode()
        assert server.process.returncode == 0
        assert [line for line in log.splitlines() if not line.startswith("{")] == []
        entries = [json.loads(line) for line in log.splitlines()]
        assert any("predict: 200, 32 instances" in entry["message"] for entry in entries)
        assert "valve" not in log
    finally:
        stop_process(server.process.pid)
