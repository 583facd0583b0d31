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
    from doctune.artifacts import local_file, local_folder
    from doctune.batch.ways import product_of
    from doctune.evaluation.score_card import read_card
    from doctune.feedback.regressions import Case, judge_regressions, may_release, read_cases
    from doctune.knowledge.reviewed import read_reviewed
    from doctune.vertex import find_version, init_session

    champion = None
    if champion_uri:
        init_session(project, location, staging_bucket)
        incumbent = find_version(model_name, "champion")
        way = incumbent.labels.get("answering", "")
        champion = product_of(champion_uri, incumbent.text("index"), way, max_new_tokens)
    found = judge_regressions(
        product_of(model.uri, index.uri, scores.metadata.get("answering", ""), max_new_tokens),
        champion,
        read_cases(local_file(regression_set.uri)),
        [Case(one.questions, one.answer) for one in read_reviewed(local_folder(index.uri))],
    )
    gains = read_card(local_file(scores.uri)).gains.get("base", {})
    gain = gains.get(scores.metadata["primary_metric"])
    above_base = gain is not None and gain.value > 0
    released = may_release(found, scores.metadata["outcome"], passed, above_base)
    for name, value in found.scores.items():
        verdict.log_metric(name, value)
    verdict.metadata.update(
        released=released,
        broken=list(found.regressions.broken[:50]),
        fixed=list((found.regressions.fixed + found.corrections.fixed)[:50]),
    )
    return released
