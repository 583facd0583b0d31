"""Register a model that passed the gate, and deploy it to the endpoint."""

from kfp import dsl

from components import images
from components.register_model import register_model
from doctune.configuration.settings import load_vertex_settings
from pipelines import machines
from pipelines.steps.deploy_version import deploy_version

# Settled at compile time, as the endpoint's machine is: the engine must run on it.
SETTINGS = load_vertex_settings()
SERVING = SETTINGS.serving_plan
_ENGINES_IMAGE = images.SERVING_VLLM if SERVING.engine == "vllm" else images.SERVING


@dsl.pipeline(name="release-model", description="Registers a model and deploys it.")
def release_model(
    model: dsl.Input[dsl.Model],
    scores: dsl.Input[dsl.Metrics],
    index: dsl.Input[dsl.Artifact],
    judged_against: str,
    model_name: str,
    endpoint_name: str,
    question: str,
    project: str,
    location: str,
    staging_bucket: str,
    model_bucket: str,
    evaluation_bucket: str,
    data_bucket: str,
    rollout: str,
    experiment: dict,
) -> None:
    version = register_model(
        model=model,
        scores=scores,
        index=index,
        model_name=model_name,
        serving_image=SERVING.image or _ENGINES_IMAGE,
        serving_engine=SERVING.engine,
        serving_args=list(SERVING.arguments),
        shared_memory_mb=SERVING.shared_memory_mb,
        deployment_seconds=SERVING.deployment_seconds,
        invoke_routes=SETTINGS.endpoint.routes == "invoke",
        project=project,
        location=location,
        staging_bucket=staging_bucket,
        run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        commit=images.TAG,
        model_bucket=model_bucket,
        evaluation_bucket=evaluation_bucket,
        data_bucket=data_bucket,
    ).set_display_name("Register model")

    # Never cached: the registry may have changed. The step is idempotent.
    machines.ops(version).set_caching_options(enable_caching=False)

    deploy_version(
        model_version=version.outputs["model_version"],
        endpoint_name=endpoint_name,
        question=question,
        project=project,
        location=location,
        staging_bucket=staging_bucket,
        judged_against=judged_against,
        rollout=rollout,
        experiment=experiment,
    ).set_display_name("Deploy version")
