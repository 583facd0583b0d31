"""Asks a gateway with LiteLLM's client, whole and streamed. Runs in an environment of its own."""

import asyncio
import json
import sys

import litellm


async def _asynchronously(asked: dict) -> str:
    stream = await litellm.acompletion(**asked, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def main(url: str, key: str) -> None:
    asked = {
        "model": "openai/handbook",
        "api_base": url,
        "api_key": key,
        "messages": [{"role": "user", "content": "What does the pump have?"}],
        "max_tokens": 8,
    }
    whole = litellm.completion(**asked)
    usage = {"stream_options": {"include_usage": True}}
    chunks = list(litellm.completion(**asked, stream=True, **usage))
    refused = ""
    try:
        litellm.completion(**{**asked, "api_key": "dtk_none_none"})
    except litellm.AuthenticationError as error:
        refused = type(error).__name__
    sys.stdout.write(
        json.dumps(
            {
                "whole": whole.choices[0].message.content,
                "tokens": whole.usage.total_tokens,
                "streamed": "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
                "streamed_tokens": chunks[-1].usage.total_tokens,
                "asynchronous": asyncio.run(_asynchronously(asked)),
                "refused": refused,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
