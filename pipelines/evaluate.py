"""Evaluate a registered version on any test set."""

from kfp import dsl

from components.find_version import find_version
from components.import_evaluation import import_evaluation
from doctune.evaluation.options import EvaluationOptions
from pipelines import machines
from pipelines.steps.judge_model import judge_afresh

EVALUATION = EvaluationOptions()


@dsl.pipeline(name="evaluate", description="A registered version, evaluated on a test set.")
def evaluate(
    test_set: str,
    project: str,
    location: str,
    staging_bucket: str,
    model_name: str,
    version: str = "champion",
    evaluation_bucket: str = "",
    data_bucket: str = "",
    train_set: str = "",
    primary_metric: str = EVALUATION.primary_metric,
    min_gain: float = EVALUATION.min_gain,
    max_new_tokens: int = EVALUATION.max_new_tokens,
    evaluation_advanced: dict = {},
) -> None:
    vertex = {"project": project, "location": location, "staging_bucket": staging_bucket}

    questions = dsl.importer(artifact_uri=test_set, artifact_class=dsl.Dataset, reimport=True)
    questions.set_display_name("Test set")

    found = find_version(
        model_name=model_name,
        version=version,
        train_uri=train_set,
        **vertex,
    ).set_display_name("Find version")

    verdict = judge_afresh(
        model=found.outputs["model"],
        test_set=questions.output,
        train_set=found.outputs["train_set"],
        model_name=model_name,
        primary_metric=primary_metric,
        min_gain=min_gain,
        max_new_tokens=max_new_tokens,
        evaluation_advanced=evaluation_advanced,
        **vertex,
    ).set_display_name("Judge model")

    imported = import_evaluation(
        scores=verdict.outputs["scores"],
        version_name=found.outputs["Output"],
        evaluation_bucket=evaluation_bucket,
        data_bucket=data_bucket,
        **vertex,
    ).set_display_name("Import evaluation")

    # An alias may have moved since the last run.
    for task in (found, imported):
        machines.ops(task).set_caching_options(enable_caching=False)
