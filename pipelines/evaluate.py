"""Any registered version on any test set."""

from kfp import dsl

from components.evaluate_model import evaluate_model
from components.find_champion import find_champion
from components.find_version import find_version
from components.import_evaluation import import_evaluation
from pipelines import machines


@dsl.pipeline(name="evaluate", description="A registered version, evaluated on a test set.")
def evaluate(
    test_set: str,
    project: str,
    location: str,
    staging_bucket: str,
    model_name: str,
    version: str = "champion",
    train_set: str = "",
    primary_metric: str = "perplexity",
    min_gain: float = 0.0,
    max_new_tokens: int = 64,
    evaluation_advanced: dict = {},
) -> None:
    questions = dsl.importer(artifact_uri=test_set, artifact_class=dsl.Dataset, reimport=True)
    questions.set_display_name("Test set")

    found = find_version(
        model_name=model_name,
        version=version,
        train_uri=train_set,
        project=project,
        location=location,
        staging_bucket=staging_bucket,
    ).set_display_name("Find version")

    champion = find_champion(
        model=found.outputs["model"],
        model_name=model_name,
        project=project,
        location=location,
        staging_bucket=staging_bucket,
    ).set_display_name("Find champion")

    verdict = evaluate_model(
        model=found.outputs["model"],
        test_set=questions.output,
        train_set=found.outputs["train_set"],
        champion_uri=champion.output,
        primary_metric=primary_metric,
        min_gain=min_gain,
        max_new_tokens=max_new_tokens,
        advanced=evaluation_advanced,
    ).set_display_name("Evaluate model")

    imported = import_evaluation(
        scores=verdict.outputs["scores"],
        version_name=found.outputs["Output"],
        project=project,
        location=location,
        staging_bucket=staging_bucket,
    ).set_display_name("Import evaluation")

    # A test set may change under its name, and so may what an alias names.
    machines.training(verdict).set_caching_options(enable_caching=False)
    for task in (found, champion, imported):
        machines.ops(task).set_caching_options(enable_caching=False)
