"""Find a registered model version and its training set."""

from google_cloud_pipeline_components.types.artifact_types import VertexModel
from kfp import dsl

from components import images


@dsl.component(base_image=images.OPS, install_kfp_package=False)
def find_version(
    model: dsl.Output[dsl.Model],
    train_set: dsl.Output[dsl.Dataset],
    registered: dsl.Output[VertexModel],
    model_name: str,
    version: str,
    project: str,
    location: str,
    staging_bucket: str,
    train_uri: str = "",
) -> str:
    """Returns the version's resource name, including its number.

    Args:
        model: The version's artifact, as tune_model wrote it.
        train_set: The JSONL that it was trained on.
        registered: The version in the Model Registry, for Google's own components.
        model_name: Display name in the Model Registry.
        version: A number, or an alias such as "champion".
        train_uri: JSONL of training examples; empty: what the version's evaluation names.
    """
    from doctune.vertex import find_version, init_session, training_set_of
    from doctune.vertex.session import resource_url

    init_session(project, location, staging_bucket)
    found = find_version(model_name, version)
    model.uri = found.uri
    model.metadata.update(digest=found.digest, version=found.version_id)
    train_set.uri = training_set_of(found, train_uri)
    registered.uri = resource_url(found.name)
    registered.metadata.update(resourceName=found.name)
    return found.name
