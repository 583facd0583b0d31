"""The google-genai client, configured by the environment: Gemini's own API, or Vertex AI's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.genai import Client
    from google.genai.types import HttpOptions


def gemini_client(options: HttpOptions) -> Client:
    """Returns a client.

    Raises:
        Exception: ValueError, or an error of google-auth: the environment holds no credentials.
    """
    from google import genai

    return genai.Client(http_options=options, **_vertex_place())


def _vertex_place() -> dict[str, Any]:
    """Returns the arguments for Vertex AI; empty for Gemini's own API.

    google-genai could read them from the environment, but would ignore GOOGLE_VERTEX_BASE_URL.
    """
    if os.environ.get("GOOGLE_GENAI_USE_VERTEXAI", "").lower() not in ("true", "1"):
        return {}
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        return {"vertexai": True}
    location = os.environ.get("GOOGLE_CLOUD_LOCATION") or "global"
    return {"vertexai": True, "project": project, "location": location}
