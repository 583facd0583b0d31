"""Work is given up when nobody waits for it."""

import asyncio
from typing import Any

import pytest

from doctune.disconnects import ClientGoneError, while_client_waits


class Client:
    """What a server hands to an application of a client that may leave."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            await self.left.wait()
        return {"type": "http.disconnect"}


def test_a_result_is_returned_and_nothing_is_left_running() -> None:
    async def scenario() -> tuple[int, int]:
        async def work() -> int:
            await asyncio.sleep(0)
            return 7

        result = await while_client_waits(Client().receive, work())
        await asyncio.sleep(0)
        return result, len(asyncio.all_tasks())

    assert asyncio.run(scenario()) == (7, 1)


def test_work_is_cancelled_when_the_client_leaves() -> None:
    async def scenario() -> list[str]:
        seen: list[str] = []
        client = Client()

        async def work() -> None:
            try:
                client.left.set()
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        with pytest.raises(ClientGoneError):
            await while_client_waits(client.receive, work())
        await asyncio.sleep(0)  # the task itself goes on: it was not cancelled
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        return seen

    assert asyncio.run(scenario()) == ["cancelled"]


def test_a_limit_of_time_outside_stays_a_limit_of_time() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(0.01):
            await while_client_waits(Client().receive, asyncio.sleep(60))

    with pytest.raises(TimeoutError):
        asyncio.run(scenario())


def test_a_failure_of_the_work_is_its_own() -> None:
    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(_waits(work))


async def _waits(work: Any) -> None:
    await while_client_waits(Client().receive, work())
