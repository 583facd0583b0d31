"""BigQuery: led to the emulator that the configuration names, refused without one."""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from doctune.localvertex.bigquery_front import BigQueryFront
from tests.localvertex.conftest import PROGRAMS

EMULATOR = (sys.executable, str(PROGRAMS / "bigquery.py"), "{port}", "{folder}", "{buckets}")
PATH = "/bigquery/v2/projects/p/queries?prettyPrint=false"


@asynccontextmanager
async def front(command, folder):
    async with aiohttp.ClientSession(
        auto_decompress=False, timeout=aiohttp.ClientTimeout(total=60)
    ) as session:
        bigquery = BigQueryFront(
            command, folder / "bigquery", folder / "storage", dict(os.environ), session
        )
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", bigquery.answer)
        async with TestClient(TestServer(application)) as client:
            try:
                yield client
            finally:
                await bigquery.stop()


def ask(command, folder, *, times=1):
    """Asks the same at the same time; returns the statuses and the documents."""

    async def one(client):
        async with client.post(PATH, data=b'{"query": "SELECT 1"}') as answer:
            return answer.status, json.loads(await answer.read())

    async def run():
        async with front(command, folder) as client:
            return await asyncio.gather(*[one(client) for _ in range(times)])

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_a_request_reaches_the_emulator_as_it_was_sent(tmp_path):
    first, second = ask(EMULATOR, tmp_path, times=2)
    assert first == second
    status, answer = first
    assert (status, answer["method"], answer["path"]) == (200, "POST", PATH)
    assert answer["body"] == '{"query": "SELECT 1"}'
    assert answer["arguments"] == [str(tmp_path / "bigquery"), str(tmp_path / "storage")]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ((sys.executable, "-c", "raise SystemExit('no such table file')"), "no such table file"),
        (("no-such-emulator",), "no-such-emulator"),
    ],
    ids=["dies", "missing"],
)
def test_an_emulator_that_does_not_start_says_why_and_is_not_asked_again_and_again(
    tmp_path, command, reason
):
    ((status, answer),) = ask(command, tmp_path)
    assert status == 400  # clients repeat a 503 for ten minutes
    assert reason in answer["error"]["message"]


def test_without_an_emulator_bigquery_is_refused_with_what_to_configure(tmp_path):
    ((status, answer),) = ask((), tmp_path)
    assert status == 501
    assert "local.bigquery of vertex_config.yaml" in answer["error"]["message"]
