"""Ask a tuned model, and the champion, what was once answered wrongly."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def judge_regressions(
    model: dsl.Input[dsl.Model],
    regression_set: dsl.Input[dsl.Dataset],
    verdict: dsl.Output[dsl.Metrics],
    champion_uri: str = "",
    max_new_tokens: int = 64,
) -> bool:
    """Returns whether the model answers no fewer cases right than the champion.

    Args:
        regression_set: The output of augment_dataset.
        verdict: How many cases there are, and how many each model answers right.
        champion_uri: The artifact of the incumbent; "" where there is none.
        max_new_tokens: Most tokens in an answer.
    """
    from doctune.artifacts import local_file, local_folder
    from doctune.feedback.regressions import judge_regressions

    found = judge_regressions(
        local_folder(model.uri),
        champion_uri,
        local_file(regression_set.uri),
        max_new_tokens,
    )
    for name, value in found.scores.items():
        verdict.log_metric(name, value)
    verdict.metadata.update(broken=list(found.broken[:50]), fixed=list(found.fixed[:50]))
    return found.passed
