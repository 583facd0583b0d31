"""Who may ask, and how much: exact under concurrency, revoked within seconds."""

import asyncio
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import openai
import pytest

from doctune.database.keys import list_keys, revoke_key
from doctune.errors import UsageError
from doctune.gateway.keys import create_key
from doctune.localvertex.ports import free_port
from doctune.processes import start_process, stop_process
from tests.database.servers import redis
from tests.gateway.conftest import MESSAGES, ROOT, Gateway, start_gateway, stop_gateway
from tests.gateway.test_answers import logged, until
from tests.gateway.upstream import FakeUpstream


def many(gateway: Gateway, key: str, count: int, at_once: int = 40, **fields: object) -> list[int]:
    """Sends requests concurrently; returns their statuses."""

    async def run() -> list[int]:
        places = asyncio.Semaphore(at_once)
        body = {"model": "handbook", "messages": [{"role": "user", "content": "?"}], **fields}
        async with httpx.AsyncClient(timeout=60, headers=gateway.headers(key)) as client:

            async def one(number: int) -> int:
                async with places:
                    answer = await client.post(
                        f"{gateway.url}/v1/chat/completions", json=body | {"seed": number}
                    )
                    return answer.status_code

            return list(await asyncio.gather(*(one(number) for number in range(count))))

    return asyncio.run(run())


def test_a_secret_is_kept_nowhere(gateway: Gateway) -> None:
    secret = gateway.key.rpartition("_")[2]
    (row,) = [key for key in list_keys(gateway.engine) if key.name.startswith("tests-")]
    assert secret not in str(vars(row))
    assert secret not in (gateway.folder / "gateway.log").read_text()
    database = gateway.folder / "gateway.db"
    assert secret.encode() not in database.read_bytes()


def test_a_key_without_the_scope_is_refused(gateway: Gateway) -> None:
    key = gateway.new_key("only-feedback", scopes=("feedback",))
    answer = gateway.chat(key)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "missing_scope"
    assert gateway.get("/metrics", key).status_code == 403


def test_a_key_sees_only_the_models_it_may_ask(gateway: Gateway) -> None:
    key = gateway.new_key("one-model", models=("other",))
    assert [m["id"] for m in gateway.get("/v1/models", key).json()["data"]] == ["other"]
    assert gateway.get("/v1/models/handbook", key).status_code == 404
    assert gateway.chat(key).status_code == 404


