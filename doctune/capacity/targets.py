"""The targets of a load: an endpoint of Vertex AI, or any OpenAI-compatible address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from doctune.errors import UsageError

if TYPE_CHECKING:
    from doctune.vertex.serving_state import EndpointReader


@dataclass(frozen=True)
class Call:
    """The URL and the headers of a request."""

    url: str
    headers: dict[str, str]
    model: str


class Target(Protocol):
    """A target of a load."""

    name: str

    def call(self, *, stream: bool = True) -> Call:
        """Returns where to send a request. May block for a moment, for a token."""


class EndpointTarget:
    """An endpoint of Vertex AI, by `rawPredict` and `streamRawPredict`."""

    def __init__(self, display_name: str, reader: EndpointReader) -> None:
        """Finds the endpoint.

        Raises:
            DeploymentError: There is no such endpoint, or nothing is deployed there.
        """
        from doctune.errors import DeploymentError

        self.name, self._reader = display_name, reader
        self._state = reader.read(display_name)
        if not self._state.versions:
            raise DeploymentError(f"no model of the endpoint {display_name} gets traffic.")

    def call(self, *, stream: bool = True) -> Call:
        """Returns where to send a request."""
        token = self._reader.valid_token or self._reader.token()
        headers = {"Authorization": f"Bearer {token}"}
        return Call(self._state.raw_url(stream=stream), headers, self.name)


class AddressTarget:
    """`http(s)://HOST/v1#MODEL`: the gateway, a model server, or another's."""

    def __init__(self, address: str, key: str = "") -> None:
        """
        Raises:
            UsageError: The address is malformed.
        """
        self.name = address
        url, _, self._model = address.partition("#")
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"{address} is no address: give it as http://HOST:PORT/v1#MODEL.")
        self._url = f"{url.rstrip('/')}/chat/completions"
        # A gateway would answer repeated questions from its cache.
        self._headers = {"Cache-Control": "no-store"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def call(self, *, stream: bool = True) -> Call:
        """Returns where to send a request."""
        return Call(self._url, self._headers, self._model)
