"""`doctune probe`: one synthetic question through the gateway, as a clock asks it."""

import asyncio
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from doctune.cli.app import app
from doctune.errors import DeploymentError

if TYPE_CHECKING:
    from doctune.capacity.client import Sample
    from doctune.capacity.targets import AddressTarget

KEY_VARIABLE = "DOCTUNE_PROBE_KEY"


@app.command("probe")
def probe(
    address: Annotated[
        str, typer.Argument(help="http(s)://HOST/v1#MODEL: the gateway as its users reach it.")
    ],
    question: Annotated[str, typer.Option(help="What is asked.")] = "What is this about?",
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 16,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds until it must be answered.")] = 60,
) -> None:
    """Ask a question; exit code 1 where no text comes back.

    The key is read from DOCTUNE_PROBE_KEY. The gateway answers from no cache.
    """
    from doctune.capacity.targets import AddressTarget

    target = AddressTarget(address, os.environ.get(KEY_VARIABLE, ""))
    sample = asyncio.run(_ask(target, question, max_tokens, timeout))
    if not sample.ok:
        raise DeploymentError(f"{address} did not answer: {sample.error}.")
    if sample.first_token is None:
        raise DeploymentError(f"{address} answered without a text.")
    typer.echo(f"answered in {sample.e2e:.2f} s, first token after {sample.ttft:.2f} s")


async def _ask(target: "AddressTarget", question: str, max_tokens: int, timeout: float) -> "Sample":
    from doctune.capacity.client import ask
    from doctune.vertex.http_session import open_session

    async with open_session() as session:
        return await ask(
            session,
            target.call(),
            [{"role": "user", "content": question}],
            due=0.0,
            origin=time.perf_counter(),
            max_tokens=max_tokens,
            timeout=timeout,
        )
