"""An OpenAI-compatible server whose speed is known: so many answers at a time, each as long."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

TOKENS = 4


@contextmanager
def slow_server(seconds: float, *, refuse: bool = False, at_once: int = 1) -> Iterator[str]:
    """Yields the address of a server that takes so long for an answer."""
    loop = asyncio.new_event_loop()
    turn = asyncio.Semaphore(at_once)

    async def complete(request: web.Request) -> web.StreamResponse:
        if refuse:
            return web.json_response({"error": {"message": "full"}}, status=429)
        body = await request.json()
        assert body["stream"]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        async with turn:
            await response.prepare(request)
            for number in range(TOKENS):
                await asyncio.sleep(seconds / TOKENS)
                await send(response, {"choices": [{"delta": {"content": f"t{number} "}}]})
        await send(response, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 7, "completion_tokens": TOKENS}
        await send(response, {"choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")
        return response

    async def healthy(_: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ready"})

    async def send(response: web.StreamResponse, document: object) -> None:
        await response.write(b"data: " + json.dumps(document).encode() + b"\n\n")

    async def start() -> tuple[web.AppRunner, int]:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", complete)
        app.router.add_get("/health", healthy)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner, runner.addresses[0][1]

    runner, port = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/v1#tuned"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
