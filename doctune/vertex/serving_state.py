"""The state of an endpoint, by plain REST: the gateway's image has no Vertex AI SDK."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from doctune.errors import ConfigurationError, DeploymentError
from doctune.vertex.errors import google_errors
from doctune.vertex.labels import MANAGED_BY, is_invoked

VERTEX = "vertex:"
DEPLOYED_MODELS = "/deployedModels/"

CHAT_ROUTE = "/v1/chat/completions"  # of every engine

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_SECONDS = 20


@dataclass(frozen=True)
class EndpointAddress:
    """An endpoint, or a part of it, as settings and commands name it.

    `vertex:ENDPOINT`, by its display name; `vertex:ENDPOINT#MODEL` for one of several models or
    adapters that its server has; `vertex:ENDPOINT/deployedModels/ID` for one deployed model.
    """

    endpoint: str
    deployed_model_id: str = ""
    model: str = ""

    @classmethod
    def parse(cls, text: str) -> EndpointAddress:
        """Reads an address.

        Raises:
            ValueError: It is none.
        """
        place, _, model = text.removeprefix(VERTEX).partition("#")
        endpoint, names_one, deployed = place.partition(DEPLOYED_MODELS)
        if not text.startswith(VERTEX) or not endpoint or bool(names_one) != bool(deployed):
            raise ValueError(
                f"{text!r} is no endpoint: use {VERTEX}ENDPOINT, {VERTEX}ENDPOINT#MODEL or "
                f"{VERTEX}ENDPOINT{DEPLOYED_MODELS}ID"
            )
        return cls(endpoint, deployed, model)


@dataclass(frozen=True)
class ServedVersion:
    """A deployed model. `share` is its part of the traffic, in percent."""

    deployed_model_id: str
    model_version: str  # projects/P/locations/L/models/M@VERSION
    share: int


@dataclass(frozen=True)
class ServingState:
    """An endpoint and the versions it serves."""

    name: str  # projects/P/locations/L/endpoints/E
    host: str  # the host that predictions are sent to
    versions: tuple[ServedVersion, ...]  # those that get traffic
    idle: tuple[ServedVersion, ...] = ()  # those that are deployed without any
    invoked: bool = False  # its models are reached by their own routes

    @property
    def fingerprint(self) -> str:
        """A text that changes whenever the served versions or their shares do."""
        return ",".join(f"{v.deployed_model_id}={v.model_version}:{v.share}" for v in self.versions)

    def raw_url(self, *, stream: bool) -> str:
        """Returns where a chat goes to the model server as it is: `(stream)RawPredict`, or its own
        chat route."""
        if self.invoked:
            return f"https://{self.host}/v1/{self.name}/invoke{CHAT_ROUTE}"
        verb = "streamRawPredict" if stream else "rawPredict"
        return f"https://{self.host}/v1/{self.name}:{verb}"

    def invoke_url(self, deployed_model_id: str, route: str) -> str:
        """Returns the URL of a route of one deployed model's own server.

        Only models that were uploaded with `invoke_route_prefix` have it.
        """
        return (
            f"https://{self.host}/v1/{self.name}{DEPLOYED_MODELS}{deployed_model_id}/invoke{route}"
        )

    def version_of(self, deployed_model_id: str) -> str | None:
        """Returns the model version of a deployed model; None where it is not known."""
        for version in (*self.versions, *self.idle):
            if version.deployed_model_id == deployed_model_id:
                return version.model_version
        return None


class EndpointReader:
    """Reads endpoints from Vertex AI, with the default credentials. Its methods block."""

    def __init__(self, project: str, location: str) -> None:
        """Finds the credentials.

        Raises:
            ConfigurationError: There are none.
        """
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        self._project, self._location = project, location
        with google_errors("find Google Cloud credentials", ConfigurationError):
            self._credentials, _ = google.auth.default(scopes=_SCOPES)
        self._session = AuthorizedSession(self._credentials)

    @property
    def valid_token(self) -> str | None:
        """The access token if it is valid for some more minutes, else None; never blocks."""
        return str(self._credentials.token) if self._credentials.valid else None

    def token(self) -> str:
        """Returns an access token, refreshed if necessary.

        Raises:
            ConfigurationError: Google refuses to issue one.
        """
        from google.auth.transport.requests import Request

        if not self._credentials.valid:
            with google_errors("get an access token", ConfigurationError):
                self._credentials.refresh(Request())
        return str(self._credentials.token)

    def read(self, display_name: str) -> ServingState:
        """Returns the state of the endpoint with a display name; of several, doctune's
        oldest, which releases change.

        Raises:
            DeploymentError: There is none, or Vertex AI does not answer.
        """
        from google.api_core.exceptions import from_http_response

        host = f"{self._location}-aiplatform.googleapis.com"
        url = f"https://{host}/v1/projects/{self._project}/locations/{self._location}/endpoints"
        quoted = display_name.replace("\\", "\\\\").replace('"', '\\"')
        with google_errors(f"find the endpoint {display_name}", DeploymentError):
            answer = self._session.get(
                url, params={"filter": f'display_name="{quoted}"'}, timeout=_SECONDS
            )
            if not answer.ok:
                raise from_http_response(answer)
        found = answer.json().get("endpoints", [])
        if not found:
            raise DeploymentError(
                f"there is no endpoint {display_name} in {self._project}, {self._location}: "
                "deploy a model first (make run)."
            )
        return _state(min(found, key=_rank), host)


def _rank(endpoint: dict[str, Any]) -> tuple[bool, str, str]:
    """Puts the endpoint first that releases take, as `registry.preferred_resource` does."""
    ours = MANAGED_BY.items() <= endpoint.get("labels", {}).items()
    return not ours, str(endpoint.get("createTime", "")), str(endpoint["name"])


def _state(endpoint: dict[str, Any], host: str) -> ServingState:
    shares = endpoint.get("trafficSplit", {})
    versions = [
        ServedVersion(
            deployed_model_id=str(deployed["id"]),
            model_version=f"{deployed['model'].partition('@')[0]}@{deployed['modelVersionId']}"
            if deployed.get("modelVersionId")
            else str(deployed["model"]),
            share=int(shares.get(str(deployed["id"]), 0)),
        )
        for deployed in endpoint.get("deployedModels", [])
    ]
    versions.sort(key=lambda version: version.deployed_model_id)
    return ServingState(
        name=endpoint["name"],
        host=endpoint.get("dedicatedEndpointDns") or host,
        versions=tuple(version for version in versions if version.share > 0),
        idle=tuple(version for version in versions if version.share == 0),
        invoked=is_invoked(endpoint.get("labels", {})),
    )
