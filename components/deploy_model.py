"""Deploy a model version: after a smoke test, in watched steps, or as an experiment's treatment."""

from google_cloud_pipeline_components.types.artifact_types import VertexEndpoint, VertexModel
from kfp import dsl

from components import images


@dsl.component(base_image=images.OPS, install_kfp_package=False)
def deploy_model(
    model_version: dsl.Input[VertexModel],
    endpoint: dsl.Output[VertexEndpoint],
    endpoint_name: str,
    project: str,
    location: str,
    staging_bucket: str,
    judged_against: str,
    run: str,
    smoke_prompt: str = "What is this?",
    machine_type: str = "n1-standard-4",
    min_replica_count: int = 1,
    max_replica_count: int = 1,
    accelerator_type: str = "",
    accelerator_count: int = 0,
    service_account: str = "",
    autoscaling_target: int = 0,
    traffic_percentage: int = 10,
    rollout: str = "direct",
    canary_steps: list = [10, 25, 50],
    canary_seconds: float = 300.0,
    canary_error_rate: float = 0.05,
    experiment: dict = {},
    dedicated_endpoint: bool = False,
) -> str:
    """Deploys the version and makes it the champion; a failed smoke test changes nothing.

    With the rollout `experiment` the version is deployed as a treatment that has no user yet, and
    `run_experiment` decides, unless no other version is released. Returns the experiment's name;
    empty where the version is the champion.

    Releases to one endpoint run one after the other. A release fails if the champion is no longer
    the one that the model was compared with.

    Args:
        model_version: The output of register_model.
        endpoint: The endpoint; created if there is none of that name.
        endpoint_name: Display name of the endpoint.
        judged_against: The output of find_champion: what the model was compared with.
        run: Name of the pipeline run; a retry resumes a release of the same run that was killed.
        smoke_prompt: A prompt that the new deployment must answer before it gets all traffic.
        machine_type: Machine of Compute Engine for each replica.
        min_replica_count: Fewest replicas.
        max_replica_count: Most replicas.
        accelerator_type: Such as NVIDIA_L4; empty for none.
        accelerator_count: Accelerators of each replica.
        service_account: E-mail of the model server's service account; empty: Vertex AI's default.
        autoscaling_target: Percent of CPU, or of a GPU's time, at which replicas are added; 0:
            Vertex AI's default, 60.
        traffic_percentage: Share of the traffic that a new version gets during its test.
        rollout: direct: all traffic after the test; canary: in watched steps; experiment: an A/B
            test against the champion decides.
        canary_steps: Percent of the traffic at each step of a canary.
        canary_seconds: How long each step of a canary is watched.
        canary_error_rate: Share of its predictions that a new version may fail; more roll it back.
        experiment: The contents of experiments.yaml, for the rollout `experiment`.
        dedicated_endpoint: Whether an endpoint that is created gets a host of its own. One for a
            version with invoke routes always does; there the version is tested without traffic.
    """
    from doctune.experiments.rollout import Release, roll_out
    from doctune.vertex import Canary, ServingMachine, init_session

    init_session(project, location, staging_bucket)
    release = Release(
        model_version=model_version.metadata["resourceName"],
        endpoint_name=endpoint_name,
        judged_against=judged_against,
        owner=run,
        smoke_prompt=smoke_prompt,
        machine=ServingMachine(
            machine_type=machine_type,
            min_replica_count=min_replica_count,
            max_replica_count=max_replica_count,
            accelerator_type=accelerator_type,
            accelerator_count=accelerator_count,
            service_account=service_account,
            autoscaling_target=autoscaling_target,
        ),
        canary=Canary(tuple(map(int, canary_steps)), canary_seconds, canary_error_rate),
        traffic_percentage=traffic_percentage,
        dedicated=dedicated_endpoint,
    )
    deployment = roll_out(release, rollout, experiment)
    endpoint.uri = deployment.artifact_uri
    endpoint.metadata.update(
        resourceName=deployment.endpoint, deployed_model_id=deployment.deployed_model_id
    )
    return deployment.experiment
