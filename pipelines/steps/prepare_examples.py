"""From a folder of PDFs to parsed documents and the three splits of a data set."""

from typing import NamedTuple

from kfp import dsl

from components.join_documents import join_documents
from components.parse_pdfs import parse_pdfs
from components.plan_shards import plan_shards
from components.prepare_dataset import prepare_dataset
from pipelines import machines


class Examples(NamedTuple):
    """The outputs."""

    documents: dsl.Dataset
    train_set: dsl.Dataset
    validation_set: dsl.Dataset
    test_set: dsl.Dataset


@dsl.pipeline(name="prepare-examples", description="PDFs to training, validation and test sets.")
def prepare_examples(
    pdfs: str,
    corpus_digest: str,
    shards: int,
    base_model: str,
    chunk_tokens: int,
    cache_uri: str,
    documents_advanced: dict,
    dataset_advanced: dict,
) -> Examples:
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
        cache_uri=cache_uri,
        advanced=dataset_advanced,
    ).set_display_name("Prepare data set")

    for task in (planned, parsed, joined, examples):
        machines.documents(task)
    return Examples(
        documents=joined.outputs["documents"],
        train_set=examples.outputs["train_set"],
        validation_set=examples.outputs["validation_set"],
        test_set=examples.outputs["test_set"],
    )
