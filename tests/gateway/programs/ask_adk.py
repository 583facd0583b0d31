"""Asks a gateway with an agent of Google's ADK. Runs in an environment of its own."""

import asyncio
import json
import sys

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import InMemoryRunner
from google.genai import types


async def main(url: str, key: str) -> None:
    model = LiteLlm(model="openai/handbook", api_base=url, api_key=key, max_tokens=8)
    agent = LlmAgent(name="reader", model=model, instruction="You answer briefly.")
    runner = InMemoryRunner(agent=agent, app_name="tests")
    found = {}
    for name, mode in (("whole", StreamingMode.NONE), ("streamed", StreamingMode.SSE)):
        session = await runner.session_service.create_session(app_name="tests", user_id="ana")
        message = types.Content(role="user", parts=[types.Part(text="What does the pump have?")])
        pieces, final = 0, ""
        async for event in runner.run_async(
            user_id="ana",
            session_id=session.id,
            new_message=message,
            run_config=RunConfig(streaming_mode=mode),
        ):
            text = "".join(
                part.text or "" for part in (event.content.parts if event.content else [])
            )
            if event.partial:
                pieces += 1
            else:
                final = text
        found[name] = {"text": final, "pieces": pieces}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
