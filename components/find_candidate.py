"""Find a registered version that is to be released."""

from google_cloud_pipeline_components.types.artifact_types import VertexModel
from kfp import dsl

from components import images


@dsl.component(base_image=images.OPS, install_kfp_package=False)
def find_candidate(
    model_version: dsl.Output[VertexModel],
    model_name: str,
    version: str,
    project: str,
    location: str,
    staging_bucket: str,
) -> None:
    """Finds a version in the Model Registry.

    Args:
        model_version: The version.
        model_name: Display name in the Model Registry.
        version: A number, or an alias such as "candidate".
    """
    from doctune.vertex import find_version, init_session
    from doctune.vertex.session import resource_url

    init_session(project, location, staging_bucket)
    found = find_version(model_name, version)
    model_version.uri = resource_url(found.name)
    model_version.metadata.update(resourceName=found.name, version_id=found.version_id)
