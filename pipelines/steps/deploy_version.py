"""Deploy a version; where the rollout says so, an experiment decides on it."""

from google_cloud_pipeline_components.types.artifact_types import VertexModel
from kfp import dsl

from components.deploy_model import deploy_model
from components.run_experiment import run_experiment
from doctune.configuration.settings import load_vertex_settings
from pipelines import machines

ENDPOINT = load_vertex_settings().endpoint


@dsl.pipeline(name="deploy-version", description="Deploys a version; an experiment may decide.")
def deploy_version(
    model_version: dsl.Input[VertexModel],
    endpoint_name: str,
    question: str,
    project: str,
    location: str,
    staging_bucket: str,
    judged_against: str,
    rollout: str,
    experiment: dict,
) -> None:
    deployed = deploy_model(
        model_version=model_version,
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
        experiment=experiment,
        dedicated_endpoint=ENDPOINT.routes != "shared",
    ).set_display_name("Deploy model")
    # Never cached: endpoints may have changed. Both steps are idempotent.
    machines.ops(deployed).set_caching_options(enable_caching=False)

    with dsl.If(deployed.outputs["Output"] != "", name="experiment"):
        decided = run_experiment(
            name=deployed.outputs["Output"],
            project=project,
            location=location,
            staging_bucket=staging_bucket,
            experiment=experiment,
        ).set_display_name("Run experiment")
        machines.ops(decided).set_caching_options(enable_caching=False)
