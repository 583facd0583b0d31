"""The serving container of a model version: its image, and how it is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import ModelContainerSpec

PREDICT_ROUTE = "/predict"  # of every engine
_EVERY_ROUTE = "/*"


@dataclass(frozen=True)
class ServingContainer:
    """A container that serves a model. It is fixed once a version is registered with it."""

    image: str
    arguments: tuple[str, ...] = ()  # passed to the image's entrypoint
    environment: Mapping[str, str] = field(default_factory=dict)
    shared_memory_mb: int = 0  # 0: Vertex AI's default
    deployment_seconds: int = 0  # time limit until it is healthy; 0: Vertex AI's default
    health_route: str = "/health"
    predict_route: str = PREDICT_ROUTE  # of Predict; none where it is invoked
    invoked: bool = (
        False  # reached by all its routes, on a dedicated endpoint, instead of by Predict
    )
    port: int = 8080

    def matches(self, spec: ModelContainerSpec) -> bool:
        """Returns whether a registered version has exactly this serving container."""
        # Where it is invoked, Vertex AI knows no predict route.
        return replace(self, predict_route=self._predict_route) == ServingContainer(
            image=spec.image_uri,
            arguments=tuple(spec.args),
            environment={variable.name: variable.value for variable in spec.env},
            shared_memory_mb=spec.shared_memory_size_mb,
            deployment_seconds=int(_duration(spec.deployment_timeout).total_seconds()),
            health_route=spec.health_route,
            predict_route=spec.predict_route,
            invoked=bool(spec.invoke_route_prefix),
            port=spec.ports[0].container_port if spec.ports else 0,
        )

    def upload_arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments of the SDK's `Model.upload` for this container."""
        return {
            "serving_container_image_uri": self.image,
            "serving_container_args": list(self.arguments) or None,
            "serving_container_environment_variables": dict(self.environment) or None,
            "serving_container_shared_memory_size_mb": self.shared_memory_mb or None,
            "serving_container_deployment_timeout": self.deployment_seconds or None,
            "serving_container_health_route": self.health_route,
            "serving_container_predict_route": self._predict_route or None,
            "serving_container_invoke_route_prefix": _EVERY_ROUTE if self.invoked else None,
            "serving_container_ports": [self.port],
        }

    @property
    def _predict_route(self) -> str:
        return "" if self.invoked else self.predict_route


def _duration(value: Any) -> timedelta:
    # A field that is not set reads as None, or as an empty message.
    return value if isinstance(value, timedelta) else timedelta()


def served_by(
    engine: str, arguments: Sequence[str], evaluation: Mapping[str, Any]
) -> tuple[str, tuple[str, ...]]:
    """Returns the engine that serves a model, and the arguments of its server.

    Args:
        engine: The engine; auto: that which the evaluation judged.
        arguments: The server's arguments; with auto those of any engine.
        evaluation: Metadata of the scores.
    """
    if engine != "auto":
        return engine, tuple(arguments)
    judged = evaluation["engine"]
    # The server's own default needs no argument, so that earlier versions are found again.
    own = () if judged == "native" else ("--engine", judged)
    return judged, (*own, *arguments)
