"""Register a model as a new version, traceable to its data."""

from google_cloud_pipeline_components.types.artifact_types import VertexModel
from kfp import dsl

from components import images


@dsl.component(base_image=images.OPS, install_kfp_package=False)
def register_model(
    model: dsl.Input[dsl.Model],
    scores: dsl.Input[dsl.Metrics],
    index: dsl.Input[dsl.Artifact],
    model_version: dsl.Output[VertexModel],
    model_name: str,
    serving_image: str,
    project: str,
    location: str,
    staging_bucket: str,
    run: str,
    commit: str,
) -> None:
    """Registers the model with alias `candidate` and imports its evaluation, slices and all.

    Registering the same model again gives the same version.

    Args:
        model: The output of tune_model.
        scores: The output of evaluate_model.
        index: The output of build_index, whose digest becomes a label.
        model_version: The version in the Model Registry.
        model_name: Display name in the Model Registry.
        serving_image: The image that serves it.
        run: Name of the pipeline run, for the version's labels.
        commit: What the images were built from, for the version's labels.
    """
    from doctune.artifacts import local_file
    from doctune.vertex import init_session, register_model

    init_session(project, location, staging_bucket)
    registered = register_model(
        model.uri,
        model_name=model_name,
        serving_image=serving_image,
        staging_bucket=staging_bucket,
        digest=model.metadata["digest"],
        labels={
            "documents": model.metadata["documents_digest"],
            "dataset": model.metadata["dataset_digest"],
            "index": index.metadata["digest"],
            "run": run,
            "commit": commit,
            "documents_kept_out": model.metadata.get("documents_kept_out", ""),
            "capped": bool(scores.metadata.get("capped")),
        },
        scores={**scores.metadata, "run": run},
        scores_path=local_file(scores.uri),
    )
    model_version.uri = registered.artifact_uri
    model_version.metadata.update(
        resourceName=registered.version_name, version_id=registered.version_id
    )
