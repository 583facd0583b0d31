"""Clients that are slow, rude or gone, and services that are away: the gateway goes on."""

import asyncio
import json
import re
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from doctune.database.engine import open_database
from doctune.database.tables import Prediction
from doctune.localvertex.ports import free_port
from tests.database.servers import postgres
from tests.gateway.conftest import MESSAGES, Gateway, start_gateway, stop_gateway
from tests.gateway.test_answers import count, logged, until
from tests.gateway.upstream import WORDS, FakeUpstream

LEAVING = 1000


@pytest.fixture(scope="module")
def endless() -> Iterator[FakeUpstream]:
    with FakeUpstream.run() as upstream:
        upstream.pause = 2.0
        yield upstream


@pytest.fixture(scope="module")
def open_to_many(
    endless: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    model = {"upstreams": [endless.address], "max_in_flight": 2000, "queue_seconds": 5}
    started = start_gateway(
        tmp_path_factory.mktemp("many"), {"models": {"handbook": model}, "head_seconds": 2}
    )
    try:
        yield started
    finally:
        stop_gateway(started)


def connect(gateway: Gateway) -> socket.socket:
    host, port = gateway.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def raw(gateway: Gateway, *, body: dict[str, Any] | None = None, more: str = "") -> bytes:
    content = json.dumps(
        {"model": "handbook", "messages": MESSAGES, "temperature": 1.0, **(body or {})}
    )
    return (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n"
        f"Authorization: Bearer {gateway.key}\r\nContent-Type: application/json\r\n{more}"
        f"Content-Length: {len(content)}\r\n\r\n{content}"
    ).encode()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def metric(gateway: Gateway, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", gateway.get("/metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def test_a_thousand_clients_that_leave_in_mid_stream_leave_nothing_behind(
    open_to_many: Gateway, endless: FakeUpstream
) -> None:
    allow_open_files(4 * LEAVING)
    key = open_to_many.new_key("leaving", requests_in_flight=LEAVING, tokens_per_minute=10**9)
    process = psutil.Process(open_to_many.process.pid)
    logged(open_to_many, open_to_many.chat(key).json()["id"])  # and so all before it
    before = process.num_fds(), process.num_threads()
    rows = count(open_to_many)
    endless.mode = "endless"
    request = raw(open_to_many, body={"stream": True}).replace(
        open_to_many.key.encode(), key.encode()
    )

    async def leave() -> None:
        host, port = open_to_many.url.removeprefix("http://").split(":")
        places = asyncio.Semaphore(200)

        async def begin() -> asyncio.StreamWriter:
            async with places:
                reader, writer = await asyncio.wait_for(
                    asyncio.open_connection(host, int(port)), 60
                )
                writer.write(request)
                await asyncio.wait_for(reader.readuntil(b"the "), 60)
                return writer

        for writer in await asyncio.gather(*(begin() for _ in range(LEAVING))):
            writer.close()

    asyncio.run(leave())
    try:
        until(lambda: metric(open_to_many, "doctune_gateway_in_flight") == 0, "requests to end")
        until(lambda: endless.open_streams == 0, "upstream streams to end")
        until(lambda: count(open_to_many) == rows + LEAVING, "the log to hold all of them")
    finally:
        endless.mode = "ok"
    until(lambda: process.num_fds() <= before[0] + 5, "connections to be closed")
    assert process.num_threads() <= before[1] + 5
    # Not one place of the key's is still held.
    assert open_to_many.chat(key).status_code == 200


def test_clients_that_send_slowly_are_let_go_and_keep_nobody_out(open_to_many: Gateway) -> None:
    silent = connect(open_to_many)
    dripping = connect(open_to_many)
    blank = connect(open_to_many)
    started = time.monotonic()
    dripping.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n")
    for _ in range(12):
        assert open_to_many.get("/healthz").status_code == 200
        for connection, part in ((dripping, b"x-slow: 1\r\n"), (blank, b"\r\n")):
            try:
                connection.sendall(part)
            except OSError:
                break
        time.sleep(0.3)
    for connection in (silent, dripping, blank):
        assert read_all(connection) == b""
        connection.close()
    assert time.monotonic() - started < 10


def test_a_head_without_an_end_is_refused(open_to_many: Gateway) -> None:
    with connect(open_to_many) as connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\nx-long: " + b"a" * 200_000)
        except OSError:
            return  # refused before all of it was sent
        answered = read_all(connection)
    assert answered == b"" or answered.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/feedback HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/feedback HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /v1/feedback HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /v1/feedback HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_malformed_requests_are_refused_and_their_connection_closed(
    open_to_many: Gateway, sent: bytes
) -> None:
    with connect(open_to_many) as connection:
        connection.sendall(sent)
        answered = read_all(connection)
    assert answered == b"" or answered.startswith(b"HTTP/1.1 4")
    assert open_to_many.get("/healthz").status_code == 200


def test_pipelined_requests_are_answered_in_their_order(open_to_many: Gateway) -> None:
    first, second = (raw(open_to_many, body={"max_tokens": n}) for n in (1, 2))
    last = raw(open_to_many, body={"tools": [1]}, more="Connection: close\r\n")
    with connect(open_to_many) as connection:
        connection.sendall(first + second + last)
        answered = read_all(connection)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answered) == [b"200", b"200", b"400"]


def test_a_client_that_closes_its_half_is_taken_for_gone(
    open_to_many: Gateway, endless: FakeUpstream
) -> None:
    endless.mode = "endless"
    with connect(open_to_many) as connection:
        connection.sendall(raw(open_to_many, body={"stream": True}))
        assert connection.recv(1000)
        connection.shutdown(socket.SHUT_WR)
        until(lambda: endless.open_streams == 0, "the upstream's stream to end")
    endless.mode = "ok"


def test_a_body_that_never_comes_gives_its_place_back(open_to_many: Gateway) -> None:
    head, _, _ = raw(open_to_many).partition(b"\r\n\r\n")
    held = [connect(open_to_many) for _ in range(20)]
    for connection in held:
        connection.sendall(head + b"\r\n\r\n{")
    assert open_to_many.chat(temperature=1.0).status_code == 200
    for connection in held:
        connection.close()
    assert open_to_many.get("/healthz").status_code == 200
    # A client that leaves within its body is no failure of the gateway.
    assert "Traceback" not in (open_to_many.folder / "gateway.log").read_text()


def test_the_database_may_be_gone_for_a_while(faulty: FakeUpstream, tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as running:
        url = running.enter_context(postgres(tmp_path / "postgres", port))
        gateway = start_gateway(
            tmp_path / "gateway-folder",
            {"models": {"handbook": {"upstreams": [faulty.address]}}},
            url,
        )
        try:
            assert gateway.chat(temperature=1.0).status_code == 200
            until(lambda: count(gateway) == 1, "the first row")
            running.close()
            gateway.engine.dispose()
            answers = [gateway.chat(temperature=1.0) for _ in range(20)]
            assert {answer.status_code for answer in answers} == {200}
            assert max(answer.elapsed.total_seconds() for answer in answers) < 3
            assert gateway.get("/healthz").status_code == 200
            assert gateway.get("/readyz").status_code == 503
            prediction = {"prediction_id": answers[0].json()["id"], "kind": "rating"}
            said = gateway.post("/v1/feedback", {**prediction, "rating": "up"})
            assert (said.status_code, said.headers["retry-after"]) == (503, "5")
            with postgres(tmp_path / "postgres", port):
                until(lambda: count(gateway) == 21, "the log to catch up")
                ids = {answer.json()["id"] for answer in answers}
                with Session(gateway.engine) as session:
                    assert ids <= set(session.scalars(select(Prediction.id)))
                said = gateway.post("/v1/feedback", {**prediction, "rating": "up"})
                assert said.status_code == 201
        finally:
            stop_gateway(gateway)


def test_a_killed_gateway_answers_nothing_twice_and_counts_nothing_wrong(
    faulty: FakeUpstream, tmp_path: Path
) -> None:
    options = {"models": {"handbook": {"upstreams": [faulty.address]}}}
    first = start_gateway(tmp_path, options)
    answered: list[str] = []

    async def load() -> None:
        body = {"model": "handbook", "messages": MESSAGES, "temperature": 1.0}
        async with httpx.AsyncClient(headers=first.headers(), timeout=20) as client:

            async def one() -> None:
                while True:
                    try:
                        answer = await client.post(f"{first.url}/v1/chat/completions", json=body)
                    except httpx.TransportError:
                        return
                    answered.append(answer.json()["id"])

            workers = [asyncio.create_task(one()) for _ in range(8)]
            await asyncio.sleep(2.5)
            first.process.send_signal(signal.SIGKILL)
            await asyncio.gather(*workers)

    asyncio.run(load())
    first.process.communicate(timeout=20)
    assert len(answered) == len(set(answered)) > 0
    second = start_gateway(tmp_path, options)
    try:
        assert second.chat(first.key, temperature=1.0).status_code == 200
        until(lambda: count(second) > 0, "the log")
        with Session(open_database(second.database_url)) as session:
            rows = list(session.scalars(select(Prediction)))
        assert len({row.id for row in rows}) == len(rows)
        # Every answer came of one request upstream; eight more were under way at the end.
        assert len(answered) + 1 <= faulty.requests <= len(answered) + 1 + 8
        by_usage = sum(row.prompt_tokens + row.completion_tokens for row in rows)
        assert by_usage == 12 * sum(row.status == 200 for row in rows)
    finally:
        stop_gateway(second)


def test_a_key_of_one_tenant_reads_nothing_of_anothers(open_to_many: Gateway) -> None:
    secret = "zanzibar-7431"  # noqa: S105 - a word to look for
    mine = open_to_many.new_key("mine", owner="one", scopes=("chat", "feedback", "admin"))
    other = open_to_many.new_key("other", owner="two", scopes=("chat", "feedback"))
    asked = {
        "messages": [{"role": "user", "content": secret}],
        "metadata": {"conversation_id": secret},
        "user": secret,
    }
    answer = open_to_many.chat(mine, **asked)
    assert answer.status_code == 200
    prediction = answer.json()["id"]
    until(lambda: count(open_to_many) > 0, "the log")
    said = {"prediction_id": prediction, "kind": "comment", "comment": secret}
    assert open_to_many.post("/v1/feedback", said, mine).status_code == 201
    described = open_to_many.get("/openapi.json", mine).json()["paths"]
    tried = 0
    for route, methods in described.items():
        for method in methods:
            for value in (prediction, secret, "handbook"):
                path = re.sub(r"\{[^}]*\}", value, route)
                body = {**asked, "model": "handbook", "prediction_id": prediction}
                for headers in ({}, open_to_many.headers(other)):
                    seen = httpx.request(
                        method,
                        f"{open_to_many.url}{path}",
                        headers=headers,
                        json=body if method in ("post", "put", "patch") else None,
                        timeout=30,
                    )
                    tried += 1
                    assert seen.status_code < 500, (method, path, seen.text)
                    # A refusal may repeat what it was asked for, and nothing else.
                    if value != secret or seen.status_code < 400:
                        assert secret not in seen.text, (method, path)
    assert tried >= 2 * 3 * 8
    assert open_to_many.get("/metrics", other).status_code == 403
    said_of_anothers = open_to_many.post("/v1/feedback", said, other)
    assert said_of_anothers.status_code == 404
    assert open_to_many.chat(other, **asked).headers["x-doctune-cache"] == "miss"


@pytest.mark.parametrize("mode", ["ok", "error", "break", "echo"])
def test_no_prompt_answer_or_key_is_in_a_line_of_the_log(
    open_to_many: Gateway, endless: FakeUpstream, mode: str
) -> None:
    endless.mode = mode
    secret = f"zanzibar-{mode}-7431"
    try:
        for stream in (False, True):
            open_to_many.chat(
                messages=[{"role": "user", "content": secret}], stream=stream, temperature=1.0
            )
    finally:
        endless.mode = "ok"
    open_to_many.chat(messages=[{"role": secret, "content": secret}])
    open_to_many.chat(key=f"dtk_{secret}_{secret}")
    open_to_many.post(f"/v1/{secret}?q={secret}", {})
    log = (open_to_many.folder / "gateway.log").read_text()
    assert secret not in log
    assert "".join(WORDS) not in log
    assert open_to_many.key.rpartition("_")[2] not in log


def allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