def test_an_expired_key_is_refused(gateway: Gateway) -> None:
    key = gateway.new_key("expired", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert gateway.chat(key).status_code == 401


def test_a_revocation_takes_effect_within_seconds(gateway: Gateway) -> None:
    key = gateway.new_key("to-be-revoked")
    assert gateway.chat(key).status_code == 200
    revoke_key(gateway.engine, "to-be-revoked")
    time.sleep(2.5)
    assert gateway.chat(key).status_code == 401
    with pytest.raises(UsageError, match="no valid key"):
        revoke_key(gateway.engine, "to-be-revoked")
    with pytest.raises(UsageError, match=r"was a key to-be-revoked already.* choose another"):
        create_key(gateway.engine, "to-be-revoked")


def test_a_name_is_taken_once_and_scopes_are_known(gateway: Gateway) -> None:
    create_key(gateway.engine, "twice")
    with pytest.raises(UsageError, match="already"):
        create_key(gateway.engine, "twice")
    with pytest.raises(UsageError, match="no scope root"):
        create_key(gateway.engine, "thrice", scopes=("root",))
    with pytest.raises(UsageError, match="needs a name"):
        create_key(gateway.engine, " ")


def test_requests_a_minute_are_exact_under_concurrency(
    fronted: Gateway, faulty: FakeUpstream
) -> None:
    key = fronted.new_key("limited", requests_per_minute=25)
    statuses = many(fronted, key, 100, at_once=4)
    assert statuses.count(200) == 25
    assert statuses.count(429) == 75
    assert faulty.requests == 25
    client = openai.OpenAI(base_url=f"{fronted.url}/v1", api_key=key, max_retries=0)
    with pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model="handbook", messages=MESSAGES)  # type: ignore[arg-type]
    assert (raised.value.code, raised.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    headers = raised.value.response.headers
    assert 1 <= int(headers["retry-after"]) <= 60
    assert headers["x-ratelimit-limit-requests"] == "25"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-ratelimit-reset-requests"].endswith("s")
    assert logged(fronted, str(raised.value.request_id)).status == 429


def test_tokens_are_reserved_and_what_is_not_used_is_given_back(fronted: Gateway) -> None:
    # Each request takes 12 tokens; 8 for the prompt and the answer's limit are reserved.
    key = fronted.new_key("tokens", tokens_per_minute=100)
    answers = [fronted.chat(key, max_tokens=20, seed=n, temperature=1) for n in range(10)]
    taken = [answer for answer in answers if answer.status_code == 200]
    assert len(taken) in range(4, 9)
    assert taken[0].headers["x-ratelimit-limit-tokens"] == "100"
    assert all(answer.status_code == 429 for answer in answers[len(taken) :])
    huge = fronted.chat(key, max_tokens=900)
    assert huge.status_code == 429
    assert "lower max_tokens" in huge.json()["error"]["message"]


def test_a_refused_request_takes_nothing_from_the_limit(fronted: Gateway) -> None:
    key = fronted.new_key("unspent", tokens_per_minute=100)
    assert fronted.chat(key, max_tokens=900).status_code == 429
    assert fronted.chat(key, max_tokens=20).status_code == 200


def test_requests_in_flight_are_bounded(fronted: Gateway, faulty: FakeUpstream) -> None:
    key = fronted.new_key("in-flight", requests_in_flight=2)
    faulty.delay = 0.5
    statuses = many(fronted, key, 6, at_once=6)
    assert statuses.count(200) == 2
    assert statuses.count(429) == 4
    faulty.delay = 0
    assert fronted.chat(key).status_code == 200


def test_processes_share_limits_and_answers_by_redis_and_go_on_without_it(
    faulty: FakeUpstream, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"models": {"handbook": {"upstreams": [faulty.address]}}}
    port = free_port()
    with redis(port) as url:
        monkeypatch.setenv("REDIS_URL", url)
        first = start_gateway(tmp_path, options)
        second = start_gateway(tmp_path, options, first.database_url)
        try:
            key = first.new_key("shared", requests_per_minute=20)
            statuses = many(first, key, 15, 5) + many(second, key, 15, 5)
            assert statuses.count(200) == 20
            check_answers_are_shared(first, second, faulty)
        except BaseException:
            stop_gateway(second)
            stop_gateway(first)
            raise
    try:
        # Redis is gone: each process counts for itself, and answers go on.
        assert first.chat(key).status_code == 200
        metrics = first.get("/metrics").text
        assert "doctune_gateway_limits_degraded 1.0" in metrics
        log = (tmp_path / "gateway.log").read_text()
        assert "counts limits for itself" in log
        assert "caches answers for itself" in log
    finally:
        stop_gateway(second)
        stop_gateway(first)


def check_answers_are_shared(first: Gateway, second: Gateway, upstream: FakeUpstream) -> None:
    """Equal requests to two processes at once are one request to the upstream."""
    asked, upstream.delay = upstream.requests, 0.5
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(one.chat, seed=77) for one in (first, second, first, second)]
        answers = [one.result(timeout=60) for one in waiting]
    upstream.delay = 0
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["choices"][0]["message"]["content"] for answer in answers}) == 1
    states = sorted(answer.headers["x-doctune-cache"] for answer in answers)
    assert (states, upstream.requests - asked) == (["hit", "hit", "hit", "miss"], 1)
    versions = {answer.headers["x-doctune-model-version"] for answer in answers}
    assert versions == {"fake"}


def test_without_keys_it_refuses_a_public_address(tmp_path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "doctune", "gateway", "up", "--host", "0.0.0.0", "--port", "0"],  # noqa: S104
        env={
            **os.environ,
            "DATABASE_URL": f"sqlite:///{tmp_path}/new.db",
            "DOCTUNE_CONFIG": str(ROOT / "config"),
            "PYTHONPATH": str(ROOT),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 2
    assert "nobody has a key" in result.stderr


def test_the_first_start_prints_the_address_the_page_and_a_key_that_works(
    faulty: FakeUpstream, tmp_path: Path
) -> None:
    (tmp_path / "gateway.yaml").write_text(f"models: {{m: {{upstreams: ['{faulty.address}']}}}}\n")
    environment = {**os.environ, "DOCTUNE_CONFIG": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment["DATABASE_URL"] = f"sqlite:///{tmp_path}/gateway.db"
    command = [sys.executable, "-m", "doctune", "gateway", "up", "--port", "0"]
    keys = []
    for number in range(2):
        printed = tmp_path / f"printed-{number}"
        with printed.open("wb") as output:
            process = start_process(command, environment=environment, cwd=tmp_path, stdout=output)
        try:
            until(lambda: printed.read_text().count("\n") == 4, "four lines")  # noqa: B023 - called at once
            lines = printed.read_text().replace("Chat page", "Page").splitlines()
            said = dict(line.split(maxsplit=1) for line in lines)
            keys.append(said["Key"])
            if number == 0:
                key = said["Key"].split()[0]
                until(lambda: answers(said["Address"], key), "an answer to the first key")  # noqa: B023 - called at once
                assert "chat.js" in httpx.get(said["Page"], timeout=20).text
        finally:
            stop_process(process.pid)
            process.wait(40)
    assert keys[0].endswith("(shown once)")
    assert keys[1] == "as made before"


def answers(address: str, key: str) -> bool:
    try:
        client = openai.OpenAI(base_url=address, api_key=key, max_retries=0)
        return client.models.list().data[0].id == "m"
    except openai.APIConnectionError:
        return False
