"""Gemini as a stage, through Google's client: for those who allow that it sees the passages.

Key or project come from the environment, as google-genai reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from doctune.agent.messages import Message
from doctune.agent.stages import StageAnswer, StageError
from doctune.errors import ConfigurationError
from doctune.gemini import gemini_client

if TYPE_CHECKING:
    from google.genai import Client

GEMINI = "gemini:"


class GeminiStage:
    """Asks a Gemini model."""

    def __init__(self, name: str, seconds: float) -> None:
        """Creates the client.

        Args:
            name: `gemini:MODEL`.

        Raises:
            ConfigurationError: The environment holds no credentials, or google-genai is missing.
        """
        self.name = name
        self.seconds = seconds
        self._model = name.removeprefix(GEMINI)
        self._client = _client(name, seconds)

    @property
    def versions(self) -> str:
        """The model's name; its version is known only from an answer."""
        return self.name

    async def ask(self, messages: Sequence[Message], most_tokens: int) -> StageAnswer:
        """Returns what the model says at temperature 0."""
        from google.genai import errors, types

        system = "\n\n".join(one.content for one in messages if one.role == "system")
        contents: list[Any] = [
            types.Content(
                role="model" if one.role == "assistant" else "user",
                parts=[types.Part(text=one.content)],
            )
            for one in messages
            if one.role != "system"
        ]
        settings = types.GenerateContentConfig(
            system_instruction=system or None, temperature=0.0, max_output_tokens=most_tokens
        )
        try:
            answer = await self._client.aio.models.generate_content(
                model=self._model, contents=contents, config=settings
            )
        # Its own errors, and those of the HTTP library and of google-auth, which it does not wrap.
        except Exception as error:
            status = f" {error.code}" if isinstance(error, errors.APIError) else ""
            raise StageError(f"{self.name}: {type(error).__name__}{status}") from error
        used = answer.usage_metadata
        return StageAnswer(
            text=answer.text or "",
            model_version=answer.model_version or self._model,
            prompt_tokens=(used.prompt_token_count or 0) if used else 0,
            completion_tokens=(used.candidates_token_count or 0) if used else 0,
        )


def _client(name: str, seconds: float) -> Client:
    try:
        from google.genai.types import HttpOptions, HttpRetryOptions

        # The next stage is the retry.
        retries = HttpRetryOptions(attempts=1)
        return gemini_client(HttpOptions(timeout=int(1000 * seconds), retry_options=retries))
    # google-genai raises ValueError; google-auth raises its own errors.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(
            f"the stage {name} cannot be asked ({reason}): set GOOGLE_API_KEY, or "
            "GOOGLE_GENAI_USE_VERTEXAI with GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_LOCATION."
        ) from error
