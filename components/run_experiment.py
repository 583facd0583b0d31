"""Control an experiment to its end: ramp, watch, decide, promote or remove."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def run_experiment(
    report: dsl.Output[dsl.HTML],
    numbers: dsl.Output[dsl.Metrics],
    name: str,
    project: str,
    location: str,
    staging_bucket: str,
    experiment: dict,
) -> str:
    """Returns the verdict: win, lose, tie, broken or stopped.

    A winner is the champion then, and nothing of the experiment is deployed any more. A step that
    is tried again goes on where it was. Its limit is `release.limit_days`: then the experiment is
    stopped, and the control kept.

    Args:
        report: Verdict, intervals over time, slices, examples: one page.
        numbers: Users, effects and intervals of the last look.
        name: The output of deploy_model.
        experiment: The contents of experiments.yaml.
    """
    from pathlib import Path

    from doctune.experiments.rollout import run_to_its_end
    from doctune.vertex import init_session

    init_session(project, location, staging_bucket)
    state, found = run_to_its_end(name, experiment, Path(report.path))
    for metric, value in found.items():
        numbers.log_metric(metric, value)
    numbers.metadata["verdict"] = state.verdict
    numbers.metadata["winner"] = state.winner or ""
    return str(state.verdict)
