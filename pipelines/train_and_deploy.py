"""PDFs to an answering endpoint."""

from kfp import dsl

from components import images
from components.build_index import build_index
from components.deploy_model import deploy_model
from components.evaluate_model import evaluate_model
from components.find_champion import find_champion
from components.join_documents import join_documents
from components.parse_pdfs import parse_pdfs
from components.plan_shards import plan_shards
from components.prepare_dataset import prepare_dataset
from components.register_model import register_model
from components.tune_model import tune_model
from doctune.configuration.settings import load_vertex_settings
from pipelines import machines

ENDPOINT = load_vertex_settings().endpoint


@dsl.pipeline(name="train-and-deploy", description="PDFs to an answering endpoint.")
def train_and_deploy(
    pdfs: str,
    project: str,
    location: str,
    staging_bucket: str,
    model_name: str,
    endpoint_name: str,
    question: str,
    corpus_digest: str = "",
    shards: int = 1,
    base_model: str = "smollm2-135m-instruct",
    chunk_tokens: int = 256,
    learning_rate: float = 1e-3,
    num_train_epochs: float = 2.0,
    per_device_train_batch_size: int = 8,
    max_length: int = 512,
    lora_r: int = 16,
    lora_alpha: int = 32,
    primary_metric: str = "perplexity",
    min_gain: float = 0.0,
    max_new_tokens: int = 64,
    documents_advanced: dict = {},
    dataset_advanced: dict = {},
    knowledge_advanced: dict = {},
    training_advanced: dict = {},
    evaluation_advanced: dict = {},
) -> None:
    source = dsl.importer(artifact_uri=pdfs, artifact_class=dsl.Artifact, reimport=True)
    source.set_display_name("PDFs")

    planned = plan_shards(
        pdfs=source.output, shards=shards, corpus_digest=corpus_digest
    ).set_display_name("Plan shards")

    with dsl.ParallelFor(planned.outputs["Output"], name="shards") as shard:
        parsed = parse_pdfs(
            pdfs=source.output,
            plan=planned.outputs["plan"],
            shard=shard,
            corpus_digest=corpus_digest,
            advanced=documents_advanced,
        ).set_display_name("Parse PDFs")

    joined = join_documents(
        pdfs=source.output,
        parts=dsl.Collected(parsed.outputs["documents"]),
        corpus_digest=corpus_digest,
        advanced=documents_advanced,
    ).set_display_name("Join documents")

    examples = prepare_dataset(
        documents=joined.outputs["documents"],
        base_model=base_model,
        chunk_tokens=chunk_tokens,
        advanced=dataset_advanced,
    ).set_display_name("Prepare data set")

    indexed = build_index(
        documents=joined.outputs["documents"], advanced=knowledge_advanced
    ).set_display_name("Build index")

    tuned = machines.on_workers(tune_model)(
        train_set=examples.outputs["train_set"],
        validation_set=examples.outputs["validation_set"],
        base_model=base_model,
        learning_rate=learning_rate,
        num_train_epochs=num_train_epochs,
        per_device_train_batch_size=per_device_train_batch_size,
        max_length=max_length,
        lora_r=lora_r,
        lora_alpha=lora_alpha,
        checkpoint_dir=f"{staging_bucket}/checkpoints",
        advanced=training_advanced,
    ).set_display_name("Tune model")

    champion = find_champion(
        model=tuned.outputs["model"],
        model_name=model_name,
        project=project,
        location=location,
        staging_bucket=staging_bucket,
    ).set_display_name("Find champion")

    verdict = evaluate_model(
        model=tuned.outputs["model"],
        test_set=examples.outputs["test_set"],
        train_set=examples.outputs["train_set"],
        champion_uri=champion.output,
        primary_metric=primary_metric,
        min_gain=min_gain,
        max_new_tokens=max_new_tokens,
        advanced=evaluation_advanced,
    ).set_display_name("Evaluate model")

    with dsl.If(verdict.outputs["Output"] == True, name="passed"):
        version = register_model(
            model=tuned.outputs["model"],
            scores=verdict.outputs["scores"],
            index=indexed.outputs["index"],
            model_name=model_name,
            serving_image=images.SERVING,
            project=project,
            location=location,
            staging_bucket=staging_bucket,
            run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            commit=images.TAG,
        ).set_display_name("Register model")

        deployed = deploy_model(
            model_version=version.outputs["model_version"],
            endpoint_name=endpoint_name,
            project=project,
            location=location,
            staging_bucket=staging_bucket,
            judged_against=champion.output,
            run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            smoke_prompt=question,
            machine_type=ENDPOINT.machine_type,
            min_replica_count=ENDPOINT.min_replica_count,
            max_replica_count=ENDPOINT.max_replica_count,
            accelerator_type=ENDPOINT.accelerator_type,
            accelerator_count=ENDPOINT.accelerator_count,
            service_account=ENDPOINT.service_account,
            traffic_percentage=ENDPOINT.traffic_percentage,
        ).set_display_name("Deploy model")

    for task in (planned, parsed, joined, examples):
        machines.documents(task)
    machines.tuning(tuned)
    for task in (indexed, verdict):
        machines.training(task)
    # What the registry and the endpoints hold is not known to the cache: these steps always run,
    # and change nothing when all is as it should be.
    for task in (champion, version, deployed):
        machines.ops(task).set_caching_options(enable_caching=False)
