"""Score a tuned model against its base and the current champion."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def evaluate_model(
    model: dsl.Input[dsl.Model],
    test_set: dsl.Input[dsl.Dataset],
    train_set: dsl.Input[dsl.Dataset],
    scores: dsl.Output[dsl.Metrics],
    predictions: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    champion_uri: str = "",
    primary_metric: str = "answer_accuracy",
    min_gain: float = 0.0,
    max_new_tokens: int = 64,
    cache_uri: str = "",
    advanced: dict = {},
    index: dsl.Input[dsl.Artifact] = None,
) -> bool:
    """Returns whether the model may be released.

    Args:
        train_set: What the model was trained on. A test set that contains one of its examples is
            refused.
        scores: Flat numbers for base, tuned and champion, with their intervals; its file is
            `scores.json`.
        predictions: One row per test example: each model's answer and the reference.
        report: One self-contained HTML page, with the verdict at the top.
        summary: Verdict and main numbers.
        champion_uri: The champion's artifact; "" where there is none.
        primary_metric: The metric that decides: what the product answers right, from the documents
            where there is an index. Lower is better only for perplexity.
        min_gain: Minimum improvement over base and champion, in the metric's unit; for perplexity a
            relative one (0.05: 5 % lower).
        max_new_tokens: Maximum number of tokens of an answer.
        cache_uri: gs:// folder that caches the models' answers, for retries and later runs; where
            it is not mounted, the cache of this machine is used.
        advanced: Any other field of `doctune.evaluation.EvaluationOptions`.
        index: The output of build_index. Without it, questions are asked closed-book and with
            their true passage only.
    """
    from pathlib import Path

    from doctune.artifacts import local_file, local_folder
    from doctune.evaluation import EvaluationOptions, evaluate_model
    from doctune.persistent_cache import mirrored_cache

    with mirrored_cache(cache_uri, "evaluations"):
        evaluation = evaluate_model(
            local_folder(model.uri),
            local_file(test_set.uri),
            train_path=local_file(train_set.uri),
            scores_path=Path(scores.path),
            predictions_path=Path(predictions.path),
            report_path=Path(report.path),
            summary_path=Path(summary.path),
            options=EvaluationOptions(
                primary_metric=primary_metric,
                min_gain=min_gain,
                max_new_tokens=max_new_tokens,
                **advanced,
            ),
            champion_uri=champion_uri,
            index_uri=getattr(index, "uri", ""),
        )
    for name, value in evaluation.scores.items():
        scores.log_metric(name, value)
    scores.metadata.update(
        **evaluation.product.facts,
        outcome=evaluation.outcome,
        reason=evaluation.reason,
        primary_metric=primary_metric,
        engine=evaluation.engine,
        test_digest=evaluation.test_digest,
        test_set=test_set.uri,
        train_set=train_set.uri,
        scores=scores.uri,
        predictions=predictions.uri,
        report=report.uri,
        capped="; ".join(evaluation.caps),
    )
    return evaluation.passed
