"""An endpoint of the local Vertex AI that runs the model of `gateway_upstream.py`."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

NAME = "benchmark"
_PROJECT, _LOCATION = "local-project", "us-central1"


@contextlib.contextmanager
def local_endpoint(folder: Path, program: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Deploys it; yields how the gateway names it, and the environment that leads there."""
    from doctune.localvertex import LocalVertex, LocalVertexConfig

    config = LocalVertexConfig(
        project=_PROJECT,
        location=_LOCATION,
        state_dir=folder / "state",
        programs={"*/mock:*": ["{python}", str(program)]},
    )
    before = dict(os.environ)
    with LocalVertex.attach_or_start(config) as local:
        try:
            os.environ.update(local.environment)
            _deploy()
            environment = {
                **local.environment,
                "DOCTUNE_VERTEX_PROJECT": _PROJECT,
                "DOCTUNE_VERTEX_LOCATION": _LOCATION,
            }
            yield f"vertex:{NAME}", environment
        finally:
            os.environ.clear()
            os.environ.update(before)


def _deploy() -> None:
    from google.cloud import aiplatform

    aiplatform.init(project=_PROJECT, location=_LOCATION)
    model = aiplatform.Model.upload(
        display_name=NAME,
        serving_container_image_uri="images/mock:1",
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
    )
    endpoint = aiplatform.Endpoint.create(display_name=NAME)
    model.deploy(endpoint=endpoint, machine_type="n1-standard-4", traffic_percentage=100)
