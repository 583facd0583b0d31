"""Feedback and PDFs to a better version, released where it is proven better."""

from kfp import dsl

from components.build_index import build_index
from components.judge_regressions import judge_regressions
from doctune.configuration.vertex_sections import DIRECT
from doctune.dataset.options import DatasetOptions
from doctune.evaluation.options import EvaluationOptions
from doctune.training.options import TrainingOptions
from pipelines import machines
from pipelines.steps.learn_from_feedback import learn_from_feedback
from pipelines.steps.prepare_examples import prepare_examples
from pipelines.steps.release_model import release_model
from pipelines.steps.tune_and_judge import tune_and_judge

DATASET, TRAINING, EVALUATION = DatasetOptions(), TrainingOptions(), EvaluationOptions()


@dsl.pipeline(name="retrain", description="Feedback and PDFs to a better version.")
def retrain(
    pdfs: str,
    project: str,
    location: str,
    staging_bucket: str,
    model_name: str,
    endpoint_name: str,
    question: str,
    snapshot: str,
    snapshot_digest: str,
    corpus_digest: str = "",
    model_bucket: str = "",
    evaluation_bucket: str = "",
    data_bucket: str = "",
    rollout: str = DIRECT,
    experiment: dict = {},
    shards: int = 1,
    base_model: str = TRAINING.base_model,
    chunk_tokens: int = DATASET.chunk_tokens,
    learning_rate: float = TRAINING.learning_rate,
    num_train_epochs: float = TRAINING.num_train_epochs,
    per_device_train_batch_size: int = TRAINING.per_device_train_batch_size,
    max_length: int = TRAINING.max_length,
    lora_r: int = TRAINING.lora_r,
    lora_alpha: int = TRAINING.lora_alpha,
    primary_metric: str = EVALUATION.primary_metric,
    min_gain: float = EVALUATION.min_gain,
    max_new_tokens: int = EVALUATION.max_new_tokens,
    documents_advanced: dict = {},
    dataset_advanced: dict = {},
    knowledge_advanced: dict = {},
    training_advanced: dict = {},
    evaluation_advanced: dict = {},
    augment: dict = {},
) -> None:
    vertex = {"project": project, "location": location, "staging_bucket": staging_bucket}

    examples = prepare_examples(
        pdfs=pdfs,
        corpus_digest=corpus_digest,
        shards=shards,
        base_model=base_model,
        chunk_tokens=chunk_tokens,
        cache_uri=f"{staging_bucket}/cache",
        documents_advanced=documents_advanced,
        dataset_advanced=dataset_advanced,
    ).set_display_name("Prepare examples")

    indexed = build_index(
        documents=examples.outputs["documents"], advanced=knowledge_advanced
    ).set_display_name("Build index")
    machines.training(indexed)

    lessons = learn_from_feedback(
        train_set=examples.outputs["train_set"],
        test_set=examples.outputs["test_set"],
        index=indexed.outputs["index"],
        snapshot=snapshot,
        snapshot_digest=snapshot_digest,
        augment=augment,
    ).set_display_name("Learn from feedback")

    judged = tune_and_judge(
        train_set=lessons.outputs["train_set"],
        validation_set=examples.outputs["validation_set"],
        test_set=examples.outputs["test_set"],
        index=lessons.outputs["index"],
        model_name=model_name,
        base_model=base_model,
        learning_rate=learning_rate,
        num_train_epochs=num_train_epochs,
        per_device_train_batch_size=per_device_train_batch_size,
        max_length=max_length,
        lora_r=lora_r,
        lora_alpha=lora_alpha,
        primary_metric=primary_metric,
        min_gain=min_gain,
        max_new_tokens=max_new_tokens,
        dataset_advanced=dataset_advanced,
        training_advanced=training_advanced,
        evaluation_advanced=evaluation_advanced,
        **vertex,
    ).set_display_name("Tune and judge")

    regressions = judge_regressions(
        model=judged.outputs["model"],
        index=lessons.outputs["index"],
        scores=judged.outputs["scores"],
        regression_set=lessons.outputs["regression_set"],
        model_name=model_name,
        passed=judged.outputs["passed"],
        champion_uri=judged.outputs["champion"],
        max_new_tokens=max_new_tokens,
        **vertex,
    ).set_display_name("Judge regressions")
    machines.training(regressions)

    with dsl.If(regressions.outputs["Output"] == True, name="better"):
        release_model(
            model=judged.outputs["model"],
            scores=judged.outputs["scores"],
            index=lessons.outputs["index"],
            judged_against=judged.outputs["champion"],
            model_name=model_name,
            endpoint_name=endpoint_name,
            question=question,
            model_bucket=model_bucket,
            evaluation_bucket=evaluation_bucket,
            data_bucket=data_bucket,
            rollout=rollout,
            experiment=experiment,
            **vertex,
        ).set_display_name("Release model")
