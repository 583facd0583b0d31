"""Cache, fallbacks, the queue, clients that leave, and the log of it all."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import openai
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from doctune.cli import app
from doctune.cli.probe import KEY_VARIABLE
from doctune.database.tables import Feedback, Prediction
from doctune.errors import DeploymentError
from doctune.processes import stop_process
from tests.gateway.conftest import MESSAGES, ROOT, Gateway, start_gateway, stop_gateway
from tests.gateway.upstream import WORDS, FakeUpstream

TEXT = "".join(WORDS)
WAIT_SECONDS = 30


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {WAIT_SECONDS} s for {what}")
        time.sleep(0.05)


def logged(gateway: Gateway, prediction_id: str) -> Prediction:
    def find() -> Prediction | None:
        with Session(gateway.engine) as session:
            row = session.scalars(
                select(Prediction).where(Prediction.id == prediction_id)
            ).one_or_none()
            session.expunge_all()
            return row

    until(find, f"the prediction {prediction_id}")
    return find()  # type: ignore[return-value]


def count(gateway: Gateway) -> int:
    with Session(gateway.engine) as session:
        return len(session.scalars(select(Prediction.id)).all())


# The synthetic question


def test_the_synthetic_question_is_answered_by_no_cache_or_says_why_not(
    fronted: Gateway, faulty: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, fronted.key)
    for _ in range(2):
        asked = CliRunner().invoke(app, ["probe", f"{fronted.url}/v1#handbook"])
        assert asked.exit_code == 0
        assert asked.stdout.startswith("answered in ")
    assert faulty.requests == 2
    monkeypatch.setenv(KEY_VARIABLE, "wrong")
    refused = CliRunner().invoke(app, ["probe", f"{fronted.url}/v1#handbook"])
    assert isinstance(refused.exception, DeploymentError)
    assert str(refused.exception) == f"{fronted.url}/v1#handbook did not answer: 401."


# The cache


def test_a_deterministic_request_is_asked_once(fronted: Gateway, faulty: FakeUpstream) -> None:
    first, second = fronted.chat(), fronted.chat()
    assert [a.headers["x-doctune-cache"] for a in (first, second)] == ["miss", "hit"]
    assert second.json()["choices"] == first.json()["choices"]
    assert faulty.requests == 1
    streamed = fronted.chat(stream=True)
    assert streamed.headers["x-doctune-cache"] == "hit"
    assert TEXT in streamed.text
    assert fronted.chat(temperature=1.0).headers["x-doctune-cache"] == "off"
    assert fronted.chat(temperature=1.0, seed=1).headers["x-doctune-cache"] == "miss"


@pytest.mark.parametrize(
    ("header", "second", "asked"), [("no-cache", "miss", 2), ("no-store", "off", 2)]
)
def test_cache_control_is_honoured(
    fronted: Gateway, faulty: FakeUpstream, header: str, second: str, asked: int
) -> None:
    fronted.chat()
    answer = fronted.chat(headers={"cache-control": header})
    assert answer.headers["x-doctune-cache"] == second
    assert faulty.requests == asked


def test_one_computes_and_equal_requests_wait_for_it(
    fronted: Gateway, faulty: FakeUpstream
) -> None:
    faulty.delay = 0.5

    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=30, headers=fronted.headers()) as client:
            body = {"model": "handbook", "messages": MESSAGES}
            url = f"{fronted.url}/v1/chat/completions"
            return list(await asyncio.gather(*(client.post(url, json=body) for _ in range(10))))

    answers = asyncio.run(run())
    assert {answer.status_code for answer in answers} == {200}
    assert faulty.requests == 1
    assert sorted(a.headers["x-doctune-cache"] for a in answers) == ["hit"] * 9 + ["miss"]


def test_equal_streams_wait_for_the_first_and_a_client_that_leaves_frees_the_next(
    fronted: Gateway, faulty: FakeUpstream
) -> None:
    url = f"{fronted.url}/v1/chat/completions"
    body = {"model": "handbook", "messages": MESSAGES, "stream": True}
    faulty.mode = "endless"
    with httpx.stream("POST", url, json=body, headers=fronted.headers(), timeout=30) as first:
        pieces = first.iter_raw()  # kept: the connection closes with it
        next(pieces)

        async def run() -> list[httpx.Response]:
            async with httpx.AsyncClient(timeout=30, headers=fronted.headers()) as client:
                waiting = [asyncio.create_task(client.post(url, json=body)) for _ in range(5)]
                await asyncio.sleep(0.5)
                assert faulty.requests == 1
                faulty.mode = "ok"
                await asyncio.to_thread(first.close)
                return list(await asyncio.gather(*waiting))

        answers = asyncio.run(run())
    assert all(TEXT.split()[-1] in answer.text for answer in answers)
    assert sorted(a.headers["x-doctune-cache"] for a in answers) == ["hit"] * 4 + ["miss"]
    assert faulty.requests == 2


def test_no_tenant_is_answered_from_anothers_cache(fronted: Gateway, faulty: FakeUpstream) -> None:
    fronted.chat()
    key = fronted.new_key("somebody-else")
    assert fronted.chat(key).headers["x-doctune-cache"] == "miss"
    assert faulty.requests == 2


# Faults of upstreams


@pytest.mark.parametrize("mode", ["error", "slow"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_next_upstream_answers_where_the_first_does_not(
    fronted: Gateway, faulty: FakeUpstream, spare: FakeUpstream, mode: str, stream: bool
) -> None:
    faulty.mode = mode
    answer = fronted.chat(stream=stream)
    assert answer.status_code == 200
    assert answer.headers["x-doctune-fallback"] == "true"
    assert answer.headers["x-doctune-upstream"] == spare.address
    assert spare.requests == 1
    assert fronted.chat(stream=stream).headers.get("x-doctune-cache") != "hit"


def test_an_upstream_that_fails_again_and_again_is_left_alone(
    fronted: Gateway, faulty: FakeUpstream
) -> None:
    faulty.mode = "error"
    for seed in range(6):
        assert fronted.chat(seed=seed).status_code == 200
    assert faulty.requests == 3


def test_where_no_upstream_answers_the_client_is_told_when_to_try_again(
    fronted: Gateway, faulty: FakeUpstream, spare: FakeUpstream
) -> None:
    faulty.mode = spare.mode = "error"
    answer = fronted.chat()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["error"]["code"] == "upstream_unavailable"


def test_a_stream_that_breaks_off_ends_with_an_error_event_and_is_no_success(
    fronted: Gateway, faulty: FakeUpstream
) -> None:
    faulty.mode = "break"
    answer = fronted.chat(stream=True)
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert json.loads(events[-1])["error"]["code"] == "stream_interrupted"
    client = openai.OpenAI(base_url=f"{fronted.url}/v1", api_key=fronted.key, max_retries=0)
    asked: Any = {"model": "handbook", "messages": MESSAGES, "seed": 3}
    with pytest.raises(openai.APIError, match="broke off"):
        list(client.chat.completions.create(**asked, stream=True))
    assert "[DONE]" not in events
    row = logged(fronted, answer.headers["x-request-id"])
    assert (row.status, row.answer) == (502, "the pump has ")
    faulty.mode = "ok"
    assert fronted.chat(stream=True).headers["x-doctune-cache"] == "miss"


def test_what_cannot_be_served_in_time_is_refused_and_not_left_to_hang(
    fronted: Gateway, faulty: FakeUpstream
) -> None:
    faulty.delay = 1.9

    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=30, headers=fronted.headers()) as client:
            url = f"{fronted.url}/v1/chat/completions"
            bodies = [{"model": "handbook", "messages": MESSAGES, "seed": n} for n in range(9)]
            return list(await asyncio.gather(*(client.post(url, json=body) for body in bodies)))

    answers = asyncio.run(run())
    statuses = [answer.status_code for answer in answers]
    codes = {a.json()["error"]["code"] for a in answers if a.status_code == 503}
    assert statuses.count(200) == 4
    assert codes == {"queue_full", "queue_timeout"}
    assert all("retry-after" in a.headers for a in answers if a.status_code == 503)


def test_clients_that_leave_in_mid_stream_leave_nothing_behind(
    fronted: Gateway, faulty: FakeUpstream
) -> None:
    faulty.mode = "endless"
    body = {"model": "handbook", "messages": MESSAGES, "stream": True}
    for seed in range(40):
        with httpx.stream(
            "POST",
            f"{fronted.url}/v1/chat/completions",
            json=body | {"seed": seed},
            headers=fronted.headers(),
            timeout=30,
        ) as stream:
            assert stream.status_code == 200
            next(stream.iter_raw())
    until(lambda: faulty.open_streams == 0, "the upstream's streams to end")
    faulty.mode = "ok"
    assert fronted.chat().status_code == 200
    assert "doctune_gateway_in_flight 0.0" in fronted.get("/metrics").text
    until(lambda: count(fronted) == 41, "41 predictions in the log")
    with Session(fronted.engine) as session:
        assert session.scalars(select(Prediction.status)).all().count(499) == 40


# The log


def test_the_log_knows_what_was_asked_and_answered(gateway: Gateway) -> None:
    metadata = {"conversation_id": "c-1"}
    answer = gateway.chat(user="bob", metadata=metadata, temperature=1.0, seed=4)
    row = logged(gateway, answer.json()["id"])
    assert row.messages == MESSAGES
    assert row.answer == answer.json()["choices"][0]["message"]["content"]
    assert row.completion_tokens == answer.json()["usage"]["completion_tokens"]
    assert (row.owner, row.status, row.conversation_id) == ("tests", 200, "c-1")
    assert row.end_user not in (None, "bob")
    assert row.total_ms > 0


def test_a_stream_is_logged_with_the_time_to_its_first_token(gateway: Gateway) -> None:
    answer = gateway.chat(stream=True, temperature=1.0, seed=9)
    row = logged(gateway, answer.headers["x-request-id"])
    assert row.first_token_ms is not None
    assert row.first_token_ms <= row.total_ms
    assert row.completion_tokens > 0


def test_a_refused_request_is_logged_as_refused(fronted: Gateway, faulty, spare) -> None:
    faulty.mode = spare.mode = "error"
    fronted.chat()
    until(lambda: count(fronted) == 1, "a prediction")
    with Session(fronted.engine) as session:
        assert session.scalars(select(Prediction.status)).one() == 503


def test_content_can_be_redacted(faulty: FakeUpstream, tmp_path) -> None:
    options = {
        "models": {"handbook": {"upstreams": [faulty.address]}},
        "log": {"content": "redacted", "redact_patterns": ["pump"]},
    }
    gateway = start_gateway(tmp_path, options)
    try:
        said = "I am ana@example.com, card 4111 1111 1111 1111."
        answer = gateway.chat(messages=[{"role": "user", "content": said}])
        row = logged(gateway, answer.json()["id"])
    finally:
        stop_gateway(gateway)
    assert row.messages[0]["content"] == "I am [e-mail], card [card]."  # type: ignore[index]
    assert row.answer == TEXT.replace("pump", "[redacted]")


def test_sigterm_writes_everything_and_kill_loses_a_second_at_most(
    faulty: FakeUpstream, tmp_path
) -> None:
    options = {"models": {"handbook": {"upstreams": [faulty.address]}}}
    gateway = start_gateway(tmp_path, options)
    for seed in range(20):
        assert gateway.chat(seed=seed).status_code == 200
    stop_process(gateway.process.pid)
    assert gateway.process.wait(40) == 0
    assert count(gateway) == 20

    again = start_gateway(tmp_path, options, gateway.database_url)
    for seed in range(20):
        again.chat(seed=seed)
    time.sleep(1)
    os.kill(again.process.pid, signal.SIGKILL)
    again.process.wait(40)
    assert count(gateway) == 40


def test_no_text_and_no_key_is_in_the_gateways_own_log(gateway: Gateway) -> None:
    gateway.chat(messages=[{"role": "user", "content": "a very secret question"}])
    log = (gateway.folder / "gateway.log").read_text()
    assert "secret question" not in log
    assert gateway.key not in log


# Feedback


def test_feedback_is_kept_with_all_its_versions(gateway: Gateway) -> None:
    prediction = gateway.chat(temperature=1.0, seed=21).json()["id"]
    said = {"prediction_id": prediction, "kind": "rating", "rating": "down"}
    assert gateway.post("/v1/feedback", said).status_code == 201
    assert gateway.post("/v1/feedback", said | {"rating": "up"}).status_code == 201
    correction = {"prediction_id": prediction, "kind": "correction", "correction": "a valve"}
    assert gateway.post("/v1/feedback", correction).status_code == 201
    with Session(gateway.engine) as session:
        rows = session.scalars(
            select(Feedback)
            .where(Feedback.prediction_id == prediction)
            .order_by(Feedback.kind, Feedback.version)
        ).all()
        assert [(r.kind, r.version, r.value) for r in rows] == [
            ("correction", 1, {"correction": "a valve"}),
            ("rating", 1, {"rating": "down"}),
            ("rating", 2, {"rating": "up"}),
        ]


def test_the_same_feedback_sent_twice_is_kept_once(gateway: Gateway) -> None:
    prediction = gateway.chat(temperature=1.0, seed=22).json()["id"]
    said = {
        "prediction_id": prediction,
        "kind": "rating",
        "rating": 4,
        "idempotency_key": f"once-{prediction}",
    }
    ids = {gateway.post("/v1/feedback", said).json()["id"] for _ in range(3)}
    assert len(ids) == 1


@pytest.mark.parametrize("prediction", ["chatcmpl-0", "nonsense", "chatcmpl-" + "0" * 32])
def test_feedback_on_an_unknown_prediction_is_404(gateway: Gateway, prediction: str) -> None:
    said = {"prediction_id": prediction, "kind": "comment", "comment": "?"}
    assert gateway.post("/v1/feedback", said).status_code == 404


def test_feedback_on_anothers_prediction_is_404(gateway: Gateway) -> None:
    prediction = gateway.chat(temperature=1.0, seed=23).json()["id"]
    other = gateway.new_key("another-tenant")
    said = {"prediction_id": prediction, "kind": "rating", "rating": "up"}
    assert gateway.post("/v1/feedback", said, other).status_code == 404


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "rating"},
        {"kind": "rating", "rating": 6},
        {"kind": "rating", "rating": "up", "comment": "?"},
        {"kind": "praise", "comment": "?"},
    ],
)
def test_feedback_that_says_nothing_clear_is_refused(gateway: Gateway, said: dict) -> None:
    answer = gateway.post("/v1/feedback", {"prediction_id": "chatcmpl-0", **said})
    assert answer.status_code == 400


# The command


def test_usage_tail_and_forget_read_the_log(gateway: Gateway) -> None:
    def run(*arguments: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "doctune", "gateway", *arguments],
            env={
                **os.environ,
                "DATABASE_URL": gateway.database_url,
                "DOCTUNE_CONFIG": str(gateway.folder / "config"),
                "PYTHONPATH": str(ROOT),
            },
            cwd=gateway.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    prediction = gateway.chat(user="carol", temperature=1.0, seed=31).json()["id"]
    logged(gateway, prediction)
    assert "handbook" in run("usage", "--csv")
    day = f"{datetime.now(UTC):%Y-%m}-"
    rows = [line.split() for line in run("usage").splitlines() if line.startswith(day)]
    assert rows
    assert all(len(row) == 7 and "…" not in "".join(row) for row in rows)
    assert prediction in run("tail", "-n", "50", "--json")
    assert "Erased 1 predictions, 0 pieces of feedback and 0 conversations" in run(
        "forget", "--user", "carol"
    )
    assert "Nothing is kept of carol" in run("forget", "--user", "carol")
    assert prediction not in run("tail", "-n", "50", "--json")


def test_a_preference_and_a_label_are_taken_and_an_unknown_label_is_not(gateway: Gateway) -> None:
    one, two = (gateway.chat(temperature=1.0, seed=seed).json()["id"] for seed in (24, 25))
    about = {"prediction_id": one}
    preference = {"better": "other", "other_prediction_id": two}
    said = [
        {"kind": "preference", "preference": preference},
        {"kind": "label", "label": "incomplete", "source": "annotator"},
    ]
    for fields in said:
        assert gateway.post("/v1/feedback", about | fields).status_code == 201
    unknown = gateway.post("/v1/feedback", about | {"kind": "label", "label": "meh"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "label")
    foreign = preference | {"other_prediction_id": "chatcmpl-" + "0" * 32}
    answer = gateway.post("/v1/feedback", about | {"kind": "preference", "preference": foreign})
    assert answer.status_code == 404


def test_an_idempotency_key_for_something_else_is_a_conflict(gateway: Gateway) -> None:
    prediction = gateway.chat(temperature=1.0, seed=26).json()["id"]
    said = {"prediction_id": prediction, "kind": "rating", "idempotency_key": f"k-{prediction}"}
    assert gateway.post("/v1/feedback", said | {"rating": "up"}).status_code == 201
    assert gateway.post("/v1/feedback", said | {"rating": "down"}).status_code == 409
