"""Register a model that passed the gate, and deploy it to the endpoint."""

from kfp import dsl

from components import images
from components.deploy_model import deploy_model
from components.register_model import register_model
from doctune.configuration.settings import load_vertex_settings
from pipelines import machines

ENDPOINT = load_vertex_settings().endpoint


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
) -> None:
    version = register_model(
        model=model,
        scores=scores,
        index=index,
        model_name=model_name,
        serving_image=images.SERVING,
        project=project,
        location=location,
        staging_bucket=staging_bucket,
        run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        commit=images.TAG,
        model_bucket=model_bucket,
        evaluation_bucket=evaluation_bucket,
        data_bucket=data_bucket,
    ).set_display_name("Register model")

    deployed = deploy_model(
        model_version=version.outputs["model_version"],
        endpoint_name=endpoint_name,
        project=project,
        location=location,
        staging_bucket=staging_bucket,
        judged_against=judged_against,
        run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        smoke_prompt=question,
        machine_type=ENDPOINT.machine_type,
        min_replica_count=ENDPOINT.min_replica_count,
        max_replica_count=ENDPOINT.max_replica_count,
        accelerator_type=ENDPOINT.accelerator_type,
        accelerator_count=ENDPOINT.accelerator_count,
        service_account=ENDPOINT.service_account,
        autoscaling_target=ENDPOINT.autoscaling_target,
        traffic_percentage=ENDPOINT.traffic_percentage,
        rollout=rollout,
        canary_steps=ENDPOINT.canary_steps,
        canary_seconds=ENDPOINT.canary_seconds,
        canary_error_rate=ENDPOINT.canary_error_rate,
    ).set_display_name("Deploy model")

    # Never cached: registry and endpoints may have changed. The steps are idempotent.
    for task in (version, deployed):
        machines.ops(task).set_caching_options(enable_caching=False)
