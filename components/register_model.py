"""Register a model as a new version, with its lineage and evaluation."""

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
    serving_engine: str = "native",
    serving_args: list = [],
    serving_environment: dict = {},
    shared_memory_mb: int = 0,
    deployment_seconds: int = 0,
    invoke_routes: bool = False,
    model_bucket: str = "",
    evaluation_bucket: str = "",
    data_bucket: str = "",
) -> None:
    """Registers the model with the alias `candidate`, and imports its evaluation with all slices.

    The model, its index, and the data and results of its evaluation are copied to buckets that
    retain them.
    Registering the same model again returns the same version.

    Args:
        model: The output of tune_model.
        scores: The output of evaluate_model.
        index: The output of build_index; its digest becomes a label.
        model_version: The version in the Model Registry.
        model_name: Display name in the Model Registry.
        serving_image: The image that serves the model.
        serving_engine: native, openvino or vllm, for the version's labels; auto: the engine that
            evaluate_model judged.
        serving_args: Arguments of the server's command.
        serving_environment: Environment variables of the server.
        shared_memory_mb: Shared memory of the server; 0: Vertex AI's default.
        deployment_seconds: Time limit until the server is healthy; 0: Vertex AI's default.
        invoke_routes: The server is reached by all its routes, on a dedicated endpoint, instead of
            by Predict.
        run: Name of the pipeline run, for the version's labels.
        commit: Commit that the images were built from, for the version's labels.
        model_bucket: gs://NAME that retains models; derived from staging_bucket where empty.
        evaluation_bucket: The same for results of evaluations.
        data_bucket: The same for training and test sets.
    """
    from doctune.artifacts import local_file
    from doctune.vertex import (
        ServingContainer,
        init_session,
        keep_evaluation,
        keep_index,
        register_model,
        served_by,
    )

    init_session(project, location, staging_bucket)
    engine, arguments = served_by(serving_engine, serving_args, scores.metadata)
    kept_index = keep_index(index.uri, evaluation_bucket=evaluation_bucket)
    registered = register_model(
        model.uri,
        model_name=model_name,
        serving_image=ServingContainer(
            image=serving_image,
            arguments=arguments,
            environment=serving_environment,
            shared_memory_mb=shared_memory_mb,
            deployment_seconds=deployment_seconds,
            invoked=invoke_routes,
        ),
        model_bucket=model_bucket,
        digest=model.metadata["digest"],
        labels={
            "documents": model.metadata["documents_digest"],
            "dataset": model.metadata["dataset_digest"],
            "index": index.metadata["digest"],
            "engine": engine,
            "judged_engine": scores.metadata.get("engine", ""),
            "answering": scores.metadata.get("answering", ""),
            "run": run,
            "commit": commit,
            "documents_kept_out": model.metadata.get("documents_kept_out", ""),
            "capped": bool(scores.metadata.get("capped")),
        },
        scores={
            **keep_evaluation(
                {**scores.metadata, "run": run},
                evaluation_bucket=evaluation_bucket,
                data_bucket=data_bucket,
            ),
            "index": kept_index,
        },
        scores_path=local_file(scores.uri),
    )
    model_version.uri = registered.artifact_uri
    model_version.metadata.update(
        resourceName=registered.version_name, version_id=registered.version_id, index=kept_index
    )
