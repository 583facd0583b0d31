"""Compare a model with its base and the champion, and decide whether it may be released."""

from typing import Any, NamedTuple

from kfp import dsl

from components.evaluate_model import evaluate_model
from components.find_champion import find_champion
from pipelines import machines


class Verdict(NamedTuple):
    """The outputs; `champion` is the URI of the model that it was compared with."""

    passed: bool
    scores: dsl.Metrics
    champion: str


def _find_champion(
    model: Any, model_name: str, project: str, location: str, staging_bucket: str
) -> dsl.PipelineTask:
    champion = find_champion(
        model=model,
        model_name=model_name,
        project=project,
        location=location,
        staging_bucket=staging_bucket,
    ).set_display_name("Find champion")
    # Never cached: the registry may have changed.
    return machines.ops(champion).set_caching_options(enable_caching=False)


def _verdict(verdict: dsl.PipelineTask, champion: dsl.PipelineTask) -> Verdict:
    return Verdict(
        passed=verdict.outputs["Output"],
        scores=verdict.outputs["scores"],
        champion=champion.output,
    )


@dsl.pipeline(name="judge-model", description="A model's scores against base and champion.")
def judge_model(
    model: dsl.Input[dsl.Model],
    test_set: dsl.Input[dsl.Dataset],
    train_set: dsl.Input[dsl.Dataset],
    index: dsl.Input[dsl.Artifact],
    model_name: str,
    project: str,
    location: str,
    staging_bucket: str,
    primary_metric: str,
    min_gain: float,
    max_new_tokens: int,
    evaluation_advanced: dict,
) -> Verdict:
    """Judges a model together with the index that answers are found in."""
    champion = _find_champion(model, model_name, project, location, staging_bucket)
    verdict = evaluate_model(
        model=model,
        test_set=test_set,
        train_set=train_set,
        index=index,
        champion_uri=champion.output,
        primary_metric=primary_metric,
        min_gain=min_gain,
        max_new_tokens=max_new_tokens,
        cache_uri=f"{staging_bucket}/cache",
        advanced=evaluation_advanced,
    ).set_display_name("Evaluate model")
    machines.training(verdict)
    return _verdict(verdict, champion)


@dsl.pipeline(name="judge-afresh", description="As judge-model, on a test set that may change.")
def judge_afresh(
    model: dsl.Input[dsl.Model],
    test_set: dsl.Input[dsl.Dataset],
    train_set: dsl.Input[dsl.Dataset],
    model_name: str,
    project: str,
    location: str,
    staging_bucket: str,
    primary_metric: str,
    min_gain: float,
    max_new_tokens: int,
    evaluation_advanced: dict,
) -> Verdict:
    """Judges a model without an index, on a test set whose contents may change."""
    champion = _find_champion(model, model_name, project, location, staging_bucket)
    verdict = evaluate_model(
        model=model,
        test_set=test_set,
        train_set=train_set,
        champion_uri=champion.output,
        primary_metric=primary_metric,
        min_gain=min_gain,
        max_new_tokens=max_new_tokens,
        cache_uri=f"{staging_bucket}/cache",
        advanced=evaluation_advanced,
    ).set_display_name("Evaluate model")
    machines.training(verdict).set_caching_options(enable_caching=False)
    return _verdict(verdict, champion)
