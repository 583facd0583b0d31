"""An upstream whose faults a test chooses, and which counts what reaches it."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator

from aiohttp import web

WORDS = ["the ", "pump ", "has ", "a ", "seal"]


class FakeUpstream:
    """Speaks OpenAI's wire in a thread. `mode`: ok, error, echo, slow, break, endless, tools."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.requests = 0
        self.models: list[str] = []  # that were asked for
        self.open_streams = 0
        self.delay = 0.0
        self.pause = 0.02  # between the pieces of an endless stream
        self.address = ""
        self.bodies: list[dict] = []  # of requests in the mode tools

    @classmethod
    @contextlib.contextmanager
    def run(cls) -> Iterator["FakeUpstream"]:
        upstream = cls()
        loop = asyncio.new_event_loop()
        started = threading.Event()

        async def start() -> None:
            app = web.Application()
            app.router.add_post("/v1/chat/completions", upstream._answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            upstream.address = f"http://127.0.0.1:{port}/v1#fake"
            upstream._runner = runner
            started.set()

        def work() -> None:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(start())
            loop.run_forever()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert started.wait(20), "the upstream did not start"
        try:
            yield upstream
        finally:
            asyncio.run_coroutine_threadsafe(upstream._runner.cleanup(), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(20)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        body = await request.json()
        self.models.append(body["model"])
        if self.mode == "error":
            return web.json_response({"error": {"message": "broken"}}, status=500)
        if self.mode == "echo" and not body.get("stream"):
            return web.json_response({"error": {"message": str(body)}}, status=500)
        if self.mode == "slow":
            await asyncio.sleep(30)
        if self.mode == "tools":
            return self._with_tools(body)
        await asyncio.sleep(self.delay)
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(WORDS)}
            usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({"choices": [choice], "usage": usage})
        return await self._stream(request, str(body))

    def _with_tools(self, body: dict) -> web.Response:
        """Calls the tool `stock`, and says what it returned."""
        self.bodies.append(body)
        last = body["messages"][-1]
        if last["role"] == "tool":
            said = f"There are {json.loads(last['content'])['pieces']} pieces."
            message = {"role": "assistant", "content": said}
        else:
            call = {"name": "stock", "arguments": '{"part": "filter", "town": "Lisbon"}'}
            calls = [{"id": "call_1", "type": "function", "function": call}]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})

    async def _stream(self, request: web.Request, asked: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        self.open_streams += 1
        try:
            await self._send(response, {"role": "assistant", "content": ""})
            for number, word in enumerate(WORDS):
                if self.mode == "break" and number == 3:
                    request.transport.close()  # type: ignore[union-attr]
                    return response
                await self._send(response, {"content": word})
            if self.mode == "echo":
                error = {"error": {"message": asked}}
                await response.write(f"data: {json.dumps(error)}\n\n".encode())
                return response
            while self.mode == "endless":
                await self._send(response, {"content": "and "})
                await asyncio.sleep(self.pause)
            await self._send(response, {}, "stop")
            usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
            await response.write(
                f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode()
            )
            await response.write(b"data: [DONE]\n\n")
        finally:
            self.open_streams -= 1
        return response

    async def _send(self, response, delta, finish_reason=None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        await response.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
