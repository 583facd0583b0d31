"""A registered version against the champion: users decide, and the better one stays."""

from kfp import dsl

from components.find_candidate import find_candidate
from pipelines import machines
from pipelines.steps.deploy_version import deploy_version


@dsl.pipeline(name="ab-test", description="A version against the champion, decided by an A/B test.")
def ab_test(
    project: str,
    location: str,
    staging_bucket: str,
    model_name: str,
    endpoint_name: str,
    question: str,
    experiment: dict,
    version: str = "candidate",
) -> None:
    vertex = {"project": project, "location": location, "staging_bucket": staging_bucket}

    candidate = find_candidate(model_name=model_name, version=version, **vertex).set_display_name(
        "Find candidate"
    )
    # An alias may have moved since the last run.
    machines.ops(candidate).set_caching_options(enable_caching=False)

    deploy_version(
        model_version=candidate.outputs["model_version"],
        endpoint_name=endpoint_name,
        question=question,
        judged_against="",
        rollout="experiment",
        experiment=experiment,
        **vertex,
    ).set_display_name("Deploy version")
