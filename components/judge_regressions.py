"""Ask the new product, and the champion's, what was once answered wrongly, and decide."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def judge_regressions(
    model: dsl.Input[dsl.Model],
    index: dsl.Input[dsl.Artifact],
    scores: dsl.Input[dsl.Metrics],
    regression_set: dsl.Input[dsl.Dataset],
    model_name: str,
    project: str,
    location: str,
    staging_bucket: str,
    passed: bool,
    verdict: dsl.Output[dsl.Metrics],
    champion_uri: str = "",
    max_new_tokens: int = 64,
) -> bool:
    """Returns whether the version may be released.

    It passed its evaluation, or it ties with the champion there and answers more of the corrections
    and old cases; and it answers no fewer old cases right than the champion.

    Args:
        index: The taught_index of augment_dataset; its reviewed answers are the corrections.
        scores: The output of evaluate_model.
        regression_set: The output of augment_dataset.
        passed: Whether evaluate_model found the model fit for release.
        verdict: How many cases and corrections there are, and how many each product answers right.
        model_name: Display name in the Model Registry.
        staging_bucket: gs://NAME.
        champion_uri: The artifact of the incumbent; "" where there is none.
        max_new_tokens: Most tokens in an answer.
    """
    from doctune.artifacts import local_file
    from doctune.feedback.judging import Evaluated, judge_retraining
    from doctune.vertex import init_session

    init_session(project, location, staging_bucket)
    found, released = judge_retraining(
        model.uri,
        index.uri,
        Evaluated(
            outcome=scores.metadata["outcome"],
            passed=passed,
            primary_metric=scores.metadata["primary_metric"],
            answering=scores.metadata["answering"],
            scores=local_file(scores.uri),
        ),
        local_file(regression_set.uri),
        model_name=model_name,
        champion_uri=champion_uri,
        max_new_tokens=max_new_tokens,
    )
    for name, value in found.scores.items():
        verdict.log_metric(name, value)
    verdict.metadata.update(
        released=released,
        broken=list(found.regressions.broken[:50]),
        fixed=list((found.regressions.fixed + found.corrections.fixed)[:50]),
    )
    return released
