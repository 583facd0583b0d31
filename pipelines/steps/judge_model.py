"""A model against its base and the champion: its scores, and whether it may be released."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from components.evaluate_model import evaluate_model
from components.find_champion import find_champion
from pipelines import machines


class Verdict(NamedTuple):
    """What the part hands on; `champion` is what the model was compared with."""

    passed: bool
    scores: dsl.Metrics
    champion: str


def _judging(name: str, *, cached: bool) -> GraphComponent:
    """Returns the part; whether its steps may be reused is fixed when it is compiled."""

    @dsl.pipeline(name=name, description="A model's scores against its base and the champion.")
    def judge(
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
        champion = find_champion(
            model=model,
            model_name=model_name,
            project=project,
            location=location,
            staging_bucket=staging_bucket,
        ).set_display_name("Find champion")

        verdict = evaluate_model(
            model=model,
            test_set=test_set,
            train_set=train_set,
            champion_uri=champion.output,
            primary_metric=primary_metric,
            min_gain=min_gain,
            max_new_tokens=max_new_tokens,
            advanced=evaluation_advanced,
        ).set_display_name("Evaluate model")

        # What the registry holds is not known to the cache.
        machines.ops(champion).set_caching_options(enable_caching=False)
        machines.training(verdict)
        if not cached:
            verdict.set_caching_options(enable_caching=False)
        return Verdict(
            passed=verdict.outputs["Output"],
            scores=verdict.outputs["scores"],
            champion=champion.output,
        )

    return judge


judge_model = _judging("judge-model", cached=True)
# For a test set that may change under its name.
judge_afresh = _judging("judge-afresh", cached=False)
